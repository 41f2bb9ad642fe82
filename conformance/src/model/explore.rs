//! Every end that a program can come to, whatever the schedule.

use super::Model;
use crate::log::{End, Event};
use crate::program::Body;
use std::collections::BTreeSet;

/// What of an end does not depend on the order of unrelated steps: the main task's end, and what regions,
/// joins and time limits answered, each by name and sorted.
pub type Answers = Vec<String>;

/// All ends that the choices of runnable tasks can lead to. None when there are more than `limit` runs to
/// look at, or when a run waits for the clock or for ever: then the answer depends on more than choices.
#[must_use]
pub fn ends(main: &Body, limit: usize) -> Option<BTreeSet<Answers>> {
    let mut found = BTreeSet::new();
    let mut pending = vec![Model::new(main)];
    let mut runs = 0;
    while let Some(mut model) = pending.pop() {
        loop {
            let runnable = model.runnable();
            let Some((first, others)) = runnable.split_first() else { break };
            for other in others {
                let mut branch = model.clone();
                branch.poll(*other);
                pending.push(branch);
            }
            model.poll(*first);
            model.take_seen();
        }
        runs += 1;
        if !model.is_over() || runs > limit {
            return None;
        }
        let (end, _, _) = model.result();
        let events = model.log().iter().map(|entry| (entry.who.name, &entry.event));
        found.insert(answers(end, events));
    }
    Some(found)
}

/// The answers in a log.
#[must_use]
pub fn answers<'a>(main: Option<End>, log: impl Iterator<Item = (&'a str, &'a Event)>) -> Answers {
    let mut answers: Answers = log
        .filter_map(|(who, event)| match event {
            Event::Answer(text) => Some(format!("{who} answers {text}")),
            Event::Joined(name, Ok(end)) => Some(format!("{who} joins {name}: {end:?}")),
            Event::Joined(name, Err(_)) => Some(format!("{who} joins {name}: no outcome")),
            Event::Closed { region, end, stragglers, leaks } => {
                Some(format!("{} closes: {end:?}, {stragglers:?}, {leaks} leaks", region.name))
            }
            _ => None,
        })
        .collect();
    answers.sort();
    answers.push(format!("main ends: {main:?}"));
    answers
}
