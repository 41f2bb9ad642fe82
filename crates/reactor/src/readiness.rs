//! What is known about one registered source, and who waits for it.

use asupersync_core::WakeList;
use mio::event::Event;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

/// One of the two ways bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Towards us: read, receive, accept.
    Read,
    /// Away from us: write, send, connect.
    Write,
}

const READABLE: u32 = 1;
const READ_CLOSED: u32 = 1 << 1;
const WRITABLE: u32 = 1 << 2;
const WRITE_CLOSED: u32 = 1 << 3;
/// A task may be waiting to read, or to write: its waker is in the list, or about to be.
const READ_WAITED: u32 = 1 << 4;
const WRITE_WAITED: u32 = 1 << 5;
/// Something urgent has come once, at which the system ends a read whatever lies behind it. Never cleared.
const URGENT: u32 = 1 << 6;
const BITS: u32 = 0xff;
const TICK: u32 = 0x100;

impl Direction {
    const fn mask(self) -> u32 {
        match self {
            Direction::Read => READABLE | READ_CLOSED,
            Direction::Write => WRITABLE | WRITE_CLOSED,
        }
    }

    const fn waited(self) -> u32 {
        match self {
            Direction::Read => READ_WAITED,
            Direction::Write => WRITE_WAITED,
        }
    }
}

/// That a direction was seen ready, and at which event.
///
/// Handed back to `clear_ready` when the operation would block after all; an event that arrived in
/// between is newer than this, and is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ready {
    word: u32,
    direction: Direction,
}

impl Ready {
    /// The direction that is ready.
    #[must_use]
    pub const fn direction(self) -> Direction {
        self.direction
    }

    /// The peer has closed this direction, or the source failed: an operation will not block but
    /// answer the end of the stream or the error.
    #[must_use]
    pub const fn is_closed(self) -> bool {
        self.word & self.direction.mask() & (READ_CLOSED | WRITE_CLOSED) != 0
    }

    /// A read may end although the system has more.
    pub(crate) const fn is_urgent(self) -> bool {
        matches!(self.direction, Direction::Read) && self.word & URGENT != 0
    }
}

/// Wakers of one direction. Emptied by every event; a wait that went away leaves its waker until then.
#[derive(Debug)]
struct Waiters {
    wakers: Vec<Waker>,
    /// With this many, all are woken: those still interested come back, the others are gone.
    limit: usize,
}

const LEAST_LIMIT: usize = 32;

/// How often in a row a direction is handed out as ready before whoever asks has to give way once.
///
/// A source that is always ready never makes its task wait, and the task would keep its thread, and
/// with it every other task there, the timers and, on a single thread, all events. Giving way costs a
/// fraction of one of so many system calls.
pub(crate) const TURN: u32 = 16;

impl Waiters {
    const fn new() -> Waiters {
        Waiters { wakers: Vec::new(), limit: LEAST_LIMIT }
    }

    fn take(&mut self, into: &mut WakeList) {
        // Mostly there is one.
        match self.wakers.len() {
            1 => self.wakers.pop().into_iter().for_each(|waker| into.push(waker)),
            _ => into_list(&mut self.wakers, into),
        }
        self.limit = LEAST_LIMIT;
    }

    fn add(&mut self, waker: Waker, evicted: &mut WakeList) {
        if self.wakers.len() >= self.limit {
            into_list(&mut self.wakers, evicted);
            self.limit *= 2;
        }
        self.wakers.push(waker);
    }
}

fn into_list(wakers: &mut Vec<Waker>, list: &mut WakeList) {
    list.extend(wakers.drain(..));
}

/// Cached readiness of one source.
///
/// The word holds the direction bits and, above them, the count of events. Events come at edges only,
/// so a bit that is cleared wrongly is lost for good: [`clear`](Readiness::clear) takes effect only
/// when no event has come since the readiness it answers to was read.
///
/// It also says for each direction whether somebody waits: an event tells of both directions, and mostly
/// nobody waits for one of them. Who waits says so and looks for readiness in one step on the word, with
/// the list locked; an event sets the bits and learns who waits in one step too, and then locks the list.
/// So the step that comes second sees the first.
#[derive(Debug)]
pub(crate) struct Readiness {
    word: AtomicU32,
    waiters: [Mutex<Waiters>; 2],
    /// What each direction has used of its turn. Tasks that share one share its turn.
    turns: [AtomicU32; 2],
}

impl Readiness {
    pub(crate) fn new() -> Readiness {
        Readiness {
            word: AtomicU32::new(0),
            waiters: [Mutex::new(Waiters::new()), Mutex::new(Waiters::new())],
            turns: [AtomicU32::new(0), AtomicU32::new(0)],
        }
    }

    /// Records an event and collects those to be woken.
    pub(crate) fn record(&self, event: &Event, wakers: &mut WakeList) {
        let mut bits = 0;
        if event.is_readable() || event.is_priority() {
            bits |= READABLE;
        }
        if event.is_priority() {
            bits |= URGENT;
        }
        if event.is_read_closed() {
            bits |= READ_CLOSED;
        }
        if event.is_writable() {
            bits |= WRITABLE;
        }
        if event.is_write_closed() {
            bits |= WRITE_CLOSED;
        }
        if event.is_error() {
            bits |= READABLE | WRITABLE;
        }
        self.set(bits, wakers);
    }

    pub(crate) fn set(&self, bits: u32, wakers: &mut WakeList) {
        // Release pairs with the acquire of whoever sees the bits: what the source was given before
        // the event is visible to the operation that follows.
        let told = [Direction::Read, Direction::Write]
            .map(|direction| if bits & direction.mask() != 0 { direction.waited() } else { 0 });
        let change = |word: u32| Some(((word | bits) & !(told[0] | told[1])).wrapping_add(TICK));
        let (Ok(before) | Err(before)) =
            self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, change);
        for (waiters, told) in self.waiters.iter().zip(told) {
            if before & told != 0 {
                waiters.lock().take(wakers);
            }
        }
    }

    pub(crate) fn ready(&self, direction: Direction) -> Option<Ready> {
        let word = self.word.load(Ordering::Acquire);
        (word & direction.mask() != 0).then_some(Ready { word, direction })
    }

    pub(crate) fn poll(&self, direction: Direction, context: &mut Context<'_>) -> Poll<Ready> {
        let turn = &self.turns[direction as usize];
        let used = turn.load(Ordering::Relaxed);
        if let Some(ready) = self.ready(direction) {
            if used < TURN {
                turn.store(used + 1, Ordering::Relaxed);
                return Poll::Ready(ready);
            }
            turn.store(0, Ordering::Relaxed);
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if used > 0 {
            turn.store(0, Ordering::Relaxed);
        }
        let mut evicted = WakeList::new();
        let mut spare = None;
        let mut fresh = Some(context.waker().clone());
        let found = {
            let mut waiters = self.waiters[direction as usize].lock();
            // Either an event's bits are seen here, or it sees that somebody waits, comes to the lock
            // later and finds the waker.
            let word = self.word.fetch_or(direction.waited(), Ordering::AcqRel);
            let found = (word & direction.mask() != 0).then_some(Ready { word, direction });
            if found.is_none() {
                let known = waiters.wakers.iter().any(|known| known.will_wake(context.waker()));
                match fresh.take() {
                    Some(waker) if !known => waiters.add(waker, &mut evicted),
                    waker => spare = waker,
                }
            }
            found
        };
        drop((fresh, spare));
        evicted.wake();
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Forgets readiness that turned out stale, unless an event has come since.
    pub(crate) fn clear(&self, ready: Ready) {
        let mask = ready.direction.mask();
        let mut word = self.word.load(Ordering::Acquire);
        while word & !BITS == ready.word & !BITS && word & mask != 0 {
            let cleared = word & !mask;
            match self.word.compare_exchange_weak(
                word,
                cleared,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }
}

#[cfg(test)]
mod tests;
