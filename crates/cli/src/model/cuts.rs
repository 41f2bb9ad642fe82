//! What comes between two steps: cancellations, and what the lab does to a run.

use super::Model;
use asupersync_trace::Event;
use std::collections::BTreeMap;

/// Where tasks were cancelled.
pub(crate) struct Cut {
    /// It stands before the step of this number.
    pub(crate) before: usize,
    /// What was cancelled first: a region's path, or a task.
    pub(crate) of: String,
    /// The tasks that it reached, as positions in the model's.
    pub(crate) tasks: Vec<usize>,
    /// The lab did it, and no task.
    pub(crate) injected: bool,
}

/// Something that the lab did between two steps.
pub(crate) struct Sign {
    /// It stands before the step of this number.
    pub(crate) before: usize,
    /// What it is, in words.
    pub(crate) text: String,
    /// What follows is the tearing down of what is left.
    pub(crate) is_end: bool,
}

#[derive(Default)]
pub(super) struct Cuts {
    cuts: Vec<Cut>,
    signs: Vec<Sign>,
    /// The lab cancelled before this step.
    injected: Option<usize>,
    /// How often each fault was told of: first it strikes, then it is mended.
    struck: BTreeMap<u32, u32>,
}

impl Cuts {
    pub(super) fn take(&mut self, event: &Event, model: &Model) {
        let before = model.polls.len();
        match *event {
            Event::CancelInjected { .. } => self.injected = Some(before),
            Event::RegionCancelRequested { region, .. } => {
                self.cut(before, || format!("region {}", model.path(region)));
            }
            Event::TaskCancelRequested { task, .. } => {
                let Some(task) = model.lane(task) else { return };
                let cut = self.cut(before, || model.tasks[task].name.clone());
                if !cut.tasks.contains(&task) {
                    cut.tasks.push(task);
                }
            }
            Event::FaultInjected { number } => {
                let times = self.struck.entry(number).or_default();
                *times += 1;
                let text = match number {
                    u32::MAX => "all is mended".to_owned(),
                    _ if *times % 2 == 1 => format!("fault {number} strikes"),
                    _ => format!("{number} is mended"),
                };
                self.signs.push(Sign { before, text, is_end: false });
            }
            Event::Abandoned { .. } => {
                let text = "the lab gives the run up, and tears it down".to_owned();
                self.signs.push(Sign { before, text, is_end: true });
            }
            _ => {}
        }
    }

    /// What is cancelled between the same two steps is one cut.
    fn cut(&mut self, before: usize, of: impl FnOnce() -> String) -> &mut Cut {
        if self.cuts.last().is_none_or(|cut| cut.before != before) {
            let injected = self.injected == Some(before);
            self.cuts.push(Cut { before, of: of(), tasks: Vec::new(), injected });
        }
        self.cuts.last_mut().expect("one was added if there was none")
    }

    pub(super) fn finish(mut self) -> (Vec<Cut>, Vec<Sign>) {
        self.cuts.retain(|cut| !cut.tasks.is_empty());
        (self.cuts, self.signs)
    }
}
