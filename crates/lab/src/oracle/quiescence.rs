//! I2: a closed region has no live descendant.

use super::tree::Tree;
use super::{Ending, Findings, Invariant, Oracle, kinds};
use asupersync_core::Event;

#[derive(Clone, Debug, Default)]
pub(super) struct Quiescence;

impl Oracle for Quiescence {
    const INVARIANT: Invariant = Invariant::Quiescence;
    const WANTS: u32 = kinds::REGION_CLOSED | kinds::REGION_OPENED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::RegionClosed { region, live, .. } => {
                findings.saw();
                if live > 0 {
                    findings.broken(|| format!("region {region} closed, counting {live} live"));
                }
                let Some(facts) = tree.regions.get(&region) else {
                    findings.broken(|| format!("region {region} closed but never opened"));
                    return;
                };
                if facts.closed {
                    findings.broken(|| format!("region {region} closed twice"));
                }
                if facts.regions > 0 {
                    findings.broken(|| {
                        format!("region {region} closed over {} open regions", facts.regions)
                    });
                }
                if facts.tasks + facts.finalizers > 0 {
                    let mut inside: Vec<_> = tree
                        .tasks
                        .iter()
                        .filter(|(_, task)| task.region == region)
                        .map(|(id, _)| *id)
                        .collect();
                    inside.sort_unstable();
                    for task in inside {
                        findings.broken(|| {
                            format!("region {region} closed over {}", tree.task_text(task))
                        });
                    }
                }
            }
            Event::RegionOpened { region, parent: Some(parent), .. } => {
                findings.saw();
                if tree.regions.get(&parent).is_none_or(|parent| parent.closed) {
                    findings.broken(|| {
                        format!("region {region} opened in {parent}, which is not open")
                    });
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending, tree: &Tree, findings: &mut Findings) {
        if ending == Ending::Deadlock {
            for (region, live) in &tree.standing {
                findings.broken(|| {
                    format!(
                        "region {region} will never be quiescent: {live} of its tasks wait for ever"
                    )
                });
            }
        }
        if ending == Ending::Quiescent {
            let open = tree.regions.iter().filter(|(_, region)| !region.closed);
            let mut open: Vec<_> = open.map(|(id, _)| *id).collect();
            open.sort_unstable();
            for region in open {
                findings.broken(|| format!("region {region} is still open at the end of the run"));
            }
        }
    }
}
