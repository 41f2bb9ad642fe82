//! I1: every live task has exactly one owner region.

use super::tree::Tree;
use super::{Ending, Findings, Invariant, Oracle, kinds};
use asupersync_core::Event;

#[derive(Clone, Debug, Default)]
pub(super) struct Ownership;

impl Oracle for Ownership {
    const INVARIANT: Invariant = Invariant::Ownership;
    const WANTS: u32 = kinds::POLL_BEGIN | kinds::COMPLETED | kinds::SPAWNED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            Event::TaskSpawned { task, region, .. } => {
                findings.saw();
                if let Some(other) = tree.tasks.get(&task) {
                    findings.broken(|| {
                        format!(
                            "{} was admitted to region {region} while region {} owns it",
                            tree.task_text(task),
                            other.region
                        )
                    });
                }
                match tree.regions.get(&region) {
                    None => findings.broken(|| {
                        format!("task {task} was admitted to {region}, which never opened")
                    }),
                    Some(facts) if facts.closed => findings.broken(|| {
                        format!("task {task} was admitted to {region}, which is closed")
                    }),
                    Some(_) => {}
                }
            }
            Event::TaskCompleted { task, region, .. } => {
                findings.saw();
                match tree.tasks.get(&task) {
                    None => findings.broken(|| format!("task {task} completed but was not alive")),
                    Some(facts) if facts.region != region => findings.broken(|| {
                        format!(
                            "{} completed in region {region} but is owned by {}",
                            tree.task_text(task),
                            facts.region
                        )
                    }),
                    Some(_) => {}
                }
            }
            Event::PollBegin { task, .. } => {
                findings.saw();
                if !tree.tasks.contains_key(&task) {
                    findings.broken(|| format!("task {task} was polled but no region owns it"));
                }
            }
            _ => {}
        }
    }

    fn end(&mut self, ending: Ending, tree: &Tree, findings: &mut Findings) {
        if ending == Ending::Quiescent {
            let mut left: Vec<_> = tree.tasks.keys().copied().collect();
            left.sort_unstable();
            for task in left {
                findings.broken(|| format!("{} outlived the root region", tree.task_text(task)));
            }
        }
    }
}
