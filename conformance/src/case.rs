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
    /// Every run of it gives the same answers, whatever the schedule.
    pub repeats: bool,
}

impl Case {
    pub(crate) fn new(name: &'static str, main: impl Into<Body>, judge: fn(&mut Seen<'_>)) -> Case {
        Case { name, program: Program { main: main.into() }, judge, repeats: false }
    }

    /// The same, whose answers must be the same in every run.
    pub(crate) fn repeated(self) -> Case {
        Case { repeats: true, ..self }
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
    knows_reasons: bool,
}

impl<'r> Seen<'r> {
    pub(crate) fn new(run: &'r Run, log: &Log, knows_reasons: bool) -> Seen<'r> {
        Seen { run, entries: log.entries(), failed: Vec::new(), knows_reasons }
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
        if !found.as_ref().is_some_and(|found| self.is_as(found, expected)) {
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
        let fits = matches!(&found, Some(Ok(found)) if self.is_as(found, expected));
        if !fits {
            let sentence = format!("task {task} joins as {expected:?}, not {found:?}");
            self.failed.push(sentence);
        }
    }

    /// The same end, as far as the runtime can tell.
    fn is_as(&self, found: &End, expected: &End) -> bool {
        match (found, expected) {
            (End::Cancelled(_), End::Cancelled(_)) if !self.knows_reasons => true,
            _ => found == expected,
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

    /// Whether one task of this name asked once what it is cancelled for, and was told this.
    #[must_use]
    pub fn was_told(&self, task: Name, cause: Cause) -> bool {
        let told: Vec<_> = self.told(task).collect();
        matches!(told[..], [Some(told)] if told == cause || !self.knows_reasons)
    }

    /// The reasons that the tasks of this name were told.
    pub fn told(&self, task: Name) -> impl Iterator<Item = Option<Cause>> {
        self.entries.iter().filter_map(move |entry| match entry.event {
            Event::Told(cause) if entry.who.name == task => Some(cause),
            _ => None,
        })
    }
}
