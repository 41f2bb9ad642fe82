//! What passes between tasks: whose writes a step meets.
//!
//! The events say what a step touches and not why, so a message that is received, a value that is read and a lock that
//! was given back are all told as this: the step that wrote the object last, if it is another task's.

use super::Model;
use asupersync_core::ObjectId;
use asupersync_core::event::Access;
use asupersync_trace::{Event, Trace};
use std::collections::BTreeMap;

/// Writes that one step is told to meet, at most.
const MOST: usize = 16;

#[derive(Default)]
pub(super) struct Flows {
    /// The steps that wrote these objects last.
    written: BTreeMap<ObjectId, usize>,
}

impl Flows {
    pub(super) fn take(&mut self, trace: &Trace, event: &Event, model: &mut Model) {
        let Event::Access { object, access, label, .. } = *event else { return };
        // A network that delivers between two steps hands on what a step sent.
        let Some(now) = model.polls.len().checked_sub(1).filter(|_| model.acting) else { return };
        let from = self.written.get(&object).copied().filter(|from| *from < now);
        if let Some(from) = from.filter(|from| model.polls[*from].task != model.polls[now].task) {
            let name = format!("{} {object}", trace.tables().text(label));
            let meets = &mut model.polls[now].meets;
            if meets.len() < MOST && !meets.iter().any(|(_, known)| *known == name) {
                meets.push((from, name));
            }
        }
        if access == Access::Write {
            self.written.insert(object, now);
        }
    }
}
