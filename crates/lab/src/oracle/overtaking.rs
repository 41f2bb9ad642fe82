//! Starvation: how many come after a waiter and are served before it.

use super::tree::Tree;
use super::{Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, ObjectId, TaskId};
use asupersync_trace::IdMap;

#[derive(Clone, Debug)]
pub(super) struct Overtaking {
    /// How many later ones may be served before a waiter is.
    pub(super) most: u64,
    lines: IdMap<ObjectId, Vec<Waiter>>,
    /// Who was served in the poll in progress, and when it had come.
    served: Option<(TaskId, ObjectId, u64)>,
    clock: u64,
}

#[derive(Clone, Debug)]
struct Waiter {
    task: TaskId,
    label: &'static str,
    since: u64,
    overtaken: u64,
}

impl Default for Overtaking {
    fn default() -> Overtaking {
        Overtaking { most: u64::MAX, lines: IdMap::default(), served: None, clock: 0 }
    }
}

impl Oracle for Overtaking {
    const INVARIANT: Invariant = Invariant::Overtaking;
    const WANTS: u32 =
        kinds::RESERVED | kinds::POLL_BEGIN | kinds::COMPLETED | kinds::PARKED | kinds::WAIT_ENDED;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        match *event {
            // A turn is not an object.
            Event::WaitParked { label: "yield_now", .. } => {}
            Event::WaitParked { task, label, .. } => {
                let Some(object) = tree.accessed else { return };
                self.clock += 1;
                let line = self.lines.entry(object).or_default();
                // An older wait of the same sort was dropped, of which there is no event.
                line.retain(|waiter| waiter.task != task || waiter.label != label);
                line.push(Waiter { task, label, since: self.clock, overtaken: 0 });
            }
            Event::WaitEnded { task, label, cancelled } => {
                for (object, line) in &mut self.lines {
                    let at = line.iter().position(|w| w.task == task && w.label == label);
                    let Some(at) = at else { continue };
                    let Waiter { since, overtaken, .. } = line.remove(at);
                    findings.saw();
                    if overtaken > self.most && !cancelled {
                        let name = tree.label_of(*object);
                        let most = self.most;
                        findings.broken(|| {
                            format!(
                                "{} waited in {label} for {name} {object} while {overtaken} that came \
                                 later were served; {most} may be",
                                tree.task_text(task)
                            )
                        });
                    }
                    self.served = Some((task, *object, since));
                    break;
                }
            }
            Event::ObligationReserved { task, .. } => {
                let (object, arrived) = match self.served.take() {
                    Some((of, object, since)) if of == task => (Some(object), since),
                    _ => (tree.accessed, u64::MAX),
                };
                let Some(line) = object.and_then(|object| self.lines.get_mut(&object)) else {
                    return;
                };
                for waiter in line.iter_mut().filter(|w| w.task != task && w.since < arrived) {
                    waiter.overtaken += 1;
                }
            }
            Event::TaskCompleted { task, .. } if !self.lines.is_empty() => {
                for line in self.lines.values_mut() {
                    line.retain(|waiter| waiter.task != task);
                }
            }
            Event::PollBegin { .. } => self.served = None,
            _ => {}
        }
    }

    fn clear(&mut self) {
        self.lines.clear();
        self.served = None;
        self.clock = 0;
    }
}
