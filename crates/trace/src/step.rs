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
    /// The clock, which moves only when nothing else can, or an injected fault: ordered with
    /// everything.
    Host,
    /// What happens outside steps, before the first poll and after the last; ordered.
    Outside,
}

impl Actor {
    /// Whether two steps of this actor are ordered merely by being its steps.
    pub(crate) const fn is_sequential(self) -> bool {
        !matches!(self, Actor::Timer(_))
    }
}

/// What can be read or written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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

    /// All of it in a number, by which targets are in their order, and a write before a read.
    const fn key(self) -> u128 {
        let (rank, bits) = match self.target {
            Target::Object(id) => (0, id.to_bits()),
            Target::Readiness(id) => (1, id.to_bits()),
            Target::Door(id) => (2, id.to_bits()),
            Target::Children(id) => (3, id.to_bits()),
            Target::Turn(id) => (4, id.to_bits()),
        };
        let bits: u64 = bits;
        ((rank as u128) << 65) | ((bits as u128) << 1) | !self.write as u128
    }

    fn of_key(key: u128) -> Touch {
        let bits = (key >> 1) as u64;
        let target = match (key >> 65) as u8 {
            0 => Target::Object(ObjectId::from_bits(bits)),
            1 => Target::Readiness(TaskId::from_bits(bits)),
            2 => Target::Door(RegionId::from_bits(bits)),
            3 => Target::Children(RegionId::from_bits(bits)),
            _ => Target::Turn(RegionId::from_bits(bits)),
        };
        Touch { target, write: key & 1 == 0 }
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
        let mut keys: Vec<u128> = touches.into_iter().map(Touch::key).collect();
        normalise(&mut keys);
        Step { actor, touches: keys.into_iter().map(Touch::of_key).collect() }
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

impl StepView<'_> {
    /// A copy to keep.
    #[must_use]
    pub fn to_step(self) -> Step {
        Step { actor: self.actor, touches: self.touches.into() }
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
        match x.target.cmp(&y.target) {
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
    /// The region was opened by this task.
    Open(RegionId, TaskId),
    /// The region found no child left and acted on it.
    Close(RegionId),
}

/// The same rows for the kernel's events and the owned ones: their variants have the same names.
macro_rules! effects {
    ($event:expr, $E:ident, $sink:ident, { $($host:tt)* }) => {
        match *$event {
            $E::PollBegin { task, .. } => {
                $sink(Effect::Begin(Actor::Task(task)));
                $sink(Effect::Touch(Touch::read(Target::Readiness(task))));
            }
            $E::PollEnd { .. } => $sink(Effect::End),
            $E::TaskWoken { task, .. } | $E::TaskCancelRequested { task, .. } => {
                $sink(Effect::Touch(Touch::write(Target::Readiness(task))));
            }
            $E::TaskCancelIgnored { task } => {
                $sink(Effect::Touch(Touch::read(Target::Readiness(task))));
            }
            $E::RegionCancelIgnored { region } => {
                $sink(Effect::Touch(Touch::read(Target::Door(region))));
            }
            $E::TaskSpawned { task, region, .. } => {
                $sink(Effect::Touch(Touch::write(Target::Readiness(task))));
                $sink(Effect::Touch(Touch::read(Target::Door(region))));
                $sink(Effect::Touch(Touch::read(Target::Children(region))));
            }
            $E::SpawnRefused { region, .. } => {
                $sink(Effect::Touch(Touch::read(Target::Door(region))));
            }
            // Who is spawned or opened beneath later sees it from the start.
            $E::RegionSoftCancelled { region, .. } => {
                $sink(Effect::Touch(Touch::write(Target::Door(region))));
            }
            $E::TaskSoftCancelled { task, .. } => {
                $sink(Effect::Touch(Touch::write(Target::Readiness(task))));
            }
            // A child that has ended is not told of a cancellation that comes later.
            $E::TaskCompleted { region, .. } => {
                $sink(Effect::Touch(Touch::read(Target::Children(region))));
                $sink(Effect::Touch(Touch::read(Target::Turn(region))));
            }
            // It is this one that closes the region, or the last child: which, their order decides.
            $E::RegionClosing { region } => {
                $sink(Effect::Touch(Touch::read(Target::Children(region))));
                $sink(Effect::Touch(Touch::write(Target::Turn(region))));
            }
            $E::RegionOpened { region, parent, by, .. } => {
                $sink(Effect::Touch(Touch::write(Target::Door(region))));
                if let Some(parent) = parent {
                    $sink(Effect::Touch(Touch::read(Target::Door(parent))));
                    $sink(Effect::Touch(Touch::read(Target::Children(parent))));
                }
                if let Some(by) = by {
                    $sink(Effect::Open(region, by));
                }
            }
            $E::RegionCancelRequested { region, .. } => {
                $sink(Effect::Touch(Touch::write(Target::Door(region))));
                $sink(Effect::Touch(Touch::write(Target::Turn(region))));
            }
            $E::RegionFinalizing { region } | $E::RegionClosed { region, .. } => {
                $sink(Effect::Close(region));
                $sink(Effect::Touch(Touch::write(Target::Children(region))));
                $sink(Effect::Touch(Touch::write(Target::Door(region))));
            }
            $E::Access { object, access, .. } => {
                let write = access == Access::Write;
                $sink(Effect::Touch(Touch { target: Target::Object(object), write }));
            }
            $($host)*
            _ => {}
        }
    };
}

impl Effect {
    /// Calls `sink` with the effects of a kernel event, in order.
    #[inline]
    pub(crate) fn each_of_kernel(event: &kernel::Event<'_>, mut sink: impl FnMut(Effect)) {
        use kernel::Event as E;
        effects!(event, E, sink, {});
    }

    /// Calls `sink` with the effects of a recorded event, in order.
    #[inline]
    pub(crate) fn each_of_event(event: &Event, mut sink: impl FnMut(Effect)) {
        use Event as E;
        effects!(event, E, sink, {
            E::TimerFired { at } => sink(Effect::Begin(Actor::Timer(at))),
            E::ClockAdvanced { .. }
            | E::CancelInjected { .. }
            | E::Abandoned { .. }
            | E::FaultInjected { .. } => {
                sink(Effect::Begin(Actor::Host));
            }
        });
    }

    /// The effects of a kernel event, in order.
    pub fn of_kernel(event: &kernel::Event<'_>) -> impl Iterator<Item = Effect> + use<> {
        collect(|sink| Effect::each_of_kernel(event, sink))
    }

    /// The effects of a recorded event, in order.
    pub fn of_event(event: &Event) -> impl Iterator<Item = Effect> + use<> {
        collect(|sink| Effect::each_of_event(event, sink))
    }
}

type Effects = std::iter::Flatten<std::array::IntoIter<Option<Effect>, 4>>;

fn collect(each: impl FnOnce(&mut dyn FnMut(Effect))) -> Effects {
    let mut effects = [None; 4];
    let mut count = 0;
    each(&mut |effect| {
        effects[count] = Some(effect);
        count += 1;
    });
    effects.into_iter().flatten()
}

/// Collects effects into steps.
#[derive(Clone, Debug, Default)]
pub struct StepBuilder {
    actor: Option<Actor>,
    /// The keys of what the step in progress touched.
    touches: Vec<u128>,
    done: Vec<Touch>,
    openers: IdMap<RegionId, TaskId>,
}

impl StepBuilder {
    /// Takes the next effect; yields the step that it ended.
    #[inline]
    pub fn feed(&mut self, effect: Effect) -> Option<StepView<'_>> {
        match effect {
            Effect::Touch(touch) => {
                self.touch(touch);
                None
            }
            Effect::Open(region, task) => {
                self.openers.insert(region, task);
                None
            }
            Effect::End | Effect::Begin(_) | Effect::Close(_) => self.turn(effect),
        }
    }

    /// The step in progress touches something.
    #[inline]
    fn touch(&mut self, touch: Touch) {
        self.actor.get_or_insert(Actor::Outside);
        let key = touch.key();
        // Who spawns many touches the same region for each.
        let last = self.touches.len().saturating_sub(3);
        if !self.touches[last..].contains(&key) {
            self.touches.push(key);
        }
    }

    /// Another step begins, or none.
    fn turn(&mut self, effect: Effect) -> Option<StepView<'_>> {
        let next = match effect {
            Effect::Begin(actor) => Some(actor),
            Effect::Close(region) => {
                let opener = self.openers.get(&region).map(|opener| Actor::Task(*opener));
                if opener.is_some() && opener == self.actor {
                    return None;
                }
                Some(Actor::Region(region))
            }
            _ => None,
        };
        let before = std::mem::replace(&mut self.actor, next);
        self.take(before)
    }

    /// Ends the step in progress, if there is one, and yields it.
    pub fn finish(&mut self) -> Option<StepView<'_>> {
        let actor = self.actor.take();
        self.take(actor)
    }

    /// Forgets everything, keeping memory; to be called between runs.
    pub fn clear(&mut self) {
        self.actor = None;
        self.touches.clear();
        self.openers.clear();
    }

    fn take(&mut self, actor: Option<Actor>) -> Option<StepView<'_>> {
        let actor = actor?;
        normalise(&mut self.touches);
        self.done.clear();
        self.done.extend(self.touches.drain(..).map(Touch::of_key));
        Some(StepView { actor, touches: &self.done })
    }
}

/// Footprints up to this long are sorted by insertion, which is most of them.
const SHORT: usize = 16;

fn normalise(touches: &mut Vec<u128>) {
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
    touches.dedup_by_key(|touch| *touch >> 1);
}

#[cfg(test)]
mod tests;
