//! Which of the runnable tasks goes next: the one decision the lab makes.

mod pct;
mod pos;
mod topology;

use asupersync_core::{Lane, ObjectId, RegionId, SplitMix64, TaskId, Time};
use asupersync_trace::{Actor, Step};
pub use pct::Pct;
pub use pos::Pos;
use std::sync::Arc;
pub use topology::TopologyGuided;

/// A task that can be polled next; or, where [time races](crate::LabConfig::time_races) with the tasks, time
/// passing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// Which task. [`Choice::TIME`] is none: chosen, it lets time pass to the next instant at which something is due.
    pub task: TaskId,
    /// The lane the kernel suggests. Only a hint here: a correct program is correct in any order.
    pub lane: Lane,
    /// When it became runnable, counted in such events since the start of the run. Of time the largest number, so
    /// that who goes by it lets time pass when nothing else can happen.
    pub since: u64,
}

impl Choice {
    /// Stands for time passing, in choices and in schedules. It comes last among what is enabled.
    pub const TIME: TaskId = Actor::TIME;

    pub(crate) const fn time() -> Choice {
        Choice { task: Choice::TIME, lane: Lane::Ready, since: u64::MAX }
    }
}

/// Chooses the next task, again and again. The whole run follows from these answers, so a list of
/// them replays it.
pub trait Strategy: Send {
    /// A run with this seed begins: forget the one before.
    fn begin(&mut self, seed: u64);

    /// Answers a position in `enabled`, which has at least two elements, in an order that is itself
    /// determined by the choices so far. A position beyond the end is a divergence: the run goes on
    /// with position 0 and reports it.
    fn choose(&mut self, enabled: &[Choice]) -> usize;

    /// Only this task could go next, so there was nothing to choose.
    fn alone(&mut self, only: &Choice) {
        let _ = only;
    }

    /// Whether [`stepped`](Strategy::stepped) wants to be told. Asked once for each run.
    fn watches(&self) -> bool {
        false
    }

    /// How many of the run's first polls are those of this runtime's run before, so that the strategy knows
    /// what they touch: of these [`stepped`](Strategy::stepped) need not tell the truth, and the oracles
    /// do not look at all of them again. Asked once for each run.
    fn knows(&self) -> u64 {
        0
    }

    /// The poll that was chosen last is over, and this is what it touched: to be looked at, or taken.
    fn stepped(&mut self, footprint: &mut Footprint) {
        let _ = footprint;
    }

    /// Whether the root region is to be cancelled before the next poll. Asked before each.
    fn cancels(&mut self) -> bool {
        false
    }

    /// The run has come to its end, closed or stuck. Choices after this are of the teardown. `blocked`
    /// are the tasks that wait for a [`Mutex`](crate::Mutex), or for a message or for room in a
    /// [`Queue`](crate::Queue).
    fn ended(&mut self, blocked: &[Blocked]) {
        let _ = blocked;
    }
}

/// What one poll touched.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Footprint {
    /// The poll's own step, the regions that closed in it, and before it whatever the host did since
    /// the poll before.
    pub steps: Vec<Step>,
    /// Operations of the lab's own objects.
    pub ops: Vec<Op>,
    /// Something else was accessed, whose outcome may differ elsewhere in a way that is not known.
    pub foreign: bool,
    /// Tasks that were cancelled in it: what they do next is another thing than it would have been.
    pub cancels: Vec<TaskId>,
    /// It looked at whether another task had ended, or asked for a cancellation that was in force already:
    /// sooner, that might have cancelled somebody.
    pub tentative: bool,
    /// What became of timers, where time races.
    pub(crate) timers: Option<Arc<Timers>>,
    /// How regions came to have more or fewer left, and in whose step.
    pub(crate) changes: Vec<(Option<Actor>, Change)>,
}

/// Who came or went.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// A child came.
    More(RegionId),
    /// A child ended, or the body.
    Fewer(RegionId),
    /// A region was opened, within that one.
    Opened(RegionId, Option<RegionId>),
    /// A region closed.
    Closed(RegionId),
}

impl Footprint {
    /// Forgets everything, keeping memory.
    pub(crate) fn clear(&mut self) {
        let Footprint { steps, ops, foreign, cancels, tentative, timers, changes } = self;
        changes.clear();
        steps.clear();
        ops.clear();
        cancels.clear();
        (*foreign, *tentative, *timers) = (false, false, None);
    }
}

/// What one poll, or time passing, did to the timers. A timer goes by the number of timers set before it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    /// Set by the host before the poll.
    pub(crate) given: Vec<(u64, Time)>,
    pub(crate) set: Vec<(u64, Time)>,
    pub(crate) unset: Vec<u64>,
    /// Unset in a region's close, not by the poll that it came with.
    pub(crate) unset_in_close: Vec<u64>,
    /// Time passed until then, and what was due fired.
    pub(crate) passed: Option<Time>,
    /// Time could still pass by itself.
    pub(crate) can_pass: bool,
}

/// An operation on one of the lab's own objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Op {
    /// On what.
    pub object: ObjectId,
    /// The value without which it changes nothing.
    pub expected: Option<u64>,
    /// The value it found; of a mutex 1 while held, of a queue the count of sends or receives.
    pub before: u64,
    /// The value it left.
    pub after: u64,
    /// Of which sort.
    pub kind: OpKind,
}

/// What an operation waits for, and what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpKind {
    /// It waits for nothing.
    Plain,
    /// It takes a mutex, and could be chosen only while that was free.
    Take,
    /// It receives, and could be chosen only while fewer had been received than sent, which this
    /// object counts.
    Receive {
        /// The object of which sends are operations.
        tail: ObjectId,
    },
    /// It sends, and could be chosen only while fewer messages were there than have room.
    Enqueue {
        /// The object of which receives are operations, once there was one.
        head: Option<ObjectId>,
        /// How many messages have room.
        capacity: u64,
    },
    /// It touches a message, and elsewhere in the run would touch another.
    Message,
}

/// A task whose next step takes a mutex that another holds, receives from an empty queue, or sends to a full one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blocked {
    /// Who.
    pub task: TaskId,
    /// On what.
    pub object: ObjectId,
}

/// Every runnable task is as likely as any other.
///
/// The generator is [`SplitMix64`], its output reduced by multiplication. Both are part of what a seed means,
/// and pinned by a test.
#[derive(Clone, Debug, Default)]
pub struct Random {
    stream: SplitMix64,
}

impl Strategy for Random {
    fn begin(&mut self, seed: u64) {
        self.stream = SplitMix64::new(seed);
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        self.stream.below(enabled.len() as u64) as usize
    }
}

/// The task that has been runnable for longest. The seed does not matter.
#[derive(Clone, Debug, Default)]
pub struct Fifo;

impl Strategy for Fifo {
    fn begin(&mut self, _seed: u64) {}

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let oldest = enabled.iter().enumerate().min_by_key(|(_, choice)| choice.since);
        oldest.map_or(0, |(index, _)| index)
    }
}

/// A list of choices, then another strategy.
#[derive(Clone, Debug)]
pub struct Prefix<S> {
    forced: Vec<u32>,
    next: usize,
    then: S,
}

impl<S: Strategy> Prefix<S> {
    /// Makes these choices first, and leaves the rest to `then`.
    pub fn new(forced: Vec<u32>, then: S) -> Prefix<S> {
        Prefix { forced, next: 0, then }
    }
}

impl<S: Strategy> Strategy for Prefix<S> {
    fn begin(&mut self, seed: u64) {
        self.next = 0;
        self.then.begin(seed);
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        match self.forced.get(self.next) {
            Some(index) => {
                self.next += 1;
                *index as usize
            }
            None => self.then.choose(enabled),
        }
    }

    fn alone(&mut self, only: &Choice) {
        self.then.alone(only);
    }

    fn watches(&self) -> bool {
        self.then.watches()
    }

    fn knows(&self) -> u64 {
        self.then.knows()
    }

    fn stepped(&mut self, footprint: &mut Footprint) {
        self.then.stepped(footprint);
    }

    fn cancels(&mut self) -> bool {
        self.then.cancels()
    }

    fn ended(&mut self, blocked: &[Blocked]) {
        self.then.ended(blocked);
    }
}

impl Strategy for Box<dyn Strategy> {
    fn begin(&mut self, seed: u64) {
        (**self).begin(seed);
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        (**self).choose(enabled)
    }

    fn alone(&mut self, only: &Choice) {
        (**self).alone(only);
    }

    fn watches(&self) -> bool {
        (**self).watches()
    }

    fn knows(&self) -> u64 {
        (**self).knows()
    }

    fn stepped(&mut self, footprint: &mut Footprint) {
        (**self).stepped(footprint);
    }

    fn cancels(&mut self) -> bool {
        (**self).cancels()
    }

    fn ended(&mut self, blocked: &[Blocked]) {
        (**self).ended(blocked);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn enabled(since: &[u64]) -> Vec<Choice> {
        let choice = |since: &u64| Choice {
            task: TaskId::from_bits(*since),
            lane: Lane::Ready,
            since: *since,
        };
        since.iter().map(choice).collect()
    }

    fn choices(strategy: &mut dyn Strategy, of: &[Choice], count: usize) -> Vec<usize> {
        (0..count).map(|_| strategy.choose(of)).collect()
    }

    #[test]
    fn a_seed_means_the_same_choices_for_ever() {
        let mut random = Random::default();
        random.begin(42);
        assert_eq!(
            choices(&mut random, &enabled(&[0; 10]), 12),
            [7, 1, 2, 3, 0, 8, 2, 8, 3, 6, 2, 4]
        );
    }

    #[test]
    fn random_choices_spread_evenly() {
        let mut random = Random::default();
        random.begin(1);
        let mut counts = [0_u32; 7];
        for index in choices(&mut random, &enabled(&[0; 7]), 70_000) {
            counts[index] += 1;
        }
        // Standard deviation is below 93; six of them.
        assert!(counts.iter().all(|count| count.abs_diff(10_000) < 560), "{counts:?}");
    }

    #[test]
    fn fifo_takes_who_waits_longest() {
        assert_eq!(Fifo.choose(&enabled(&[9, 3, 5])), 1);
    }

    #[test]
    fn a_prefix_is_followed_and_then_left() {
        let mut prefix = Prefix::new(vec![2, 0], Fifo);
        let of = enabled(&[9, 3, 5]);
        assert_eq!(choices(&mut prefix, &of, 4), [2, 0, 1, 1]);
        prefix.begin(0);
        assert_eq!(choices(&mut prefix, &of, 1), [2]);
    }

    #[test]
    fn a_prefix_cancels_when_what_comes_after_it_does() {
        struct Cancels;
        impl Strategy for Cancels {
            fn begin(&mut self, _seed: u64) {}
            fn choose(&mut self, _enabled: &[Choice]) -> usize {
                0
            }
            fn cancels(&mut self) -> bool {
                true
            }
        }
        assert!(Prefix::new(vec![2], Cancels).cancels());
    }
}
