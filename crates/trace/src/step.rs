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
use asupersync_core as kernel;
use asupersync_core::event::Access;
use asupersync_core::{DetHashMap, ObjectId, RegionId, TaskId, Time};

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
}

/// One step of a run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    /// Who took it.
    pub actor: Actor,
    /// What it touched: sorted, each target once, a write covering a read.
    pub touches: Box<[Touch]>,
}

impl Step {
    /// A step with this footprint, in any order and with repetitions.
    #[must_use]
    pub fn new(actor: Actor, mut touches: Vec<Touch>) -> Step {
        normalise(&mut touches);
        Step { actor, touches: touches.into() }
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

const NONE: [Option<Effect>; 4] = [None; 4];

/// The same rows for the kernel's events and the owned ones: their variants have the same names.
macro_rules! effects {
    ($event:expr, $E:ident, { $($host:tt)* }) => {
        match *$event {
            $E::PollBegin { task, .. } => [
                Some(Effect::Begin(Actor::Task(task))),
                Some(Effect::Touch(Touch::read(Target::Readiness(task)))),
                None,
                None,
            ],
            $E::PollEnd { .. } => [Some(Effect::End), None, None, None],
            $E::TaskWoken { task, .. } | $E::TaskCancelRequested { task, .. } => {
                [Some(Effect::Touch(Touch::write(Target::Readiness(task)))), None, None, None]
            }
            $E::TaskSpawned { task, region, .. } => [
                Some(Effect::Touch(Touch::write(Target::Readiness(task)))),
                Some(Effect::Touch(Touch::read(Target::Door(region)))),
                Some(Effect::Touch(Touch::read(Target::Children(region)))),
                None,
            ],
            $E::SpawnRefused { region, .. } => {
                [Some(Effect::Touch(Touch::read(Target::Door(region)))), None, None, None]
            }
            // A child that has ended is not told of a cancellation that comes later.
            $E::TaskCompleted { region, .. } => [
                Some(Effect::Touch(Touch::read(Target::Children(region)))),
                Some(Effect::Touch(Touch::read(Target::Turn(region)))),
                None,
                None,
            ],
            // It is this one that closes the region, or the last child: which, their order decides.
            $E::RegionClosing { region } => [
                Some(Effect::Touch(Touch::read(Target::Children(region)))),
                Some(Effect::Touch(Touch::write(Target::Turn(region)))),
                None,
                None,
            ],
            $E::RegionOpened { region, parent, by, .. } => [
                Some(Effect::Touch(Touch::write(Target::Door(region)))),
                parent.map(|parent| Effect::Touch(Touch::read(Target::Door(parent)))),
                parent.map(|parent| Effect::Touch(Touch::read(Target::Children(parent)))),
                by.map(|by| Effect::Open(region, by)),
            ],
            $E::RegionCancelRequested { region, .. } => [
                Some(Effect::Touch(Touch::write(Target::Door(region)))),
                Some(Effect::Touch(Touch::write(Target::Turn(region)))),
                None,
                None,
            ],
            $E::RegionFinalizing { region } | $E::RegionClosed { region, .. } => [
                Some(Effect::Close(region)),
                Some(Effect::Touch(Touch::write(Target::Children(region)))),
                Some(Effect::Touch(Touch::write(Target::Door(region)))),
                None,
            ],
            $E::Access { object, access, .. } => {
                let write = access == Access::Write;
                let target = Target::Object(object);
                [Some(Effect::Touch(Touch { target, write })), None, None, None]
            }
            $($host)*
            _ => NONE,
        }
    };
}

impl Effect {
    /// The effects of a kernel event, in order.
    pub fn of_kernel(event: &kernel::Event<'_>) -> impl Iterator<Item = Effect> + use<> {
        use kernel::Event as E;
        effects!(event, E, {}).into_iter().flatten()
    }

    /// The effects of a recorded event, in order.
    pub fn of_event(event: &Event) -> impl Iterator<Item = Effect> + use<> {
        use Event as E;
        effects!(event, E, {
            E::TimerFired { at } => [Some(Effect::Begin(Actor::Timer(at))), None, None, None],
            E::ClockAdvanced { .. } | E::CancelInjected { .. } | E::Abandoned { .. } => {
                [Some(Effect::Begin(Actor::Host)), None, None, None]
            }
        })
        .into_iter()
        .flatten()
    }
}

/// Collects effects into steps.
#[derive(Debug, Default)]
pub struct StepBuilder {
    actor: Option<Actor>,
    touches: Vec<Touch>,
    done: Vec<Touch>,
    openers: DetHashMap<RegionId, TaskId>,
}

impl StepBuilder {
    /// Takes the next effect; yields the step that it ended.
    pub fn feed(&mut self, effect: Effect) -> Option<StepView<'_>> {
        match effect {
            Effect::Touch(touch) => {
                self.actor.get_or_insert(Actor::Outside);
                self.touches.push(touch);
                None
            }
            Effect::End => self.finish(),
            Effect::Begin(actor) => {
                let before = self.actor.replace(actor);
                self.take(before)
            }
            Effect::Open(region, task) => {
                self.openers.insert(region, task);
                None
            }
            Effect::Close(region) => match (self.actor, self.openers.get(&region)) {
                (Some(Actor::Task(task)), Some(opener)) if task == *opener => None,
                _ => self.feed(Effect::Begin(Actor::Region(region))),
            },
        }
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
        self.done.clear();
        std::mem::swap(&mut self.touches, &mut self.done);
        normalise(&mut self.done);
        Some(StepView { actor, touches: &self.done })
    }
}

fn normalise(touches: &mut Vec<Touch>) {
    // Writes sort after reads of the same target, so reversed they come first and are kept.
    touches.sort_unstable_by(|a, b| a.target.cmp(&b.target).then(b.write.cmp(&a.write)));
    touches.dedup_by_key(|touch| touch.target);
}

#[cfg(test)]
mod tests;
