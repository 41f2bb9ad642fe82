//! Timers, one wheel a worker, each behind a small lock of its own.
//!
//! A worker arms its timers in its own wheel and sleeps no longer than until the earliest of them. A
//! timer may be disarmed from anywhere: its key names the wheel.

use asupersync_core::{Time, TimerKey, WakeList};
use asupersync_time::{Key, Wheel};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

/// A key is generation (32 bits), wheel (6 bits), index (26 bits).
const INDEX_BITS: u32 = 26;
const MAX_WHEELS: usize = 64;
const MAX_INDEX: u64 = 1 << INDEX_BITS;

pub(crate) struct Timers {
    wheels: Box<[Shard]>,
    observer: Option<TimerObserver>,
}

/// Is told the moment by which timers are about to fire.
pub(crate) type TimerObserver = Arc<dyn Fn(Time) + Send + Sync>;

/// On a cache line of its own: its owner writes it all the time.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    /// A lower bound of the wheel's deadlines; changes under the lock, is read without.
    bound: AtomicU64,
    wheel: Mutex<Wheel<Waker>>,
}

impl Timers {
    pub(crate) fn new(workers: usize, observer: Option<TimerObserver>) -> Timers {
        let shard = || Shard { bound: AtomicU64::new(u64::MAX), wheel: Mutex::new(Wheel::new()) };
        Timers { wheels: (0..workers.min(MAX_WHEELS)).map(|_| shard()).collect(), observer }
    }

    /// The wheel a worker looks after. Beyond 64 workers some share.
    fn shard(&self, worker: usize) -> (usize, &Shard) {
        // Nearly always as it is: a division costs as much as all the rest.
        let wheel = if worker < self.wheels.len() { worker } else { worker % self.wheels.len() };
        (wheel, &self.wheels[wheel])
    }

    /// Arms a timer in a worker's wheel; the answer says whether it is now the wheel's earliest.
    ///
    /// # Panics
    /// When the wheel holds 2^26 timers.
    pub(crate) fn arm(&self, worker: usize, at: Time, waker: Waker) -> (TimerKey, bool) {
        let (wheel, shard) = self.shard(worker);
        let (bits, earliest) = {
            let mut timers = shard.wheel.lock();
            let bits = timers.insert(at, waker).to_bits();
            let earliest = at.as_nanos() < shard.bound.load(Ordering::Relaxed);
            if earliest {
                shard.bound.store(at.as_nanos(), Ordering::Release);
            }
            (bits, earliest)
        };
        let (generation, index) = (bits >> 32, bits & u64::from(u32::MAX));
        assert!(index < MAX_INDEX, "a worker's wheel holds at most 2^26 timers");
        (TimerKey(generation << 32 | (wheel as u64) << INDEX_BITS | index), earliest)
    }

    pub(crate) fn disarm(&self, key: TimerKey) {
        let wheel = (key.0 >> INDEX_BITS) as usize % MAX_WHEELS;
        let bits = key.0 & (u64::from(u32::MAX) << 32 | (MAX_INDEX - 1));
        let Some(shard) = self.wheels.get(wheel) else { return };
        let waker = shard.wheel.lock().remove(Key::from_bits(bits));
        // Dropped here, after unlocking.
        drop(waker);
    }

    /// Whether any wheel has a timer.
    pub(crate) fn any_armed(&self) -> bool {
        self.wheels.iter().any(|shard| shard.bound.load(Ordering::Acquire) != u64::MAX)
    }

    /// The time up to which nothing is due in a worker's wheel; `Time::MAX` when it is empty.
    pub(crate) fn bound(&self, worker: usize) -> Time {
        Time::from_nanos(self.shard(worker).1.bound.load(Ordering::Acquire))
    }

    /// Wakes what is due in a worker's wheel.
    #[inline]
    pub(crate) fn fire(&self, worker: usize, now: Time) {
        if self.bound(worker) <= now {
            self.fire_due(worker, now);
        }
    }

    fn fire_due(&self, worker: usize, now: Time) {
        if let Some(observer) = &self.observer {
            observer(now);
        }
        let mut wakers = WakeList::new();
        let (_, shard) = self.shard(worker);
        {
            let mut timers = shard.wheel.lock();
            timers.advance(now, |_, waker| wakers.push(waker));
            let bound = timers.next_deadline().unwrap_or(Time::MAX);
            shard.bound.store(bound.as_nanos(), Ordering::Release);
        }
        wakers.wake();
    }

    pub(crate) fn clear(&self) {
        for shard in &self.wheels {
            let wheel = std::mem::take(&mut *shard.wheel.lock());
            shard.bound.store(u64::MAX, Ordering::Release);
            // Its wakers are dropped here, after unlocking.
            drop(wheel);
        }
    }

    /// Fires in every wheel but the worker's own; for a worker with nothing better to do, because
    /// the others may be inside a long poll.
    pub(crate) fn fire_for_others(&self, worker: usize, now: Time) {
        for other in 1..self.wheels.len() {
            self.fire(worker + other, now);
        }
    }
}
