//! I6: losers are drained before their combinator returns.

use super::tree::Tree;
use super::{Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, TaskId};
use asupersync_trace::IdMap;
use std::collections::VecDeque;

#[derive(Clone, Debug, Default)]
pub(super) struct Branches {
    /// The open branches of each live task, in order: a combinator may have a hundred thousand of them.
    open: IdMap<TaskId, VecDeque<u32>>,
}

impl Oracle for Branches {
    const INVARIANT: Invariant = Invariant::Branches;
    const WANTS: u32 = kinds::BRANCHES | kinds::COMPLETED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::BranchOpened { task, branch } => {
                findings.saw();
                let open = self.open.entry(task).or_default();
                // Their numbers grow, so the place is the last.
                match open.back().is_some_and(|last| *last >= branch) {
                    false => open.push_back(branch),
                    true => match open.binary_search(&branch) {
                        Ok(_) => findings.broken(|| {
                            format!("branch {branch} of {} opened twice", tree.task_text(task))
                        }),
                        Err(place) => open.insert(place, branch),
                    },
                }
            }
            Event::BranchClosed { task, branch, .. } => {
                findings.saw();
                let open = self.open.entry(task).or_default();
                match open.binary_search(&branch) {
                    Ok(place) => drop(open.remove(place)),
                    Err(_) => findings.broken(|| {
                        format!("branch {branch} of {} ended, but not open", tree.task_text(task))
                    }),
                }
            }
            Event::BranchesLeft { task, open } => {
                findings.saw();
                if open > 0 {
                    findings.broken(|| {
                        let task = tree.task_text(task);
                        format!("a combinator in {task} returned while {open} branches were open")
                    });
                }
            }
            Event::TaskCompleted { task, .. } if !self.open.is_empty() => {
                let open = self.open.remove(&task).unwrap_or_default();
                if !open.is_empty() {
                    findings.broken(|| {
                        format!("{} completed with open branches {open:?}", tree.task_text(task))
                    });
                }
            }
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.open.clear();
    }
}
