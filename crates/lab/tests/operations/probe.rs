//! Interrupts one operation at one moment, and keeps the books.

use asupersync_core::{Branch, BranchEnd, BranchOptions, CancelReason, Cx, Error, TaskCx};
use asupersync_lab::{LabConfig, LabReport};
use asupersync_trace::{Event, Limits, Trace};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

/// Seeds under which it is looked at which waits the interruptions hit.
const TRACED: u64 = 4;

pub(crate) const MS: Duration = Duration::from_millis(1);

/// An operation in a situation.
pub(crate) struct Entry {
    /// The function's path: crate, modules by file, type, name.
    pub(crate) name: &'static str,
    pub(crate) situation: &'static str,
    /// The most polls from a cancel request to the answer, as the operation's documentation has it.
    pub(crate) bound: u32,
    pub(crate) run: fn(LabConfig, Case) -> LabReport<(), Error>,
}

/// Adds an entry. The body has the context and the case, in which it passes the one operation under test
/// through [`Case::subject`].
macro_rules! operation {
    ($list:ident, $name:literal, $situation:literal, $bound:literal, |$cx:ident, $case:ident| $body:block) => {
        $list.push($crate::probe::Entry {
            name: $name,
            situation: $situation,
            bound: $bound,
            run: |config, case| {
                asupersync_lab::LabRuntime::new(config).run(async move |$cx: &asupersync_core::Cx| {
                    let $case = &case;
                    $body
                    Ok::<_, asupersync_core::Error>(())
                })
            },
        });
    };
}
pub(crate) use operation;

/// When and how the operation is interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// Cancelled just before this poll, counted from 0.
    Before(u32),
    /// Cancelled just after this poll left it pending.
    After(u32),
    /// Dropped just after this poll left it pending.
    Drop(u32),
}

impl Moment {
    /// All moments, poll by poll. Where neither moment after a poll is reached, no later one is.
    fn all() -> impl Iterator<Item = Moment> {
        (0..).flat_map(|poll| [Moment::Before(poll), Moment::After(poll), Moment::Drop(poll)])
    }
}

/// One run's interruption.
#[derive(Clone)]
pub(crate) struct Case(Arc<State>);

struct State {
    moment: Moment,
    began: AtomicBool,
    struck: AtomicBool,
    /// Polls since the cancel request.
    since: AtomicU32,
}

impl Case {
    fn new(moment: Moment) -> Case {
        Case(Arc::new(State {
            moment,
            began: AtomicBool::new(false),
            struck: AtomicBool::new(false),
            since: AtomicU32::new(0),
        }))
    }

    /// Drives the operation in a scope of its own, and interrupts it at the case's moment. `None`: it was
    /// dropped.
    pub(crate) async fn subject<F: Future>(&self, cx: &TaskCx, operation: F) -> Option<F::Output> {
        assert!(!self.0.began.swap(true, Ordering::Relaxed), "one operation a case");
        let mut branch = Box::pin(Some(Branch::new(cx, BranchOptions::default(), operation)));
        let mut polls = 0;
        let answer = std::future::poll_fn(|context| {
            let at = polls;
            polls += 1;
            self.step(at, branch.as_mut(), context)
        })
        .await;
        // The operation itself, and not only its answer, is gone before the case goes on.
        branch.set(None);
        answer
    }

    fn step<F: Future>(
        &self,
        at: u32,
        mut slot: Pin<&mut Option<Branch<'_, F>>>,
        context: &mut Context<'_>,
    ) -> Poll<Option<F::Output>> {
        let state = &*self.0;
        let Some(mut branch) = slot.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        let cancel = |branch: &mut Pin<&mut Branch<'_, F>>| {
            state.struck.store(true, Ordering::Relaxed);
            branch.as_mut().cancel(CancelReason::user("interrupted"));
        };
        if state.moment == Moment::Before(at) {
            cancel(&mut branch);
        }
        if state.struck.load(Ordering::Relaxed) {
            state.since.fetch_add(1, Ordering::Relaxed);
        }
        match branch.as_mut().poll(context) {
            Poll::Ready(BranchEnd::Finished(output)) => return Poll::Ready(Some(output)),
            Poll::Ready(BranchEnd::Dropped(_)) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        if state.moment == Moment::After(at) {
            cancel(&mut branch);
        }
        if state.moment == Moment::Drop(at) {
            state.struck.store(true, Ordering::Relaxed);
            slot.set(None);
            return Poll::Ready(None);
        }
        Poll::Pending
    }

    /// Whether the operation was interrupted, by the time it is asked.
    pub(crate) fn struck(&self) -> bool {
        self.0.struck.load(Ordering::Relaxed)
    }
}

/// Lets everybody else go as far as they can.
pub(crate) async fn settle(cx: &Cx) -> Result<(), Error> {
    Ok(cx.sleep(10 * MS).await?)
}

/// A list, and what its runs came to.
pub(crate) struct Tally {
    group: String,
    entries: Vec<(Entry, Count)>,
    waits: BTreeSet<String>,
}

#[derive(Default)]
struct Count {
    interruptions: usize,
    /// The most polls that an answer took.
    most: u32,
}

impl Tally {
    pub(crate) fn new(group: &str, list: Vec<Entry>) -> Tally {
        let entries = list.into_iter().map(|entry| (entry, Count::default())).collect();
        Tally { group: group.to_owned(), entries, waits: BTreeSet::new() }
    }

    /// Runs every entry under this seed, once for each of its moments.
    pub(crate) fn run(&mut self, seed: u64) {
        for (entry, count) in &mut self.entries {
            let mut missed = 0;
            for moment in Moment::all() {
                let case = Case::new(moment);
                let config = LabConfig::default().seed(seed).capture_trace(seed < TRACED);
                let report = (entry.run)(config, case.clone());
                let what =
                    || format!("{} ({}), seed {seed}, {moment:?}", entry.name, entry.situation);
                assert!(report.is_ok(), "{}: {report}", what());
                assert!(case.0.began.load(Ordering::Relaxed), "{}: was not run", what());
                if !case.struck() {
                    missed += 1;
                    // Neither of the two moments after this poll: it was the last.
                    if missed == 2 {
                        break;
                    }
                    continue;
                }
                missed = 0;
                count.interruptions += 1;
                let since = case.0.since.load(Ordering::Relaxed);
                assert!(since <= entry.bound, "{}: took {since} polls to answer", what());
                count.most = count.most.max(since);
                if let Some(trace) = report.trace {
                    self.waits.extend(interrupted(&trace.into_bytes()));
                }
            }
        }
    }

    pub(crate) fn interruptions(&self) -> usize {
        self.entries.iter().map(|(_, count)| count.interruptions).sum()
    }

    /// Demands that no entry was idle, and leaves the books where the environment says.
    pub(crate) fn finish(self) {
        println!("{}: {} interruptions", self.group, self.interruptions());
        let mut books = String::new();
        for (entry, count) in &self.entries {
            let Entry { name, situation, bound, .. } = entry;
            let Count { interruptions, most } = count;
            assert!(*interruptions > 0, "{name} ({situation}) was never interrupted");
            writeln!(books, "operation\t{name}\t{situation}\t{bound}\t{most}\t{interruptions}")
                .expect("strings take all");
        }
        for wait in &self.waits {
            writeln!(books, "wait\t{wait}").expect("strings take all");
        }
        if let Some(dir) = std::env::var_os("ASUPERSYNC_OPERATIONS_DIR") {
            let dir = std::path::PathBuf::from(dir);
            std::fs::create_dir_all(&dir).expect("the folder can be made");
            let path = dir.join(format!("{}.tsv", self.group));
            std::fs::write(path, books).expect("the books can be written");
        }
    }
}

/// The labels of the waits that ended by a cancellation.
fn interrupted(trace: &[u8]) -> Vec<String> {
    let trace = Trace::parse(trace, &Limits::default()).expect("a trace of ours");
    let ended = trace.events().iter().filter_map(|event| match event {
        Event::WaitEnded { label, cancelled: true, .. } => Some(*label),
        _ => None,
    });
    ended.map(|label| trace.tables().text(label).to_owned()).collect()
}

/// Polls a future once and drops it.
pub(crate) fn pending<F: Future>(future: F) -> bool {
    pin!(future).poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
}
