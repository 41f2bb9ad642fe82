//! A run as steps: who acted, and what the act read or wrote.
//!
//! A step is one poll of a task. Its footprint is made of the accesses that primitives report, of
//! the tasks it woke, spawned or cancelled (that writes their readiness, which their next step
//! reads), and of the regions whose doors it used. The ready queue is not an object: steps that
//! merely made different tasks runnable commute.
//!
//! A region that closes, or moves on to its finalizers, in the poll of its last child takes a step of
//! its own, carved out of that poll: completions then commute with each other, whichever comes last,
//! and only the close depends on them all. In the poll of the task that opened it, it is part of that
//! task's step, which goes on after it.

use crate::event::Event;
use crate::ids::IdMap;
use asupersync_core as kernel;
use asupersync_core::event::Access;
use asupersync_core::{ObjectId, RegionId, TaskId, Time};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// Who takes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Actor {
    /// A task; its steps are ordered.
    Task(TaskId),
    /// A region that moves on to its finalizers or closes; its steps are ordered.
    Region(RegionId),
    /// A timer armed for this time. Each firing is an actor of its own.
    Timer(Time),
    /// The clock where it moves only when nothing else can, or an injected fault then: ordered with
    /// everything.
    Host,
    /// What happens outside steps, before the first poll and after the last; ordered.
    Outside,
    /// Time passing in a run in which it races with the tasks' steps; ordered.
    Clock,
}

impl Actor {
    /// What stands for time passing where a task is to be named: in choices, schedules and scripts. No task has
    /// this id.
    pub const TIME: TaskId = TaskId::from_bits(u64::MAX);

    /// Who takes the steps of this task, or of [`TIME`](Actor::TIME).
    #[must_use]
    pub fn of(task: TaskId) -> Actor {
        if task == Actor::TIME { Actor::Clock } else { Actor::Task(task) }
    }

    /// Whether two steps of this actor are ordered merely by being its steps.
    pub(crate) const fn is_sequential(self) -> bool {
        !matches!(self, Actor::Timer(_))
    }
}

/// What can be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A shared object: a lock, a channel, a cell.
    Object(ObjectId),
    /// Whether, and for what, a task is to be polled.
    Readiness(TaskId),
    /// Whether a region admits tasks.
    Door(RegionId),
    /// A region's count of children. Children coming and going commute, so both are reads; the
    /// region that acts on the count being zero writes.
    Children(RegionId),
    /// Whether a region's children can still end unnoticed by what comes next: it was cancelled, or its body
    /// returned. Ends of children commute, so they are reads.
    Turn(RegionId),
    /// What the clock says and which timers are set. Polls that look at it, or set timers, commute, so they
    /// are reads; time passing writes.
    Clock,
}

impl Target {
    /// Which sort of target, in the order of the enum, and its id.
    pub(crate) const fn name(self) -> (u8, u64) {
        match self {
            Target::Object(id) => (0, id.to_bits()),
            Target::Readiness(id) => (1, id.to_bits()),
            Target::Door(id) => (2, id.to_bits()),
            Target::Children(id) => (3, id.to_bits()),
            Target::Turn(id) => (4, id.to_bits()),
            Target::Clock => (5, 0),
        }
    }
}

/// As one number, for tables whose hash is a multiplication for each.
impl Hash for Target {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        let (rank, bits) = self.name();
        state.write_u128(u128::from(rank) << 64 | u128::from(bits));
    }
}

/// One element of a footprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Touch {
    /// What was touched.
    pub target: Target,
    /// True for a write.
    pub write: bool,
}

impl Touch {
    const fn read(target: Target) -> Touch {
        Touch { target, write: false }
    }

    const fn write(target: Target) -> Touch {
        Touch { target, write: true }
    }
}

/// A touch in a number, by which targets are in their order, and a write comes before a read of the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key(u128);

impl Key {
    pub(crate) const fn of(touch: Touch) -> Key {
        let (rank, bits) = touch.target.name();
        Key::new(rank, bits, touch.write)
    }

    /// Of the target of this name.
    pub(crate) const fn new(rank: u8, bits: u64, write: bool) -> Key {
        Key(((rank as u128) << 65) | ((bits as u128) << 1) | !write as u128)
    }

    fn touch(self) -> Touch {
        let bits = self.bits();
        let target = match self.rank() {
            0 => Target::Object(ObjectId::from_bits(bits)),
            1 => Target::Readiness(TaskId::from_bits(bits)),
            2 => Target::Door(RegionId::from_bits(bits)),
            3 => Target::Children(RegionId::from_bits(bits)),
            4 => Target::Turn(RegionId::from_bits(bits)),
            _ => Target::Clock,
        };
        Touch { target, write: self.is_write() }
    }

    /// The target alone, below 2^67.
    pub(crate) const fn target(self) -> u128 {
        self.0 >> 1
    }

    /// Which sort of target, in the order of [`Target`].
    pub(crate) const fn rank(self) -> u8 {
        (self.0 >> 65) as u8
    }

    /// The target's id.
    pub(crate) const fn bits(self) -> u64 {
        (self.0 >> 1) as u64
    }

    pub(crate) const fn is_write(self) -> bool {
        self.0 & 1 == 0
    }
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// Who took it.
    pub actor: Actor,
    /// What it touched: sorted, each target once, a write covering a read.
    pub touches: Arc<[Touch]>,
}

impl Step {
    /// A step with this footprint, in any order and with repetitions.
    #[must_use]
    pub fn new(actor: Actor, touches: Vec<Touch>) -> Step {
        let mut keys: Vec<Key> = touches.into_iter().map(Key::of).collect();
        normalise(&mut keys);
        Ended { actor, touches: &keys }.to_step()
    }

    /// The step, borrowed.
    #[must_use]
    pub fn view(&self) -> StepView<'_> {
        StepView { actor: self.actor, touches: &self.touches }
    }
}

/// A step, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepView<'a> {
    /// Who took it.
    pub actor: Actor,
    /// What it touched: sorted, each target once, a write covering a read.
    pub touches: &'a [Touch],
}

/// A step that a [`StepBuilder`] has brought to its end, as it keeps it until the next.
#[derive(Clone, Copy, Debug)]
pub struct Ended<'a> {
    pub(crate) actor: Actor,
    /// Sorted, each target once.
    pub(crate) touches: &'a [Key],
}

impl Ended<'_> {
    /// A copy to keep.
    #[must_use]
    pub fn to_step(self) -> Step {
        let touches = self.touches.iter().map(|key| key.touch()).collect();
        Step { actor: self.actor, touches }
    }
}

/// Whether the order of two steps matters: same sequential actor, the host, or a common target that
/// at least one of them writes. Depends on the steps' labels only, never on where they stand.
#[must_use]
pub fn dependent(a: StepView<'_>, b: StepView<'_>) -> bool {
    if a.actor == Actor::Host || b.actor == Actor::Host {
        return true;
    }
    if a.actor == b.actor && a.actor.is_sequential() {
        return true;
    }
    let (mut left, mut right) = (a.touches, b.touches);
    while let ([x, xs @ ..], [y, ys @ ..]) = (left, right) {
        match x.target.name().cmp(&y.target.name()) {
            std::cmp::Ordering::Less => left = xs,
            std::cmp::Ordering::Greater => right = ys,
            std::cmp::Ordering::Equal if x.write || y.write => return true,
            std::cmp::Ordering::Equal => (left, right) = (xs, ys),
        }
    }
    false
}

/// What an event means for the division of a run into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A step of this actor begins, ending the one before.
    Begin(Actor),
    /// The step in progress touches something.
    Touch(Touch),
    /// The step in progress ends.
    End,
    /// The region was opened by this task, within that region.
    Open(RegionId, TaskId, Option<RegionId>),
    /// The region's future was dropped: nobody waits for its close but the region that it is within.
    Abandon(RegionId),
    /// The region closed.
    Leave(RegionId),
    /// The region found no child left and acted on it.
    Close(RegionId),
}

/// Takes effects, one after the other. Not a closure, which would be called where its effect is known.
pub(crate) trait Sink {
    fn take(&mut self, effect: Effect);
}

/// The same rows for the kernel's events and the owned ones: their variants have the same names.
macro_rules! effects {
    ($event:expr, $E:ident, $sink:ident, { $($host:tt)* }) => {
        match *$event {
            $E::PollBegin { task, .. } => {
                $sink.take(Effect::Begin(Actor::Task(task)));
                $sink.take(Effect::Touch(Touch::read(Target::Readiness(task))));
            }
            $E::PollEnd { .. } => $sink.take(Effect::End),
            $E::TaskWoken { task, .. }
            | $E::TaskCancelRequested { task, .. }
            | $E::TaskEscalated { task } => {
                $sink.take(Effect::Touch(Touch::write(Target::Readiness(task))));
            }
            $E::TaskCancelIgnored { task } => {
                $sink.take(Effect::Touch(Touch::read(Target::Readiness(task))));
            }
            $E::RegionCancelIgnored { region } => {
                $sink.take(Effect::Touch(Touch::read(Target::Door(region))));
            }
            $E::TaskSpawned { task, region, .. } => {
                $sink.take(Effect::Touch(Touch::write(Target::Readiness(task))));
                $sink.take(Effect::Touch(Touch::read(Target::Door(region))));
                $sink.take(Effect::Touch(Touch::read(Target::Children(region))));
            }
            $E::SpawnRefused { region, .. } => {
                $sink.take(Effect::Touch(Touch::read(Target::Door(region))));
            }
            // Who is spawned or opened beneath later sees it from the start, and a child that has ended is not asked.
            $E::RegionSoftCancelled { region, .. } => {
                $sink.take(Effect::Touch(Touch::write(Target::Door(region))));
                $sink.take(Effect::Touch(Touch::write(Target::Turn(region))));
            }
            $E::TaskSoftCancelled { task, .. } => {
                $sink.take(Effect::Touch(Touch::write(Target::Readiness(task))));
            }
            // A child that has ended is not told of a cancellation that comes later.
            $E::TaskCompleted { region, .. } => {
                $sink.take(Effect::Touch(Touch::read(Target::Children(region))));
                $sink.take(Effect::Touch(Touch::read(Target::Turn(region))));
            }
            // It is this one that closes the region, or the last child: which, their order decides.
            $E::RegionClosing { region } => {
                $sink.take(Effect::Touch(Touch::read(Target::Children(region))));
                $sink.take(Effect::Touch(Touch::write(Target::Turn(region))));
            }
            $E::RegionOpened { region, parent, by, .. } => {
                $sink.take(Effect::Touch(Touch::write(Target::Door(region))));
                if let Some(parent) = parent {
                    $sink.take(Effect::Touch(Touch::read(Target::Door(parent))));
                    $sink.take(Effect::Touch(Touch::read(Target::Children(parent))));
                }
                if let Some(by) = by {
                    $sink.take(Effect::Open(region, by, parent));
                }
            }
            $E::RegionAbandoned { region } => $sink.take(Effect::Abandon(region)),
            // As of a cancellation: a child that has ended is not reached.
            $E::RegionCancelRequested { region, .. } | $E::RegionEscalated { region } => {
                $sink.take(Effect::Touch(Touch::write(Target::Door(region))));
                $sink.take(Effect::Touch(Touch::write(Target::Turn(region))));
            }
            $E::RegionFinalizing { region } => {
                $sink.take(Effect::Close(region));
                $sink.take(Effect::Touch(Touch::write(Target::Children(region))));
                $sink.take(Effect::Touch(Touch::write(Target::Door(region))));
            }
            $E::RegionClosed { region, .. } => {
                $sink.take(Effect::Close(region));
                $sink.take(Effect::Touch(Touch::write(Target::Children(region))));
                $sink.take(Effect::Touch(Touch::write(Target::Door(region))));
                $sink.take(Effect::Leave(region));
            }
            $E::Access { object, access, .. } => {
                let write = access == Access::Write;
                $sink.take(Effect::Touch(Touch { target: Target::Object(object), write }));
            }
            $($host)*
            _ => {}
        }
    };
}

impl Effect {
    /// Gives `sink` the effects of a kernel event, in order.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn each_of_kernel(event: &kernel::Event<'_>, sink: &mut impl Sink) {
        use kernel::Event as E;
        effects!(event, E, sink, {});
    }

    /// Gives `sink` the effects of a recorded event, in order.
    #[inline]
    pub(crate) fn each_of_event(event: &Event, sink: &mut impl Sink) {
        use Event as E;
        effects!(event, E, sink, {
            E::TimerFired { at } => sink.take(Effect::Begin(Actor::Timer(at))),
            E::ClockAdvanced { .. }
            | E::CancelInjected { .. }
            | E::Abandoned { .. }
            | E::FaultInjected { .. } => {
                sink.take(Effect::Begin(Actor::Host));
            }
            E::TimePasses { .. } => {
                sink.take(Effect::Begin(Actor::Clock));
                sink.take(Effect::Touch(Touch::write(Target::Clock)));
            }
            E::TimePassed { .. } => sink.take(Effect::End),
            E::ClockUsed { .. } => sink.take(Effect::Touch(Touch::read(Target::Clock))),
        });
    }

    /// The effects of a kernel event, in order.
    pub fn of_kernel(event: &kernel::Event<'_>) -> impl Iterator<Item = Effect> + use<> {
        let mut effects = Effects::default();
        Effect::each_of_kernel(event, &mut effects);
        effects.all.into_iter().flatten()
    }

    /// The effects of a recorded event, in order.
    pub fn of_event(event: &Event) -> impl Iterator<Item = Effect> + use<> {
        let mut effects = Effects::default();
        Effect::each_of_event(event, &mut effects);
        effects.all.into_iter().flatten()
    }
}

/// The effects of one event.
#[derive(Default)]
struct Effects {
    all: [Option<Effect>; 4],
    count: usize,
}

impl Sink for Effects {
    fn take(&mut self, effect: Effect) {
        self.all[self.count] = Some(effect);
        self.count += 1;
    }
}

/// Where one step ends and the next begins.
#[derive(Clone, Debug, Default)]
pub(crate) struct Division {
    actor: Option<Actor>,
    /// Who opened each region, and within which.
    openers: IdMap<RegionId, (TaskId, Option<RegionId>)>,
    /// The regions whose futures were dropped, and within which they are.
    orphans: Vec<(RegionId, RegionId)>,
}

impl Division {
    /// Whose step is in progress.
    pub(crate) fn acting(&self) -> Option<Actor> {
        self.actor
    }

    /// Takes an effect within a step; answers what the step touches by it.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn within(&mut self, effect: Effect) -> Option<Touch> {
        let touch = match effect {
            Effect::Touch(touch) => touch,
            Effect::Open(region, by, parent) => {
                self.openers.insert(region, (by, parent));
                return None;
            }
            Effect::Abandon(region) => {
                let opener = self.openers.get(&region);
                self.orphans.extend(opener.and_then(|(_, parent)| Some((region, (*parent)?))));
                return None;
            }
            Effect::Leave(region) => {
                // Of others the opener's next step tells.
                let (_, parent) = self.orphans.iter().find(|(of, _)| *of == region)?;
                Touch::read(Target::Children(*parent))
            }
            Effect::End | Effect::Begin(_) | Effect::Close(_) => return None,
        };
        self.actor.get_or_insert(Actor::Outside);
        Some(touch)
    }

    /// Another step begins, or none; answers whose step that ends, if one was in progress.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn turn(&mut self, effect: Effect) -> Option<Actor> {
        // What fires as time passes is no step of its own.
        if self.actor == Some(Actor::Clock) && effect != Effect::End {
            return None;
        }
        let next = match effect {
            Effect::Begin(actor) => Some(actor),
            Effect::Close(region) => {
                let opener = self.openers.get(&region).map(|(by, _)| Actor::Task(*by));
                if opener.is_some() && opener == self.actor {
                    return None;
                }
                Some(Actor::Region(region))
            }
            _ => None,
        };
        std::mem::replace(&mut self.actor, next)
    }

    /// Ends the step in progress, if there is one.
    pub(crate) fn finish(&mut self) -> Option<Actor> {
        self.actor.take()
    }

    /// Forgets everything, keeping memory.
    pub(crate) fn clear(&mut self) {
        self.actor = None;
        self.openers.clear();
        self.orphans.clear();
    }

    /// Becomes as the other is, keeping memory.
    pub(crate) fn set(&mut self, other: &Division) {
        let Division { actor, openers, orphans } = other;
        self.actor = *actor;
        self.openers.clone_from(openers);
        self.orphans.clone_from(orphans);
    }
}

/// Collects effects into steps.
#[derive(Clone, Debug, Default)]
pub struct StepBuilder {
    division: Division,
    /// What the step in progress touched.
    touches: Vec<Key>,
    /// What the step before it touched.
    ended: Vec<Key>,
}

impl StepBuilder {
    /// Takes the next effect; yields the step that it ended.
    pub fn feed(&mut self, effect: Effect) -> Option<Ended<'_>> {
        if let Effect::End | Effect::Begin(_) | Effect::Close(_) = effect {
            let actor = self.division.turn(effect)?;
            return Some(self.take(actor));
        }
        let key = Key::of(self.division.within(effect)?);
        // Who spawns many touches the same region for each.
        let last = self.touches.len().saturating_sub(3);
        if !self.touches[last..].contains(&key) {
            self.touches.push(key);
        }
        None
    }

    /// Ends the step in progress, if there is one, and yields it.
    pub fn finish(&mut self) -> Option<Ended<'_>> {
        let actor = self.division.finish()?;
        Some(self.take(actor))
    }

    /// Forgets everything, keeping memory; to be called between runs.
    pub fn clear(&mut self) {
        self.division.clear();
        self.touches.clear();
    }

    fn take(&mut self, actor: Actor) -> Ended<'_> {
        std::mem::swap(&mut self.touches, &mut self.ended);
        self.touches.clear();
        normalise(&mut self.ended);
        Ended { actor, touches: &self.ended }
    }
}

/// Footprints up to this long are sorted by insertion, which is most of them.
const SHORT: usize = 32;

pub(crate) fn normalise(touches: &mut Vec<Key>) {
    if touches.len() > SHORT {
        touches.sort_unstable();
    } else {
        for end in 1..touches.len() {
            let (touch, mut at) = (touches[end], end);
            while at > 0 && touches[at - 1] > touch {
                touches[at] = touches[at - 1];
                at -= 1;
            }
            touches[at] = touch;
        }
    }
    // Of two touches of the same target the write comes first and is kept.
    touches.dedup_by_key(|touch| touch.target());
}

#[cfg(test)]
mod tests;
