//! A case: a program, and what must have been seen.

use crate::Run;
use crate::log::{Cause, End, Entry, Event, Log};
use crate::program::{Body, Name, Program};

/// One thing a runtime must do.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name: the sentence that would be false.
    pub name: &'static str,
    /// The program to run.
    pub program: Program,
    /// Judges a finished run.
    pub judge: fn(&mut Seen<'_>),
}

impl Case {
    pub(crate) fn new(name: &'static str, main: impl Into<Body>, judge: fn(&mut Seen<'_>)) -> Case {
        Case { name, program: Program { main: main.into() }, judge }
    }
}

/// A finished run, to be judged.
#[derive(Debug)]
pub struct Seen<'r> {
    /// What the run came to.
    pub run: &'r Run,
    /// What it wrote.
    pub entries: Vec<Entry>,
    failed: Vec<String>,
}

impl<'r> Seen<'r> {
    pub(crate) fn new(run: &'r Run, log: &Log) -> Seen<'r> {
        Seen { run, entries: log.entries(), failed: Vec::new() }
    }

    pub(crate) fn into_failed(self) -> Vec<String> {
        self.failed
    }

    /// Demands that `holds`; `sentence` says what is false when it does not.
    pub fn must(&mut self, holds: bool, sentence: &str) {
        if !holds {
            self.failed.push(sentence.to_owned());
        }
    }

    /// Demands that all of these were seen, in this order.
    pub fn in_order(&mut self, positions: &[Option<usize>], sentence: &str) {
        let ordered = positions.windows(2).all(|pair| pair[0] < pair[1]);
        self.must(ordered && positions.iter().all(Option::is_some), sentence);
    }

    /// Demands that the region closed this way.
    pub fn closed_as(&mut self, region: Name, expected: &End) {
        let found = self.end_of(region).cloned();
        if found.as_ref() != Some(expected) {
            let sentence = format!("region {region} closes as {expected:?}, not {found:?}");
            self.failed.push(sentence);
        }
    }

    /// Demands that the task was joined and had ended this way.
    pub fn joined_as(&mut self, task: Name, expected: &End) {
        let found = self.entries.iter().find_map(|entry| match &entry.event {
            Event::Joined(name, end) if *name == task => Some(end.clone()),
            _ => None,
        });
        if found != Some(Ok(expected.clone())) {
            let sentence = format!("task {task} joins as {expected:?}, not {found:?}");
            self.failed.push(sentence);
        }
    }

    fn position(&self, matches: impl Fn(&Entry) -> bool) -> Option<usize> {
        self.entries.iter().position(matches)
    }

    /// Where the first note of this text stands.
    #[must_use]
    pub fn note(&self, text: Name) -> Option<usize> {
        self.position(|entry| entry.event == Event::Note(text))
    }

    /// How many notes of this text there are.
    #[must_use]
    pub fn notes(&self, text: Name) -> usize {
        self.entries.iter().filter(|entry| entry.event == Event::Note(text)).count()
    }

    /// Where the first task of this name was dropped.
    #[must_use]
    pub fn dropped(&self, task: Name) -> Option<usize> {
        self.position(|entry| entry.who.name == task && entry.event == Event::Dropped)
    }

    /// Where the join of this task answered.
    #[must_use]
    pub fn joined(&self, task: Name) -> Option<usize> {
        self.position(|entry| matches!(&entry.event, Event::Joined(name, _) if *name == task))
    }

    /// Where the region closed.
    #[must_use]
    pub fn closed(&self, region: Name) -> Option<usize> {
        self.position(
            |entry| matches!(&entry.event, Event::Closed { region: r, .. } if r.name == region),
        )
    }

    /// How the region closed.
    #[must_use]
    pub fn end_of(&self, region: Name) -> Option<&End> {
        match &self.entries[self.closed(region)?].event {
            Event::Closed { end, .. } => Some(end),
            _ => None,
        }
    }

    /// The stragglers and the number of leaks that the region reported.
    #[must_use]
    pub fn report_of(&self, region: Name) -> Option<(&[String], usize)> {
        match &self.entries[self.closed(region)?].event {
            Event::Closed { stragglers, leaks, .. } => Some((stragglers, *leaks)),
            _ => None,
        }
    }

    /// What steps answered, in order.
    pub fn answers(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().filter_map(|entry| match &entry.event {
            Event::Answer(answer) => Some(answer.as_str()),
            _ => None,
        })
    }

    /// The reasons that the tasks of this name were told.
    pub fn told(&self, task: Name) -> impl Iterator<Item = Option<Cause>> {
        self.entries.iter().filter_map(move |entry| match entry.event {
            Event::Told(cause) if entry.who.name == task => Some(cause),
            _ => None,
        })
    }
}
