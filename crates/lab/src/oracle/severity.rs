//! I4: the severity of a cancellation never falls.

use super::tree::Tree;
use super::{Findings, Invariant, Oracle, kinds};
use asupersync_core::{CancelKind, Event, RegionId, TaskId};
use asupersync_trace::IdMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Monotone {
    tasks: IdMap<TaskId, CancelKind>,
    regions: IdMap<RegionId, CancelKind>,
}

impl Oracle for Monotone {
    const INVARIANT: Invariant = Invariant::Severity;
    const WANTS: u32 = kinds::CANCEL | kinds::COMPLETED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::TaskCancelRequested { task, severity, .. } => {
                findings.saw();
                let known = self.tasks.entry(task).or_insert(severity);
                if severity < *known {
                    let before = *known;
                    findings.broken(|| {
                        let task = tree.task_text(task);
                        format!("{task} fell from \"{before}\" to \"{severity}\"")
                    });
                }
                *known = severity;
            }
            Event::RegionCancelRequested { region, severity, .. } => {
                findings.saw();
                let known = self.regions.entry(region).or_insert(severity);
                if severity < *known {
                    let before = *known;
                    findings.broken(|| {
                        format!("region {region} fell from \"{before}\" to \"{severity}\"")
                    });
                }
                *known = severity;
            }
            Event::TaskCompleted { task, .. } if !self.tasks.is_empty() => {
                self.tasks.remove(&task);
            }
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.tasks.clear();
        self.regions.clear();
    }
}
