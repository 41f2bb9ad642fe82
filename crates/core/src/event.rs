//! What the kernel tells its observers.
//!
//! One enum, one stream: traces, oracles, the inspector and metrics are all readers of it, and none
//! keeps books of its own. With nobody listening an event costs one predictable branch.

use crate::cancel::CancelKind;
use crate::id::{ObjectId, ObligationId, RegionId, TaskId};
use crate::outcome::Severity;
use crate::time::Time;
use std::panic::Location;

/// Something the kernel did. Ids are schedule-independent; text is borrowed for the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[allow(missing_docs, reason = "field names say it; the variants are documented")]
pub enum Event<'a> {
    /// A task was admitted to its region. `by` is the spawning task; none from outside.
    TaskSpawned {
        task: TaskId,
        region: RegionId,
        by: Option<TaskId>,
        name: Option<&'a str>,
        site: &'static Location<'static>,
        finalizer: bool,
    },
    /// A spawn was refused: the region is cancelled, finalizing or closed.
    SpawnRefused { region: RegionId, by: Option<TaskId> },
    /// A step begins: the task is polled.
    PollBegin { task: TaskId, at: Time },
    /// A step ends.
    PollEnd { task: TaskId, ready: bool },
    /// A waker made the task runnable. `by` is the task whose step did it; none for hosts.
    TaskWoken { task: TaskId, by: Option<TaskId> },
    /// A wait found nothing and parked.
    WaitParked { task: TaskId, label: &'static str, site: &'static Location<'static> },
    /// A wait ended, with its event or because its scope was cancelled.
    WaitEnded { task: TaskId, label: &'static str, cancelled: bool },
    /// The task's own scope was cancelled, or its reason strengthened.
    TaskCancelRequested { task: TaskId, kind: CancelKind, severity: CancelKind },
    /// A request that changed nothing: the reason in force is as strong. That it is in force is what the step
    /// depends on.
    TaskCancelIgnored { task: TaskId },
    /// The task was asked to finish, itself or with a region around it. `until` is when the wish becomes a
    /// cancellation; what lies beneath the asked has none of its own.
    TaskSoftCancelled { task: TaskId, until: Option<Time> },
    /// The task has been told: a wait or checkpoint answered `Cancelled`.
    TaskCancelTold { task: TaskId },
    /// The cleanup budget is spent; the future is dropped at the next poll boundary.
    TaskEscalated { task: TaskId },
    /// The future is dropped and the outcome published.
    TaskCompleted { task: TaskId, region: RegionId, severity: Severity },
    /// A branch of a combinator began.
    BranchOpened { task: TaskId, branch: u32 },
    /// A branch ended: it finished, or was dropped after its cancellation.
    BranchClosed { task: TaskId, branch: u32, dropped: bool },
    /// A combinator returned while this many of its branches were still open (0 keeps I6).
    BranchesLeft { task: TaskId, open: u32 },
    /// A region opened. `by` is the task whose body it is part of; none for roots.
    RegionOpened {
        region: RegionId,
        parent: Option<RegionId>,
        by: Option<TaskId>,
        name: Option<&'a str>,
        site: &'static Location<'static>,
    },
    /// The region was cancelled, or its reason strengthened.
    RegionCancelRequested { region: RegionId, kind: CancelKind, severity: CancelKind },
    /// The region was asked to finish, itself or with one around it; `until` as for a task.
    RegionSoftCancelled { region: RegionId, until: Option<Time> },
    /// The region's future was dropped before the region has closed: it closes without it.
    RegionAbandoned { region: RegionId },
    /// A request that changed nothing: the reason in force is as strong, or the region has closed.
    RegionCancelIgnored { region: RegionId },
    /// The region's cleanup budget is spent: what is in it still is escalated.
    RegionEscalated { region: RegionId },
    /// The region's body has ended; it now waits for its children.
    RegionClosing { region: RegionId },
    /// Children are gone; finalizers run.
    RegionFinalizing { region: RegionId },
    /// A finalizer was registered; `ordinal` counts from 0 within the region.
    FinalizerDeferred { region: RegionId, ordinal: u32 },
    /// A finalizer starts, as this task.
    FinalizerStarted { region: RegionId, ordinal: u32, task: TaskId },
    /// Quiescent: no task, region or finalizer is left inside. `live` is what the region counted (0
    /// keeps I2).
    RegionClosed { region: RegionId, live: u32, unresolved: u32 },
    /// An obligation was taken on.
    ObligationReserved {
        obligation: ObligationId,
        task: TaskId,
        kind: &'static str,
        site: &'static Location<'static>,
    },
    /// An obligation was settled.
    ObligationResolved { obligation: ObligationId, by: Option<TaskId>, how: Resolution },
    /// A step read or wrote a shared object: what independence of steps is made of.
    Access { task: Option<TaskId>, object: ObjectId, access: Access, label: &'static str },
    /// A timer was armed for the task's wait or scope.
    TimerArmed { at: Time },
    /// The program's own trace point.
    User { task: TaskId, message: &'a str },
}

impl<'a> Event<'a> {
    /// The text that it borrows: a name, or the program's message.
    #[must_use]
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn text(&self) -> Option<&'a str> {
        match *self {
            Event::TaskSpawned { name, .. } | Event::RegionOpened { name, .. } => name,
            Event::User { message, .. } => Some(message),
            _ => None,
        }
    }

    /// The event with this for the text that it borrows: with a copy of its own it can be kept.
    // Where the sort of event is known, what is left of this is a copy.
    #[must_use]
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn with_text<'b>(&self, text: Option<&'b str>) -> Event<'b> {
        macro_rules! copied {
            ($($name:ident { $($field:ident),* })*) => {
                match *self {
                    Event::TaskSpawned { task, region, by, name: _, site, finalizer } => {
                        Event::TaskSpawned { task, region, by, name: text, site, finalizer }
                    }
                    Event::RegionOpened { region, parent, by, name: _, site } => {
                        Event::RegionOpened { region, parent, by, name: text, site }
                    }
                    Event::User { task, message: _ } => {
                        Event::User { task, message: text.unwrap_or_default() }
                    }
                    $( Event::$name { $($field),* } => Event::$name { $($field),* }, )*
                }
            };
        }
        copied! {
            SpawnRefused { region, by }
            PollBegin { task, at }
            PollEnd { task, ready }
            TaskWoken { task, by }
            WaitParked { task, label, site }
            WaitEnded { task, label, cancelled }
            TaskCancelRequested { task, kind, severity }
            TaskCancelIgnored { task }
            TaskSoftCancelled { task, until }
            TaskCancelTold { task }
            TaskEscalated { task }
            TaskCompleted { task, region, severity }
            BranchOpened { task, branch }
            BranchClosed { task, branch, dropped }
            BranchesLeft { task, open }
            RegionCancelRequested { region, kind, severity }
            RegionSoftCancelled { region, until }
            RegionCancelIgnored { region }
            RegionEscalated { region }
            RegionAbandoned { region }
            RegionClosing { region }
            RegionFinalizing { region }
            FinalizerDeferred { region, ordinal }
            FinalizerStarted { region, ordinal, task }
            RegionClosed { region, live, unresolved }
            ObligationReserved { obligation, task, kind, site }
            ObligationResolved { obligation, by, how }
            Access { task, object, access, label }
            TimerArmed { at }
        }
    }
}

/// How an obligation was settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resolution {
    /// Fulfilled: a permit sent, a reply given, an acknowledgement committed.
    Committed,
    /// Given back by name.
    Aborted,
    /// Given back by being dropped; clean for the abort class.
    Dropped,
    /// Never settled, or dropped although it had to be.
    Leaked,
    /// Its time ran out.
    Expired,
}

/// How a step touched an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Commutes with other reads.
    Read,
    /// Commutes with nothing on the same object.
    Write,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_with_a_copy_of_its_text_is_the_same_event() {
        let task = TaskId::from_bits(1);
        let region = RegionId::from_bits(2);
        let site = Location::caller();
        let name = String::from("a name");
        let spawned =
            |name| Event::TaskSpawned { task, region, by: None, name, site, finalizer: true };
        let opened =
            |name| Event::RegionOpened { region, parent: None, by: Some(task), name, site };
        let events = [
            spawned(Some(&*name)),
            spawned(None),
            opened(Some(&*name)),
            opened(None),
            Event::User { task, message: &name },
            Event::TaskWoken { task, by: None },
            Event::RegionClosed { region, live: 3, unresolved: 4 },
        ];
        for event in events {
            let copy = event.text().map(str::to_owned);
            assert_eq!(event.with_text(copy.as_deref()), event);
        }
    }
}
