//! I10: no effect without its capability.
//!
//! Which capabilities a context has is in its type, and the compiler's business. Left for a run to show is
//! that a context is used by the task it belongs to: one handed to another task lends it capabilities that it
//! was never given.

use super::tree::Tree;
use super::{Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, TaskId};

#[derive(Clone, Debug, Default)]
pub(super) struct Authority {
    polled: Option<TaskId>,
}

impl Oracle for Authority {
    const INVARIANT: Invariant = Invariant::Authority;
    const WANTS: u32 = kinds::BRANCHES
        | kinds::RESERVED
        | kinds::POLL_BEGIN
        | kinds::POLL_END
        | kinds::USER
        | kinds::PARKED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        let (task, what) = match *event {
            Event::PollBegin { task, .. } => {
                findings.saw();
                self.polled = Some(task);
                return;
            }
            Event::PollEnd { .. } => {
                self.polled = None;
                return;
            }
            Event::ObligationReserved { task, kind, .. } => (task, kind),
            Event::WaitParked { task, label, .. } => (task, label),
            Event::BranchOpened { task, .. } => (task, "a branch"),
            Event::User { task, .. } => (task, "a message"),
            _ => return,
        };
        findings.saw();
        if self.polled != Some(task) {
            let by = self.polled;
            findings.broken(|| {
                let by =
                    by.map_or_else(|| "outside every step".to_owned(), |by| tree.task_text(by));
                format!("{what} through the context of {}, by {by}", tree.task_text(task))
            });
        }
    }

    fn clear(&mut self) {
        self.polled = None;
    }
}
