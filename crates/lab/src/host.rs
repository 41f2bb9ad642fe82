//! The machine beneath the kernel: a list of runnables, a clock that is a number, a timer
//! wheel.

mod kept;
mod outside;
mod record;
mod services;

use crate::faults::FaultPlan;
use crate::oracle::Fact;
use crate::rare::Mark;
use crate::replay::{Drivers, Followed, Next, Playback, Recorded};
use crate::strategy::{Blocked, Choice, Footprint, Op, OpKind};
use asupersync_core::{
    DetHashMap, Event, Host, Lane, ObjectId, Runnable, SplitMix64, TaskId, Time, TimerKey,
    WakeList, host_step,
};
use asupersync_net::VirtualNetwork;
use asupersync_time::{Key, Wheel};
use asupersync_trace::{self as trace, EventLog};
use kept::Kept;
use parking_lot::Mutex;
pub(crate) use record::{Judged, Record};
pub use services::ServiceContext;
pub(crate) use services::Services;
use services::Slot;
use std::any::{Any, TypeId};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::Waker;
use std::time::Duration;
use twox_hash::XxHash3_64;

/// The lab's [`Host`]. Used by one thread; the locks are there because a host must be `Sync`, and
/// are hardly ever contended.
pub(crate) struct LabHost {
    seed: AtomicU64,
    /// Nanoseconds of virtual time; written by the run loop only.
    now: AtomicU64,
    observing: bool,
    pub(crate) queue: Mutex<Queue>,
    /// By the thread that runs, for as long as it does.
    kept: Kept,
    services: Mutex<Services>,
    marks: Mutex<Marks>,
    /// By how many thousandths of its span a timer is late.
    late: AtomicU32,
    /// How far the clock is about to jump, in nanoseconds.
    jump: AtomicU64,
    /// What is special about the run's clock: [`PLAYS`], [`RACES`], or nothing.
    clock: AtomicU8,
    itself: Weak<LabHost>,
}

/// The run replays a recording, which says what the clock says.
const PLAYS: u8 = 1;
/// Time races with the tasks, so it is told who uses the clock.
const RACES: u8 = 2;

#[derive(Default)]
struct Marks {
    all: Vec<Mark>,
    /// How often each task came by each.
    meetings: BTreeMap<(&'static str, TaskId), u64>,
    /// Whether rare paths are taken at all.
    taken: bool,
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
    /// The positions of `choices` that can be chosen, and their descriptions, while there are gates or time can
    /// pass too.
    open: (Vec<usize>, Vec<Choice>),
    /// Where time races with the tasks.
    racing: Option<Box<Racing>>,
}

/// How time races with the tasks.
#[derive(Default)]
struct Racing {
    /// How often it may still pass while a task can run.
    left: u32,
    /// It does not pass beyond this.
    horizon: Option<Time>,
    /// It can pass now.
    offered: bool,
    /// It could have passed but for the limit.
    held_back: bool,
    /// Timers set so far, and the numbers of those that may still be.
    set: u64,
    numbers: DetHashMap<u64, u64>,
}

impl Racing {
    /// Whether time could pass now, to that timer, if it may at all.
    fn can_pass(&self, next: Option<Time>) -> bool {
        next.is_some_and(|at| self.horizon.is_none_or(|horizon| at <= horizon))
    }
}

/// What a task waits for at a lab mutex, or at an end of a lab queue, as the scheduler sees it.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    pub(crate) held: AtomicBool,
    /// The bits of that object, once an operation has shown them.
    pub(crate) object: AtomicU64,
}

impl Latch {
    /// An operation has shown what the kernel calls the object.
    pub(crate) fn name(&self, object: Option<ObjectId>) {
        self.object.store(object.map_or(0, |object| object.to_bits()), Ordering::Relaxed);
    }
}

impl Queue {
    fn is_open(&self, task: TaskId) -> bool {
        !self.gates.iter().any(|(of, latch)| *of == task && latch.held.load(Ordering::Relaxed))
    }

    /// How many can be chosen now.
    pub(crate) fn enabled(&self) -> usize {
        if self.gates.is_empty() {
            return self.choices.len();
        }
        self.choices.iter().filter(|choice| self.is_open(choice.task)).count()
    }

    /// Takes a timer that is due at `now` (of several the one for the earliest time, of those the
    /// one armed first), if there is one.
    #[inline]
    pub(crate) fn fire(&mut self, now: Time) -> Option<(Time, Waker)> {
        let Queue { timers, due, .. } = self;
        if due.is_empty() && timers.next_deadline().is_some_and(|at| at <= now) {
            timers.advance(now, |at, waker| due.push_back((at, waker)));
        }
        due.pop_front()
    }

    /// Takes a timer that is due at `now`, or else counts what can be chosen.
    #[inline]
    pub(crate) fn next(&mut self, now: Time) -> Ready {
        if self.racing.is_some() {
            if let Some(ready) = self.next_racing() {
                return ready;
            }
        }
        if let Some((at, waker)) = self.fire(now) {
            return Ready::Timer(at, waker);
        }
        match self.enabled() {
            0 => Ready::Nothing { until: self.timers.earliest() },
            enabled => Ready::Tasks(enabled),
        }
    }

    /// Counts what can be chosen while time races, if it still does: nothing fires by itself then.
    #[cold]
    fn next_racing(&mut self) -> Option<Ready> {
        let until = self.timers.earliest();
        let enabled = self.enabled();
        let racing = self.racing.as_mut()?;
        let can_pass = racing.can_pass(until);
        racing.offered = can_pass && racing.left > 0;
        racing.held_back |= can_pass && racing.left == 0 && enabled > 0;
        match enabled {
            _ if racing.left == 0 => None,
            0 => Some(Ready::Nothing { until }),
            enabled => Some(Ready::Tasks(enabled + usize::from(racing.offered))),
        }
    }

    /// Whether time can pass as a step of its own, of what [`next`](Queue::next) saw last.
    pub(crate) fn offers_time(&self) -> bool {
        self.racing.as_ref().is_some_and(|racing| racing.offered)
    }

    /// Time passes; answers until when.
    pub(crate) fn pass(&mut self, now: Time) -> Time {
        if let Some(racing) = &mut self.racing {
            racing.offered = false;
            racing.left -= u32::from(racing.left != u32::MAX);
        }
        self.timers.earliest().map_or(now, |at| at.max(now))
    }

    /// Takes one of the runnables, or nothing where that is to let time pass; at least one of these there must be: the
    /// one at the position that `choose` answers, which must not come back to the host.
    #[inline]
    pub(crate) fn take(
        &mut self,
        choose: impl FnOnce(&[Choice]) -> usize,
    ) -> (usize, Option<Runnable>) {
        if self.gates.is_empty() && self.racing.is_none() {
            let index = choose(&self.choices);
            self.choices.swap_remove(index);
            return (index, Some(self.runnables.swap_remove(index)));
        }
        let (mut positions, mut open) = std::mem::take(&mut self.open);
        positions.clear();
        positions.extend((0..self.choices.len()).filter(|at| self.is_open(self.choices[*at].task)));
        open.clear();
        open.extend(positions.iter().map(|at| self.choices[*at]));
        open.extend(self.offers_time().then(Choice::time));
        let chosen = choose(&open);
        let index = positions.get(chosen).copied();
        self.open = (positions, open);
        let runnable = index.map(|index| {
            self.choices.swap_remove(index);
            self.runnables.swap_remove(index)
        });
        (chosen, runnable)
    }
}

impl LabHost {
    pub(crate) fn new(observing: bool, services: Services) -> Arc<LabHost> {
        Arc::new_cyclic(|itself| LabHost {
            seed: AtomicU64::new(0),
            now: AtomicU64::new(0),
            observing,
            queue: Mutex::default(),
            kept: Kept::default(),
            services: Mutex::new(services),
            marks: Mutex::default(),
            late: AtomicU32::new(0),
            jump: AtomicU64::new(0),
            clock: AtomicU8::new(0),
            itself: itself.clone(),
        })
    }

    /// Makes the record this thread's, until the answer is dropped: what other threads have to say waits.
    pub(crate) fn keep(&self) -> impl Sized + '_ {
        self.kept.keep()
    }

    /// Uses the record; none if another thread keeps it.
    #[inline]
    pub(crate) fn with_record<R>(&self, then: impl FnOnce(&mut Record) -> R) -> Option<R> {
        self.kept.with(then)
    }

    /// Lets this go wrong in the run that has begun.
    pub(crate) fn inject(self: &Arc<Self>, plan: &FaultPlan) {
        self.marks.lock().taken = plan.takes_rare();
        if let Some(options) = plan.network() {
            let of = TypeId::of::<VirtualNetwork>();
            let host = self.itself.clone();
            let make = || VirtualNetwork::for_host(options.clone(), self.seed(), host);
            let network = host_step(Arc::<LabHost>::clone(self), make);
            self.services.lock().keep(of, Arc::new(network));
        }
        plan.arm(self);
    }

    /// Notes that a fault strikes or is mended, in a step of its own.
    pub(crate) fn note_fault(&self, number: u32) {
        if self.observing {
            self.with_record(|record| record.host(&trace::Event::FaultInjected { number }));
        }
    }

    /// A driver, if the run has one of this type.
    pub(crate) fn driver<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        self.service(TypeId::of::<T>())?.downcast().ok()
    }

    /// The task comes by a mark; whether it takes the rare path.
    pub(crate) fn mark(&self, name: &'static str, task: TaskId) -> bool {
        let mut marks = self.marks.lock();
        let Marks { all, meetings, taken } = &mut *marks;
        let met = meetings.entry((name, task)).or_insert(0);
        *met += 1;
        // A task's own count, so that the order of tasks does not decide.
        let named = XxHash3_64::oneshot_with_seed(self.seed(), name.as_bytes());
        let is_on = named & 1 == 0;
        let mut draw = SplitMix64::new(named ^ task.to_bits().rotate_left(17) ^ *met);
        let take = *taken && is_on && draw.below(4) == 0;
        let mark = match all.iter_mut().find(|mark| mark.name == name) {
            Some(mark) => mark,
            None => {
                all.push(Mark { name, met: 0, taken: 0 });
                all.last_mut().expect("it was just put there")
            }
        };
        mark.met += 1;
        mark.taken += u64::from(take);
        take
    }

    /// The marks that the run met, by their names.
    pub(crate) fn take_marks(&self) -> Vec<Mark> {
        let mut marks = std::mem::take(&mut *self.marks.lock()).all;
        marks.sort_by_key(|mark| mark.name);
        marks
    }

    /// Makes ready for a run.
    pub(crate) fn begin(&self, seed: u64) {
        *self.marks.lock() = Marks::default();
        self.clock.store(0, Ordering::Relaxed);
        self.late.store(0, Ordering::Relaxed);
        self.jump.store(0, Ordering::Relaxed);
        self.seed.store(seed, Ordering::Relaxed);
        // Dropping a waker or a runnable runs foreign code, which may come back here.
        let (runnables, timers, due) = {
            let mut queue = self.queue.lock();
            queue.choices.clear();
            queue.gates.clear();
            queue.racing = None;
            queue.arrivals = 0;
            let mut timers = Vec::new();
            queue.timers.advance(Time::MAX, |_, waker| timers.push(waker));
            queue.timers.clear();
            let runnables = queue.runnables.drain(..).collect::<Vec<_>>();
            (runnables, timers, queue.due.drain(..).collect::<Vec<_>>())
        };
        drop((runnables, timers, due));
        self.now.store(0, Ordering::Relaxed);
        let made = self.services.lock().take_made();
        drop(made);
    }

    /// From now on the run follows this recording.
    pub(crate) fn play(&self, recorded: &Recorded) -> Drivers {
        let drivers = Drivers::new(&self.itself);
        let services = Services::of_playback(&drivers);
        let before = std::mem::replace(&mut *self.services.lock(), services);
        drop(before);
        let playback = Box::new(Playback::begin(recorded));
        self.with_record(|record| record.playback = Some(playback));
        self.clock.store(PLAYS, Ordering::Relaxed);
        drivers
    }

    /// The recording is left; what was done of it.
    pub(crate) fn stop_playing(&self) -> Option<EventLog> {
        self.clock.store(0, Ordering::Relaxed);
        self.with_record(|record| record.playback.take().map(|playback| playback.finish()))?
    }

    /// What comes next by the recording.
    pub(crate) fn recorded_next(&self) -> Next {
        let next = self.with_record(|record| Some(record.playback.as_ref()?.next()));
        next.flatten().unwrap_or(Next::Over(Followed::Lost))
    }

    /// The run cannot do what comes next by the recording.
    pub(crate) fn lose_recording(&self) {
        self.with_record(|record| record.playback.as_mut().map(|playback| playback.lose()));
    }

    /// Takes the runnable of this task, if it has one.
    pub(crate) fn take_task(&self, task: TaskId) -> Option<Runnable> {
        let mut queue = self.queue.lock();
        let index = queue.choices.iter().position(|choice| choice.task == task)?;
        queue.choices.swap_remove(index);
        Some(queue.runnables.swap_remove(index))
    }

    /// Fires the timers due by then, as a production scheduler does.
    pub(crate) fn fire_until(&self, at: Time) {
        self.with_record(|record| record.played(&trace::Event::TimersDue { at }));
        let mut wakers = WakeList::new();
        self.queue.lock().timers.advance(at, |_, waker| wakers.push(waker));
        wakers.wake();
    }

    /// From now on timers are late by this part of the time for which they are set.
    pub(crate) fn delay_timers(&self, permille: u32) {
        self.late.store(permille, Ordering::Relaxed);
    }

    /// The clock jumps ahead before anything else happens.
    pub(crate) fn jump(&self, by: Duration) {
        self.jump.store(u64::try_from(by.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How far the clock is to jump.
    pub(crate) fn take_jump(&self) -> Option<Duration> {
        match self.jump.load(Ordering::Relaxed) {
            0 => None,
            by => {
                self.jump.store(0, Ordering::Relaxed);
                Some(Duration::from_nanos(by))
            }
        }
    }

    /// From now on time races with the tasks, this often and not beyond that time.
    pub(crate) fn race_time(&self, most: u32, horizon: Option<Time>) {
        self.clock.store(RACES, Ordering::Relaxed);
        let racing = Racing { left: most, horizon, ..Racing::default() };
        self.queue.lock().racing = Some(Box::new(racing));
    }

    /// From now on it does not; whether it could have gone further before.
    pub(crate) fn stop_racing(&self) -> bool {
        self.clock.store(0, Ordering::Relaxed);
        self.queue.lock().racing.take().is_some_and(|racing| racing.held_back)
    }

    /// Whether it does.
    pub(crate) fn races(&self) -> bool {
        self.clock.load(Ordering::Relaxed) & RACES != 0
    }

    /// A poll is over, as far as the clock is concerned.
    pub(crate) fn poll_is_over(&self) {
        self.with_record(|record| record.over = record.polls);
    }

    #[cold]
    fn timer_is_set(&self, key: u64, at: Time) {
        let number = self.queue.lock().racing.as_mut().and_then(|racing| {
            let number = racing.set;
            racing.set += 1;
            racing.numbers.insert(key, number);
            racing.can_pass(Some(at)).then_some(number)
        });
        self.with_record(|record| match number {
            Some(number) => record.sets_timer(number, at),
            // Time does not pass to it.
            None => record.uses_clock(),
        });
    }

    #[cold]
    fn timer_is_unset(&self, key: u64) {
        let unset = self.queue.lock().racing.as_mut().map(|racing| {
            let number = racing.numbers.remove(&key);
            (number, racing.left > 0)
        });
        let (number, can_pass) = unset.unwrap_or_default();
        self.with_record(|record| record.unsets_timer(number, can_pass));
    }

    /// What the clock says in a run with a special one; none where it is the common one.
    #[cold]
    fn special_now(&self) -> Option<Time> {
        if self.races() {
            self.with_record(Record::uses_clock);
            return None;
        }
        let read = self.with_record(|record| Some(record.playback.as_mut()?.clock()));
        let now = read.flatten()?;
        self.set_now(now);
        Some(now)
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.now.store(now.as_nanos(), Ordering::Relaxed);
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
        self.with_record(|record| {
            let object = record.last_object?;
            let polls = record.polls;
            if let Some(watch) = record.watch.as_mut().filter(|watch| polls >= watch.skips) {
                let (before, after) = change;
                watch.footprint.ops.push(Op { object, kind, expected, before, after });
            }
            Some(object)
        })?
    }

    /// Tells the oracles what a program says.
    pub(crate) fn fact(&self, fact: Fact<'_>) {
        if !self.observing {
            return;
        }
        self.kept.fact(fact);
    }

    /// Gives an empty footprint for that of what was touched since the last time.
    pub(crate) fn take_footprint(&self, footprint: &mut Footprint) {
        self.with_record(|record| {
            if let Some(watch) = &mut record.watch {
                std::mem::swap(&mut watch.footprint, footprint);
            }
        });
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
        if self.clock.load(Ordering::Relaxed) != 0 {
            if let Some(now) = self.special_now() {
                return now;
            }
        }
        Time::from_nanos(self.now.load(Ordering::Relaxed))
    }

    fn arm_timer(&self, at: Time, waker: Waker) -> TimerKey {
        let late = self.late.load(Ordering::Relaxed);
        let at = if late == 0 { at } else { at + at.saturating_since(self.now()) * late / 1_000 };
        let key = self.queue.lock().timers.insert(at, waker).to_bits();
        if self.races() {
            self.timer_is_set(key, at);
        }
        TimerKey(key)
    }

    fn foresee(&self, instants: &mut dyn Iterator<Item = Time>) {
        if self.races() {
            let now = Time::from_nanos(self.now.load(Ordering::Relaxed));
            instants.filter(|at| *at > now).for_each(|at| {
                self.arm_timer(at, Waker::noop().clone());
            });
        }
    }

    fn disarm_timer(&self, key: TimerKey) {
        if self.races() {
            self.timer_is_unset(key.0);
        }
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
        if let Event::TaskCancelRequested { task, .. } = event {
            // A cancelled task does not wait for the mutex any more.
            self.queue.lock().gates.retain(|(of, _)| of != task);
        }
        self.kept.event(event);
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
        // And outside the step that asks for it first, which is another one in other orders.
        let made = match self.itself.upgrade() {
            Some(host) => host_step(host, || make(&context)),
            None => make(&context),
        };
        self.services.lock().keep(service, made.clone());
        Some(made)
    }
}

impl fmt::Debug for LabHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LabHost").field("now", &self.now()).finish_non_exhaustive()
    }
}
