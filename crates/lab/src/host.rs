//! The machine beneath the kernel: a list of runnables, a clock that is a number, a timer
//! wheel.

use crate::oracle::{Fact, Oracles};
use crate::strategy::{Blocked, Choice, Footprint, Op, OpKind};
use asupersync_core::event::Resolution;
use asupersync_core::{
    BlockingJob, BlockingPool, Event, Host, Lane, ObjectId, Runnable, Severity, TaskId, Time,
    TimerKey,
};
use asupersync_net::{VirtualNetwork, VirtualOptions};
use asupersync_os::VirtualSignals;
use asupersync_os::fs::VirtualFiles;
use asupersync_time::{Key, Wheel};
use asupersync_trace::{self as trace, Fingerprinter, Writer};
use parking_lot::Mutex;
use std::any::{Any, TypeId};
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;

/// The lab's [`Host`]. Used by one thread; the locks are there because a host must be `Sync`, and
/// are never contended.
pub(crate) struct LabHost {
    seed: AtomicU64,
    /// Nanoseconds of virtual time; written by the run loop only.
    now: AtomicU64,
    observing: bool,
    pub(crate) queue: Mutex<Queue>,
    pub(crate) record: Mutex<Record>,
    services: Mutex<Services>,
    itself: Weak<LabHost>,
}

/// What a driver is made from.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServiceContext {
    /// The seed of the run.
    pub seed: u64,
    /// The host, for a driver that reads the clock or arms timers. Weak, because the host keeps the
    /// driver.
    pub host: Weak<dyn Host>,
}

#[derive(Default)]
pub(crate) struct Queue {
    runnables: Vec<Runnable>,
    /// Describes `runnables`, position by position.
    choices: Vec<Choice>,
    arrivals: u64,
    timers: Wheel<Waker>,
    /// Timers whose time has come, in the order in which they fire.
    due: VecDeque<(Time, Waker)>,
    /// Tasks whose next step takes a mutex, which they are not chosen for while it is held.
    gates: Vec<(TaskId, Arc<Latch>)>,
    /// The positions of `choices` that can be chosen while there are gates, and their descriptions.
    open: (Vec<usize>, Vec<Choice>),
}

/// A lab mutex as the scheduler sees it.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    pub(crate) held: AtomicBool,
    /// The bits of the mutex's object, once an operation has shown them.
    pub(crate) object: AtomicU64,
}

impl Queue {
    fn is_open(&self, task: TaskId) -> bool {
        !self.gates.iter().any(|(of, latch)| *of == task && latch.held.load(Ordering::Relaxed))
    }

    fn enabled(&self) -> usize {
        if self.gates.is_empty() {
            return self.choices.len();
        }
        self.choices.iter().filter(|choice| self.is_open(choice.task)).count()
    }
}

/// Which poll touched what, for a strategy that wants to know.
pub(crate) struct Watch {
    footprint: Footprint,
    /// Polls whose footprint is known. Of the last of them it is told again, with what follows it.
    skips: u64,
}

impl Watch {
    pub(crate) fn after(skips: u64) -> Watch {
        Watch { skips, footprint: Footprint::default() }
    }
}

/// Objects whose operations say all there is to know about them.
const EXACT: [&str; 5] =
    ["Shared", "outcome", crate::atomic::LABEL, crate::mutex::LABEL, crate::queue::LABEL];

/// What happens on the run's way past the observers.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) oracles: Oracles,
    pub(crate) fingerprint: Fingerprinter,
    pub(crate) trace: Option<Writer>,
    pub(crate) watch: Option<Watch>,
    last_object: Option<ObjectId>,
    /// Polls begun.
    pub(crate) polls: u64,
    /// How many had begun when the first task failed.
    pub(crate) failed_at: Option<u64>,
}

impl Record {
    /// Notes one of the host's own events.
    pub(crate) fn host(&mut self, event: &trace::Event) {
        let Record { fingerprint, watch, polls, .. } = self;
        match watch.as_mut().filter(|watch| *polls >= watch.skips) {
            Some(watch) => {
                fingerprint.host_with(event, |step| watch.footprint.steps.push(step.to_step()));
            }
            None => fingerprint.host(event),
        }
        self.oracles.host(event);
        if let Some(trace) = &mut self.trace {
            trace.host(event);
        }
    }
}

impl LabHost {
    pub(crate) fn new(observing: bool, services: Services) -> Arc<LabHost> {
        Arc::new_cyclic(|itself| LabHost {
            seed: AtomicU64::new(0),
            now: AtomicU64::new(0),
            observing,
            queue: Mutex::default(),
            record: Mutex::default(),
            services: Mutex::new(services),
            itself: itself.clone(),
        })
    }

    /// Makes ready for a run.
    pub(crate) fn begin(&self, seed: u64) {
        self.seed.store(seed, Ordering::Relaxed);
        // Dropping a waker or a runnable runs foreign code, which may come back here.
        let (runnables, timers, due) = {
            let mut queue = self.queue.lock();
            queue.choices.clear();
            queue.gates.clear();
            queue.arrivals = 0;
            let mut timers = Vec::new();
            queue.timers.advance(Time::MAX, |_, waker| timers.push(waker));
            queue.timers.clear();
            (std::mem::take(&mut queue.runnables), timers, std::mem::take(&mut queue.due))
        };
        drop((runnables, timers, due));
        self.now.store(0, Ordering::Relaxed);
        let made = self.services.lock().take_made();
        drop(made);
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.now.store(now.as_nanos(), Ordering::Relaxed);
    }

    /// Takes a timer that is due at `now` (of several the one for the earliest time, of those the
    /// one armed first), or else counts the runnables.
    pub(crate) fn poll(&self, now: Time) -> Ready {
        let mut queue = self.queue.lock();
        let Queue { timers, due, .. } = &mut *queue;
        if due.is_empty() && timers.next_deadline().is_some_and(|at| at <= now) {
            timers.advance(now, |at, waker| due.push_back((at, waker)));
        }
        if let Some((at, waker)) = due.pop_front() {
            return Ready::Timer(at, waker);
        }
        match queue.enabled() {
            0 => Ready::Nothing { until: queue.timers.earliest() },
            enabled => Ready::Tasks(enabled),
        }
    }

    /// Takes one of the runnables, at least one of which there must be: the one at the position that
    /// `choose` answers. It is called under the queue's lock and must not come back to the host.
    pub(crate) fn take(&self, choose: impl FnOnce(&[Choice]) -> usize) -> (usize, Runnable) {
        let mut queue = self.queue.lock();
        let index = if queue.gates.is_empty() {
            choose(&queue.choices)
        } else {
            let (mut positions, mut open) = std::mem::take(&mut queue.open);
            positions.clear();
            positions.extend(
                (0..queue.choices.len()).filter(|at| queue.is_open(queue.choices[*at].task)),
            );
            open.clear();
            open.extend(positions.iter().map(|at| queue.choices[*at]));
            let chosen = choose(&open);
            let index = positions[chosen];
            queue.open = (positions, open);
            queue.choices.swap_remove(index);
            return (chosen, queue.runnables.swap_remove(index));
        };
        queue.choices.swap_remove(index);
        (index, queue.runnables.swap_remove(index))
    }

    /// Keeps the task from being chosen while the latch is held.
    pub(crate) fn gate(&self, task: TaskId, latch: Arc<Latch>) {
        self.queue.lock().gates.push((task, latch));
    }

    /// Undoes [`gate`](LabHost::gate).
    pub(crate) fn ungate(&self, task: TaskId, latch: &Arc<Latch>) {
        self.queue.lock().gates.retain(|(of, known)| *of != task || !Arc::ptr_eq(known, latch));
    }

    /// Lets every task go, for the teardown; answers who was blocked.
    pub(crate) fn open_gates(&self) -> Vec<Blocked> {
        let gates = std::mem::take(&mut self.queue.lock().gates);
        let held = gates.iter().filter(|(_, latch)| latch.held.load(Ordering::Relaxed));
        held.map(|(task, latch)| Blocked {
            task: *task,
            object: ObjectId::from_bits(latch.object.load(Ordering::Relaxed)),
        })
        .collect()
    }

    /// Notes an operation on the object that was accessed last, and answers which that is. None when
    /// nobody observes.
    pub(crate) fn note(
        &self,
        kind: OpKind,
        expected: Option<u64>,
        change: (u64, u64),
    ) -> Option<ObjectId> {
        let mut record = self.record.lock();
        let object = record.last_object?;
        let polls = record.polls;
        if let Some(watch) = record.watch.as_mut().filter(|watch| polls >= watch.skips) {
            let (before, after) = change;
            watch.footprint.ops.push(Op { object, kind, expected, before, after });
        }
        Some(object)
    }

    /// Tells the oracles what a program says.
    pub(crate) fn fact(&self, fact: Fact<'_>) {
        if self.observing {
            self.record.lock().oracles.fact(fact);
        }
    }

    /// What was touched since the last time this was asked.
    pub(crate) fn footprint(&self) -> Footprint {
        let mut record = self.record.lock();
        record.watch.as_mut().map(|watch| std::mem::take(&mut watch.footprint)).unwrap_or_default()
    }
}

/// What can happen next.
pub(crate) enum Ready {
    Timer(Time, Waker),
    Tasks(usize),
    /// Nothing, until a timer is due, if one is armed.
    Nothing {
        until: Option<Time>,
    },
}

impl Host for LabHost {
    fn schedule(&self, task: Runnable, lane: Lane) {
        let mut queue = self.queue.lock();
        let since = queue.arrivals;
        queue.arrivals += 1;
        queue.choices.push(Choice { task: task.task_id(), lane, since });
        queue.runnables.push(task);
    }

    fn now(&self) -> Time {
        Time::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        TimerKey(self.queue.lock().timers.insert(at, waker).to_bits())
    }

    fn disarm_timer(&self, key: TimerKey) {
        let waker = self.queue.lock().timers.remove(Key::from_bits(key.0));
        drop(waker);
    }

    fn seed(&self) -> u64 {
        self.seed.load(Ordering::Relaxed)
    }

    fn observing(&self) -> bool {
        self.observing
    }

    fn observe(&self, event: &Event<'_>) {
        let mut record = self.record.lock();
        let record = &mut *record;
        record.oracles.observe(event);
        match *event {
            Event::Access { object, .. } => record.last_object = Some(object),
            Event::PollBegin { .. } => record.polls += 1,
            Event::TaskCompleted { severity: Severity::Err | Severity::Panicked, .. }
            | Event::ObligationResolved { how: Resolution::Leaked, .. } => {
                let polls = record.polls;
                record.failed_at.get_or_insert(polls);
            }
            _ => {}
        }
        let Record { fingerprint, watch, polls, .. } = record;
        match watch.as_mut().filter(|watch| *polls >= watch.skips) {
            Some(watch) => {
                let footprint = &mut watch.footprint;
                match *event {
                    Event::Access { label, .. } => footprint.foreign |= !EXACT.contains(&label),
                    Event::TaskCancelRequested { task, .. } => footprint.cancels.push(task),
                    _ => {}
                }
                fingerprint.kernel_with(event, |step| footprint.steps.push(step.to_step()));
            }
            None => fingerprint.kernel(event),
        }
        if let Event::TaskCancelRequested { task, .. } = event {
            // A cancelled task does not wait for the mutex any more.
            self.queue.lock().gates.retain(|(of, _)| of != task);
        }
        if let Some(trace) = &mut record.trace {
            trace.kernel(event);
        }
    }

    fn service(&self, service: TypeId) -> Option<Arc<dyn Any + Send + Sync>> {
        if service == TypeId::of::<LabHost>() {
            return Some(self.itself.upgrade()?);
        }
        let context = ServiceContext { seed: self.seed(), host: self.itself.clone() };
        // Made outside the lock: making a driver is foreign code.
        let make = match self.services.lock().find(service)? {
            Slot::Made(made) => return Some(made),
            Slot::Make(make) => make,
        };
        let made = make(&context);
        self.services.lock().keep(service, made.clone());
        Some(made)
    }
}

/// Runs blocking closures where they are submitted: one step, no thread.
pub(crate) struct InlinePool;

impl BlockingPool for InlinePool {
    fn submit(&self, job: BlockingJob) {
        job.run();
    }
}

type Erased = Arc<dyn Any + Send + Sync>;
type Make = Arc<dyn Fn(&ServiceContext) -> Erased + Send + Sync>;

/// The drivers that programs find, by type, each made when first asked for in a run.
#[derive(Clone)]
pub(crate) struct Services(Vec<Service>);

#[derive(Clone)]
struct Service {
    of: TypeId,
    make: Make,
    made: Option<Erased>,
}

enum Slot {
    Made(Erased),
    Make(Make),
}

impl fmt::Debug for LabHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabHost").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl Default for Services {
    fn default() -> Services {
        let mut services = Services(Vec::new());
        services.add::<Arc<dyn BlockingPool>>(|_| Arc::new(Arc::new(InlinePool)));
        services.add_network(VirtualOptions::default());
        services.add::<VirtualFiles>(|_| Arc::new(VirtualFiles::new()));
        services.add::<VirtualSignals>(|_| Arc::new(VirtualSignals::new()));
        services
    }
}

impl Services {
    /// Registers a driver, in place of one of the same type.
    pub(crate) fn add<T: Any + Send + Sync>(
        &mut self,
        make: impl Fn(&ServiceContext) -> Arc<T> + Send + Sync + 'static,
    ) {
        let of = TypeId::of::<T>();
        self.0.retain(|service| service.of != of);
        self.0.push(Service {
            of,
            make: Arc::new(move |context| make(context) as Erased),
            made: None,
        });
    }

    /// Registers a virtual network with these options, anew for each run.
    pub(crate) fn add_network(&mut self, options: VirtualOptions) {
        self.add::<VirtualNetwork>(move |context| {
            let host = context.host.clone();
            Arc::new(VirtualNetwork::for_host(options.clone(), context.seed, host))
        });
    }

    fn find(&self, of: TypeId) -> Option<Slot> {
        let service = self.0.iter().find(|service| service.of == of)?;
        Some(match &service.made {
            Some(made) => Slot::Made(made.clone()),
            None => Slot::Make(service.make.clone()),
        })
    }

    fn keep(&mut self, of: TypeId, made: Erased) {
        if let Some(service) = self.0.iter_mut().find(|service| service.of == of) {
            service.made = Some(made);
        }
    }

    fn take_made(&mut self) -> Vec<Erased> {
        self.0.iter_mut().filter_map(|service| service.made.take()).collect()
    }
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} services", self.0.len())
    }
}
