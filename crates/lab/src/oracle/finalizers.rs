//! I7: finalizers run exactly once, last first, after all children.

use super::tree::Tree;
use super::{Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, RegionId};
use asupersync_trace::IdMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Finalizers {
    /// The finalizers of each open region that have not started, in order of registration.
    waiting: IdMap<RegionId, Vec<u32>>,
}

impl Oracle for Finalizers {
    const INVARIANT: Invariant = Invariant::Finalizers;
    const WANTS: u32 = kinds::FINALIZERS | kinds::REGION_CLOSED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::FinalizerDeferred { region, ordinal } => {
                findings.saw();
                self.waiting.entry(region).or_default().push(ordinal);
            }
            Event::FinalizerStarted { region, ordinal, task } => {
                findings.saw();
                let waiting = self.waiting.entry(region).or_default();
                match waiting.iter().rposition(|known| *known == ordinal) {
                    None => findings.broken(|| {
                        format!("finalizer {ordinal} of region {region} started, but none waits")
                    }),
                    Some(index) => {
                        if index + 1 != waiting.len() {
                            let later = waiting[waiting.len() - 1];
                            findings.broken(|| {
                                format!(
                                    "finalizer {ordinal} of region {region} started before \
                                     finalizer {later}, which was deferred after it"
                                )
                            });
                        }
                        waiting.remove(index);
                    }
                }
                if let Some(facts) = tree.regions.get(&region) {
                    let itself = u32::from(tree.tasks.contains_key(&task));
                    let others = facts.finalizers.saturating_sub(itself);
                    if facts.tasks + facts.regions + others > 0 {
                        findings.broken(|| {
                            format!(
                                "finalizer {ordinal} of region {region} started beside {} tasks, \
                                 {} regions and {others} finalizers",
                                facts.tasks, facts.regions
                            )
                        });
                    }
                }
            }
            Event::RegionClosed { region, .. } => {
                let waiting = self.waiting.remove(&region).unwrap_or_default();
                if !waiting.is_empty() {
                    findings.broken(|| {
                        format!("region {region} closed without running finalizers {waiting:?}")
                    });
                }
            }
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.waiting.clear();
    }
}
