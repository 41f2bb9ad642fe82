//! I3: a closed region has no unresolved obligation.
//!
//! Leaks, obligations settled twice, obligations never settled at all (`mem::forget`), and send
//! permits that a task let fall although nobody cancelled anything and it ended well: the slot goes
//! back, but the message that was promised never came.

use super::tree::{Tree, site_text};
use super::{Ending, Findings, Invariant, Oracle, kinds};
use asupersync_core::event::Resolution;
use asupersync_core::{Event, Severity, TaskId};
use asupersync_trace::IdMap;

#[derive(Clone, Debug)]
pub(super) struct Obligations {
    pub(super) dropped_permits_leak: bool,
    /// What each live task let fall.
    dropped: IdMap<TaskId, Vec<String>>,
}

impl Default for Obligations {
    fn default() -> Obligations {
        Obligations { dropped_permits_leak: true, dropped: IdMap::default() }
    }
}

/// Send permits by the names channels give their kinds. Locks and semaphores are given back by being
/// dropped, so their guards and permits are not among them.
fn is_send_permit(kind: &str) -> bool {
    kind.ends_with("::Permit") && !kind.starts_with("semaphore") && !kind.starts_with("Semaphore")
}

impl Oracle for Obligations {
    const INVARIANT: Invariant = Invariant::Obligations;
    const WANTS: u32 = kinds::RESERVED | kinds::RESOLVED | kinds::REGION_CLOSED | kinds::COMPLETED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::ObligationReserved { obligation, .. } => {
                findings.saw();
                if tree.obligations.contains_key(&obligation) {
                    findings.broken(|| format!("{} taken twice", tree.obligation_text(obligation)));
                }
            }
            Event::ObligationResolved { obligation, by, how } => {
                findings.saw();
                let Some(facts) = tree.obligations.get(&obligation) else {
                    findings.broken(|| format!("obligation {obligation} settled, but not open"));
                    return;
                };
                match (how, by) {
                    (Resolution::Leaked, _) => {
                        findings.broken(|| format!("leaked {}", tree.obligation_text(obligation)));
                    }
                    (Resolution::Dropped, Some(task))
                        if self.dropped_permits_leak && is_send_permit(facts.kind) =>
                    {
                        let text = format!(
                            "{}, taken at {}, was dropped without `send` or `abort` by",
                            facts.kind,
                            site_text(facts.site)
                        );
                        self.dropped.entry(task).or_default().push(text);
                    }
                    _ => {}
                }
            }
            Event::TaskCompleted { task, severity, .. } if !self.dropped.is_empty() => {
                let dropped = self.dropped.remove(&task).unwrap_or_default();
                let cancelled = tree.tasks.get(&task).is_some_and(|task| task.cancelled);
                if severity == Severity::Ok && !cancelled {
                    for what in dropped {
                        findings.broken(|| {
                            format!("{what} {}, which ended well", tree.task_text(task))
                        });
                    }
                }
            }
            Event::RegionClosed { region, unresolved, .. } => {
                findings.saw();
                if unresolved > 0 {
                    findings.broken(|| {
                        format!("region {region} closed with {unresolved} unresolved obligations")
                    });
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending, tree: &Tree, findings: &mut Findings) {
        if ending == Ending::Quiescent {
            let mut open: Vec<_> = tree.obligations.keys().copied().collect();
            open.sort_unstable();
            for obligation in open {
                findings.broken(|| {
                    format!("never settled (forgotten?): {}", tree.obligation_text(obligation))
                });
            }
        }
    }

    fn clear(&mut self) {
        self.dropped.clear();
    }
}
