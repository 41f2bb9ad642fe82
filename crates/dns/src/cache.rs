//! Answers that may still be given.

use crate::Record;
use crate::message::Question;
use asupersync_core::{DetHashMap, Time};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How much is kept, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheLimits {
    /// Questions whose answers are kept; beyond, those that would go first anyway are forgotten.
    /// 1,024 by default; 0 keeps none.
    pub entries: usize,
    /// The longest that records are kept, whatever they say. A day by default.
    pub longest: Duration,
    /// The longest that a "no" is kept. 15 minutes by default.
    pub longest_no: Duration,
    /// The shortest that anything is kept. Zero by default.
    pub shortest: Duration,
}

impl Default for CacheLimits {
    fn default() -> CacheLimits {
        CacheLimits {
            entries: 1024,
            longest: Duration::from_secs(86_400),
            longest_no: Duration::from_secs(900),
            shortest: Duration::ZERO,
        }
    }
}

/// What is known of a question: records, or that there are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Records(Arc<[Record]>),
    None { exists: bool },
}

/// It is told what time it is.
#[derive(Debug)]
pub(crate) struct Cache {
    limits: CacheLimits,
    entries: DetHashMap<Question, (Time, Known)>,
    /// The same questions by when they end.
    ends: BTreeSet<(Time, Question)>,
}

impl Cache {
    pub(crate) fn new(limits: CacheLimits) -> Cache {
        Cache { limits, entries: DetHashMap::default(), ends: BTreeSet::new() }
    }

    pub(crate) fn get(&mut self, question: &Question, now: Time) -> Option<Known> {
        self.expire(now);
        self.entries.get(question).map(|(_, known)| known.clone())
    }

    pub(crate) fn put(&mut self, question: Question, known: Known, keep: Duration, now: Time) {
        let longest = match known {
            Known::Records(_) => self.limits.longest,
            Known::None { .. } => self.limits.longest_no,
        };
        // A lower bound above the upper one is the upper one.
        let keep = keep.max(self.limits.shortest).min(longest);
        self.expire(now);
        if keep.is_zero() || self.limits.entries == 0 {
            return;
        }
        let end = now + keep;
        if let Some((old, _)) = self.entries.insert(question.clone(), (end, known)) {
            self.ends.remove(&(old, question.clone()));
        }
        self.ends.insert((end, question));
        while self.ends.len() > self.limits.entries {
            self.drop_first();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }

    fn expire(&mut self, now: Time) {
        while self.ends.first().is_some_and(|(end, _)| *end <= now) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, question)) = self.ends.pop_first() {
            self.entries.remove(&question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RecordType;

    const NO: Known = Known::None { exists: false };

    fn question(n: usize) -> Question {
        Question { name: format!("n{n}").parse().unwrap(), of: RecordType::A }
    }

    fn some() -> Known {
        Known::Records(Arc::new([]))
    }

    #[test]
    fn an_answer_is_kept_as_long_as_it_says_within_the_limits() {
        let seconds = Duration::from_secs;
        let mut cache = Cache::new(CacheLimits {
            longest: seconds(100),
            longest_no: seconds(10),
            shortest: seconds(2),
            ..CacheLimits::default()
        });
        for (n, (known, says, keeps)) in
            [(some(), 50, 50), (some(), 1000, 100), (some(), 0, 2), (NO, 50, 10)]
                .into_iter()
                .enumerate()
        {
            let start = Time::from_secs(1000);
            cache.put(question(n), known.clone(), seconds(says), start);
            assert_eq!(cache.get(&question(n), Time::from_secs(1000 + keeps - 1)), Some(known));
            assert_eq!(cache.get(&question(n), Time::from_secs(1000 + keeps)), None);
        }
    }

    #[test]
    fn it_holds_no_more_than_it_may_and_forgets_what_ends_first() {
        let mut cache = Cache::new(CacheLimits { entries: 10, ..CacheLimits::default() });
        for n in 0..1000 {
            cache.put(question(n % 100), some(), Duration::from_secs(60 + n as u64), Time::ZERO);
            assert!(cache.entries.len() <= 10 && cache.entries.len() == cache.ends.len());
        }
        assert_eq!(cache.get(&question(99), Time::ZERO), Some(some()));
        assert_eq!(cache.get(&question(80), Time::ZERO), None);
        let mut none = Cache::new(CacheLimits { entries: 0, ..CacheLimits::default() });
        none.put(question(1), some(), Duration::from_secs(60), Time::ZERO);
        assert_eq!(none.get(&question(1), Time::ZERO), None);
    }
}
