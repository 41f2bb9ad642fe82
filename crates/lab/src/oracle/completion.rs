//! I5: a cancelled task ends within its cleanup budget, or is dropped where that is over. And what was
//! asked to finish has ended, or is cancelled, when its grace is over.

use super::tree::Tree;
use super::{Ending, Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, RegionId, TaskId, Time};
use asupersync_trace::{IdMap, IdSet};

#[derive(Clone, Debug, Default)]
pub(super) struct Completion {
    /// Cancelled and not ended: the polls begun since its cleanup budget was over, if it is.
    cancelled: IdMap<TaskId, Option<u32>>,
    /// Cancelled and not closed.
    regions: IdSet<RegionId>,
    /// What was asked to finish, is neither over nor cancelled, and when it must be.
    asked: Vec<(Asked, Time)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    Task(TaskId),
    Region(RegionId),
}

impl Completion {
    fn heard(&mut self, asked: Asked) {
        self.asked.retain(|(other, _)| *other != asked);
    }

    /// It is this late.
    fn overdue(&mut self, now: Time, tree: &Tree, findings: &mut Findings) {
        self.asked.retain(|(asked, until)| {
            let late = *until < now;
            if late {
                findings.broken(|| {
                    let who = match asked {
                        Asked::Task(task) => tree.task_text(*task),
                        Asked::Region(region) => format!("region {region}"),
                    };
                    format!("{who} was asked to finish until {until}, and is neither over nor cancelled at {now}")
                });
            }
            !late
        });
    }
}

impl Oracle for Completion {
    const INVARIANT: Invariant = Invariant::Completion;
    const WANTS: u32 =
        kinds::POLL_BEGIN | kinds::CANCEL | kinds::COMPLETED | kinds::SOFT | kinds::REGION_CLOSED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::TaskCancelRequested { task, .. } => {
                findings.saw();
                self.cancelled.entry(task).or_insert(None);
                self.heard(Asked::Task(task));
            }
            Event::RegionCancelRequested { region, .. } => {
                self.regions.insert(region);
                self.heard(Asked::Region(region));
            }
            Event::RegionClosed { region, .. } => {
                self.regions.remove(&region);
                self.heard(Asked::Region(region));
            }
            Event::TaskSoftCancelled { task, until: Some(until) } => {
                findings.saw();
                if !self.cancelled.contains_key(&task) {
                    self.asked.push((Asked::Task(task), until));
                }
            }
            Event::RegionSoftCancelled { region, until: Some(until) } => {
                findings.saw();
                if !self.regions.contains(&region) {
                    self.asked.push((Asked::Region(region), until));
                }
            }
            Event::PollBegin { at, .. } if self.asked.iter().any(|(_, until)| *until < at) => {
                self.overdue(at, tree, findings);
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
            Event::TaskCompleted { task, .. } => {
                if !self.cancelled.is_empty() {
                    self.cancelled.remove(&task);
                }
                self.heard(Asked::Task(task));
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
        self.regions.clear();
        self.asked.clear();
    }
}
