//! What a program was seen to do, in one order.

use crate::program::Name;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

/// A task of a run: its name and which of the run's tasks it is, in order of spawning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    /// The task's name.
    pub name: Name,
    /// Which of the run's spawns it was; the main task is 0.
    pub number: usize,
    /// The region it belongs to.
    pub region: Where,
}

/// A region of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Where {
    /// The region's name.
    pub name: Name,
    /// Which of the run's regions it is; the root is 0.
    pub number: usize,
}

/// The region that the main task runs in.
pub const ROOT: Where = Where { name: "root", number: 0 };
/// The main task.
pub const MAIN: Who = Who { name: "main", number: 0, region: ROOT };

/// Why something was cancelled, at the root of the matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Somebody asked for it.
    User,
    /// A deadline passed.
    Timeout,
    /// A poll or cost quota was spent.
    Quota,
    /// A sibling failed.
    FailFast,
    /// Another branch won.
    RaceLost,
    /// An enclosing scope was cancelled, for a reason that is no longer known.
    Parent,
    /// The runtime is going down.
    Shutdown,
}

/// How a task or region ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// It finished.
    Ok,
    /// It failed, with [`Step::Fail`](crate::program::Step::Fail)'s name.
    Failed(String),
    /// It was cancelled.
    Cancelled(Cause),
    /// It panicked, with this message.
    Panicked(String),
}

/// Something seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A note.
    Note(Name),
    /// The reason the task is cancelled for; none when it is not.
    Told(Option<Cause>),
    /// What a step answered.
    Answer(String),
    /// A task is about to be spawned.
    Spawned(Who),
    /// A spawned body and all it captured are gone.
    Dropped,
    /// A join answered.
    Joined(Name, Result<End, String>),
    /// A region is about to open.
    Opened(Where),
    /// A region has closed.
    Closed {
        /// Which.
        region: Where,
        /// How.
        end: End,
        /// The names of tasks that had to be escalated.
        stragglers: Vec<String>,
        /// How many obligations it reports as leaked.
        leaks: usize,
    },
    /// `run` returned.
    Returned,
}

/// An entry of the log: who did what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The task whose step it was.
    pub who: Who,
    /// What was seen.
    pub event: Event,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Who { name, number, region } = self.who;
        write!(f, "{}#{} {name}#{number}: ", region.name, region.number)?;
        match &self.event {
            Event::Note(text) => write!(f, "\"{text}\""),
            Event::Spawned(who) => {
                write!(
                    f,
                    "spawns {}#{} into {}#{}",
                    who.name, who.number, who.region.name, who.region.number
                )
            }
            Event::Opened(region) => write!(f, "opens {}#{}", region.name, region.number),
            Event::Closed { region, end, stragglers, leaks } => {
                write!(f, "{}#{} closed: {end:?}", region.name, region.number)?;
                write!(f, ", stragglers {stragglers:?}, leaks {leaks}")
            }
            other => write!(f, "{other:?}"),
        }
    }
}

/// The log of one run; clones write to the same log.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Book>>);

#[derive(Debug, Default)]
struct Book {
    entries: Vec<Entry>,
    // The region each region was opened in, by number; the root has no entry in use.
    parents: Vec<Option<Where>>,
    tasks: usize,
}

impl Log {
    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Writes an entry.
    pub fn write(&self, who: Who, event: Event) {
        self.book().entries.push(Entry { who, event });
    }

    /// Announces a spawn by `by` into `region`. What is returned goes into the spawned closure.
    #[must_use]
    pub fn spawn(&self, by: Who, name: Name, region: Where) -> Held {
        let mut book = self.book();
        book.tasks += 1;
        let who = Who { name, number: book.tasks, region };
        book.entries.push(Entry { who: by, event: Event::Spawned(who) });
        Held { who, log: self.clone() }
    }

    /// Announces that `by` opens a region inside `parent`.
    #[must_use]
    pub fn open(&self, by: Who, name: Name, parent: Where) -> Where {
        let mut book = self.book();
        if book.parents.is_empty() {
            book.parents.push(None);
        }
        let region = Where { name, number: book.parents.len() };
        book.parents.push(Some(parent));
        book.entries.push(Entry { who: by, event: Event::Opened(region) });
        region
    }

    /// Writes that a region has closed, as seen by the task that opened it.
    pub fn closed(&self, by: Who, region: Where, end: End, stragglers: Vec<String>, leaks: usize) {
        self.write(by, Event::Closed { region, end, stragglers, leaks });
    }

    /// The log so far.
    #[must_use]
    pub fn entries(&self) -> Vec<Entry> {
        self.book().entries.clone()
    }

    /// Whether `region` is `ancestor` or lies inside it.
    #[must_use]
    pub fn is_within(&self, region: Where, ancestor: Where) -> bool {
        let book = self.book();
        let mut at = Some(region);
        while let Some(region) = at {
            if region == ancestor {
                return true;
            }
            at = book.parents.get(region.number).copied().flatten();
        }
        false
    }
}

/// Lives in a spawned closure; its end is the end of the body and all it captured.
#[derive(Debug)]
pub struct Held {
    /// The task it stands for.
    pub who: Who,
    log: Log,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.log.write(self.who, Event::Dropped);
    }
}
