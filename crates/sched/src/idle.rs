//! Which workers sleep, how many look for work, and who is woken when there is some.
//!
//! The rule that loses no wake-up: who adds work first makes it visible, then looks here
//! ([`Idle::notify`]); who wants to sleep first announces it here ([`Idle::announce`]), then looks at
//! every queue once more. Between the two steps of each side stands a sequentially consistent fence,
//! so at least one side sees the other.
//!
//! The rule against stampedes: nobody is woken while somebody is searching. A searcher that finds
//! work wakes the next one if there is reason to ([`Idle::stop_searching`] answers that it was the
//! last); one that finds none announces its sleep and looks once more.

use crate::sync::{AtomicU64, Mutex, Ordering, fence, weakened};

const SEARCHER: u64 = 1;
const SLEEPER: u64 = 1 << 32;

/// The sleeping and the searching workers.
#[derive(Debug)]
pub struct Idle {
    /// Searching workers in the lower half, sleeping ones in the upper. The upper half changes under
    /// the mutex only.
    counts: AtomicU64,
    sleepers: Mutex<Vec<usize>>,
}

const fn searching(counts: u64) -> u64 {
    counts & (SLEEPER - 1)
}

const fn sleeping(counts: u64) -> u64 {
    counts >> 32
}

impl Idle {
    /// All workers awake.
    #[must_use]
    pub fn new(workers: usize) -> Idle {
        Idle { counts: AtomicU64::new(0), sleepers: Mutex::new(Vec::with_capacity(workers)) }
    }

    /// To be called after work was added: the worker that must be unparked for it, if any. That worker
    /// counts as searching from here on.
    #[must_use = "the worker must be unparked"]
    pub fn notify(&self) -> Option<usize> {
        if !weakened!(NotifyWithoutFence) {
            fence(Ordering::SeqCst);
        }
        let counts = self.counts.load(Ordering::Relaxed);
        if searching(counts) > 0 || sleeping(counts) == 0 {
            return None;
        }
        let mut sleepers = self.sleepers.lock();
        // Another notifier may have been faster; its worker is searching now, and finds this work too.
        if searching(self.counts.load(Ordering::Relaxed)) > 0 {
            return None;
        }
        let worker = sleepers.pop()?;
        self.counts.fetch_add(SEARCHER.wrapping_sub(SLEEPER), Ordering::AcqRel);
        Some(worker)
    }

    /// Becomes a searcher, unless there is one.
    pub fn start_searching(&self) -> bool {
        self.counts
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |counts| {
                (searching(counts) == 0).then_some(counts + SEARCHER)
            })
            .is_ok()
    }

    /// Ends a search that found work; true if no other searcher is left, and the caller must
    /// [`notify`](Idle::notify) for whatever else there is.
    #[must_use = "the last searcher must notify"]
    pub fn stop_searching(&self) -> bool {
        searching(self.counts.fetch_sub(SEARCHER, Ordering::AcqRel)) == 1
    }

    /// How many workers sleep, or are about to: a moment ago their queues were empty.
    #[must_use]
    pub fn sleeping(&self) -> usize {
        sleeping(self.counts.load(Ordering::Relaxed)) as usize
    }

    /// The worker wants to sleep, and searches no longer. It must look at every queue once more
    /// after this, and take the announcement back if there is something. Answers how many sleep now,
    /// itself among them: their queues are empty, and whoever leaves them to fill one finds this worker.
    pub fn announce(&self, worker: usize, was_searching: bool) -> usize {
        let mut sleepers = self.sleepers.lock();
        sleepers.push(worker);
        let searcher = if was_searching { SEARCHER } else { 0 };
        let before = self.counts.fetch_add(SLEEPER.wrapping_sub(searcher), Ordering::AcqRel);
        drop(sleepers);
        fence(Ordering::SeqCst);
        sleeping(before) as usize + 1
    }

    /// The worker is awake. True if it was notified, and thereby counts as searching; false if it
    /// woke for another reason, and counts as searching only if `to_search`.
    pub fn retract(&self, worker: usize, to_search: bool) -> bool {
        let mut sleepers = self.sleepers.lock();
        let Some(place) = sleepers.iter().position(|&sleeper| sleeper == worker) else {
            return true;
        };
        sleepers.swap_remove(place);
        let searcher = if to_search { SEARCHER } else { 0 };
        self.counts.fetch_add(searcher.wrapping_sub(SLEEPER), Ordering::AcqRel);
        false
    }
}
