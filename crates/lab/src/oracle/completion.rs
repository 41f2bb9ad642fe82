//! I5: a cancelled task ends within its cleanup budget, or is dropped where that is over.

use super::tree::Tree;
use super::{Ending, Findings, Invariant, Oracle};
use asupersync_core::{DetHashMap, Event, TaskId};

#[derive(Debug, Default)]
pub(super) struct Completion {
    /// Cancelled and not ended: the polls begun since its cleanup budget was over, if it is.
    cancelled: DetHashMap<TaskId, Option<u32>>,
}

impl Oracle for Completion {
    const INVARIANT: Invariant = Invariant::Completion;

    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::TaskCancelRequested { task, .. } => {
                findings.saw();
                self.cancelled.entry(task).or_insert(None);
            }
            Event::TaskEscalated { task } => {
                findings.saw();
                self.cancelled.insert(task, Some(0));
            }
            Event::PollBegin { task, .. } if !self.cancelled.is_empty() => {
                let Some(Some(polls)) = self.cancelled.get_mut(&task) else { return };
                *polls += 1;
                // At the first it is dropped.
                if *polls == 2 {
                    findings.broken(|| {
                        format!("{} is polled on after its cleanup budget", tree.task_text(task))
                    });
                }
            }
            Event::TaskCompleted { task, .. } if !self.cancelled.is_empty() => {
                self.cancelled.remove(&task);
            }
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending, tree: &Tree, findings: &mut Findings) {
        if ending != Ending::Quiescent {
            return;
        }
        let mut left: Vec<TaskId> = self.cancelled.keys().copied().collect();
        left.sort_unstable();
        for task in left {
            findings.broken(|| format!("{} was cancelled and never ended", tree.task_text(task)));
        }
    }

    fn clear(&mut self) {
        self.cancelled.clear();
    }
}
