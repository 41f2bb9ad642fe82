//! The end of a runtime.

use crate::runtime::{Flavour, Parts};
use asupersync_core::{CancelReason, Error, ErrorKind, LeakReport, RegionReport, Straggler};
use asupersync_sched::on_worker_thread;
use std::fmt;
use std::thread;
use std::time::Duration;

/// How long dropped futures, and then threads, may take to be gone where something may be stuck in a call that
/// does not return.
const DROPPING: Duration = Duration::from_millis(250);

/// How long threads may take where everything has ended: they need nothing more than a processor, which a machine
/// under load may not give them for a good part of a second.
const IDLE: Duration = Duration::from_secs(10);

/// What a shutdown left undone.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The tree is quiescent: nothing of it runs any more.
    pub closed: bool,
    /// Tasks that had not ended when the grace was over, and what each was waiting for. Their futures
    /// were dropped, unless the tree is not [`closed`](ShutdownReport::closed): then one is inside a poll
    /// that does not return. Tasks that outstayed an earlier cancellation, in any region of the tree, are
    /// among them.
    pub stragglers: Vec<Straggler>,
    /// Obligations that were never settled, in the whole tree and since the runtime began.
    pub leaks: Vec<LeakReport>,
    /// How many more stragglers and leaks there were than the lists hold
    /// ([`RegionReport::KEPT`] each).
    pub omitted: u64,
    /// Worker threads left behind.
    pub workers_left: usize,
    /// Blocking threads left behind.
    pub blocking_left: usize,
    /// The shutdown was asked for on a thread that runs tasks, and goes on on a thread of its own.
    pub detached: bool,
}

impl ShutdownReport {
    /// Everything ended by itself, in time.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let nothing_left = self.workers_left == 0 && self.blocking_left == 0;
        self.detached
            || (self.closed && self.stragglers.is_empty() && self.leaks.is_empty() && nothing_left)
    }

    /// The report as an error that can be passed on.
    ///
    /// # Errors
    /// [`ErrorKind::RegionCloseTimeout`] when something did not end in time, or else
    /// [`ErrorKind::ObligationLeak`] when something was never settled.
    pub fn check(&self) -> Result<(), Error> {
        if self.is_clean() {
            return Ok(());
        }
        let in_time = self.closed
            && self.stragglers.is_empty()
            && self.workers_left == 0
            && self.blocking_left == 0;
        let (kind, site) = match (in_time, self.stragglers.first(), self.leaks.first()) {
            (true, _, leak) => (ErrorKind::ObligationLeak, leak.map(|leak| leak.site)),
            (false, late, _) => (ErrorKind::RegionCloseTimeout, late.map(|late| late.spawned_at)),
        };
        let what = format!("{kind:?}: {}", self.text());
        Err(match site {
            Some(site) => Error::at(kind, what, site),
            None => Error::new(kind, what),
        })
    }

    /// What is wrong, a line each.
    fn text(&self) -> String {
        let mut text = "the runtime shut down, but not cleanly".to_owned();
        for straggler in &self.stragglers {
            text.push_str(&format!("\n  did not end in time: {straggler}"));
        }
        for leak in &self.leaks {
            text.push_str(&format!("\n  never settled: {leak}"));
        }
        if self.omitted > 0 {
            text.push_str(&format!("\n  and {} more of these", self.omitted));
        }
        for (left, what) in [
            (self.workers_left, "worker threads inside a poll"),
            (self.blocking_left, "blocking threads inside a closure"),
        ] {
            if left > 0 {
                text.push_str(&format!("\n  {what} that does not return: {left}"));
            }
        }
        text
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.detached {
            return f.write_str("the runtime shuts down on a thread of its own");
        }
        if self.is_clean() {
            return f.write_str("the runtime shut down cleanly");
        }
        write!(f, "ASY-0008: {}", self.text())?;
        f.write_str(
            "\n  help: put `cx.checkpoint()?` into loops that do not wait, long work on `spawn_blocking`, \
             or give more grace",
        )
    }
}

pub(crate) fn run(parts: Parts, grace: Duration) -> ShutdownReport {
    if !on_worker_thread() {
        return wait(&parts, grace);
    }
    request(&parts, grace);
    let name = "asupersync-shutdown".to_owned();
    // Refused a thread, the runtime is left to run out by itself: the cancellation is under way.
    let _ = thread::Builder::new().name(name).spawn(move || wait(&parts, grace));
    ShutdownReport { detached: true, ..ShutdownReport::default() }
}

fn request(parts: &Parts, grace: Duration) {
    // The kernel's own cleanup timers come a little later than the look below, which names everybody.
    parts.root.cancel(CancelReason::shutdown(grace + DROPPING));
    parts.root.begin_close();
}

fn wait(parts: &Parts, grace: Duration) -> ShutdownReport {
    let mut report = ShutdownReport::default();
    let deadline = parts.scheduler.now() + grace;
    request(parts, grace);
    let mut closed = parts.wait(Some(deadline), |context| parts.root.poll_closed(context));
    if closed.is_none() {
        report.stragglers = unfinished(parts);
        parts.root.escalate();
        let deadline = parts.scheduler.now() + DROPPING;
        closed = parts.wait(Some(deadline), |context| parts.root.poll_closed(context));
    }
    report.closed = closed.is_some();
    if let Some(RegionReport { stragglers, leaks, omitted, .. }) = closed {
        let known = |task| report.stragglers.iter().any(|known| known.task == task);
        let new: Vec<_> = stragglers.into_iter().filter(|late| !known(late.task)).collect();
        report.stragglers.extend(new);
        report.leaks = leaks;
        report.omitted = omitted;
    }
    parts.scheduler.stop();
    let quiet = report.closed && report.stragglers.is_empty();
    let patience = if quiet { IDLE } else { DROPPING };
    if let Flavour::Threads(threads) = &parts.flavour {
        report.workers_left = threads.join(patience);
    }
    report.blocking_left = parts.blocking.shutdown(patience);
    if report.workers_left == 0 {
        parts.scheduler.clear();
    }
    report
}

/// Every task that is still there.
fn unfinished(parts: &Parts) -> Vec<Straggler> {
    let snapshot = parts.root.snapshot();
    let live = snapshot.all_tasks().filter(|task| task.state != "completed");
    live.map(|task| Straggler {
        task: task.id,
        name: task.name.clone(),
        spawned_at: task.spawned_at,
        region: task.region,
        waits: task.waits.clone(),
    })
    .collect()
}
