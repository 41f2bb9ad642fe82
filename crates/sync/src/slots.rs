//! Counted capacity with a fair line: the machine beneath semaphores and bounded channels.
//!
//! One word holds the free count and two bits. While nobody stands in line, taking and giving are
//! one atomic operation each; the line's lock is touched only when somebody has to wait.

use crate::mutant::mutant;
use asupersync_core::primitive::{AtomicUsize, Mutex, Ordering};
use asupersync_core::{Cancelled, Object, Removed, TaskCx, WaitKey, WaitQueue, WakeList};
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

/// No more slots are handed out.
const CLOSED: usize = 0b01;
/// Somebody stands in line. Changed only under the line's lock, where it equals
/// `!line.is_empty()`; while it is set, nobody takes slots but through the line.
const LINE: usize = 0b10;
/// One free slot.
const ONE: usize = 0b100;

/// A count of free slots that tasks take, several at a time if they like, and give back.
///
/// First come, first served, without exception: who asks for many slots is not overtaken by those
/// who ask for few, and slots given back go straight to the head of the line. This is a building
/// block: it hands out numbers, not guards. [`Semaphore`](crate::Semaphore) and the bounded channel
/// put their obligations around it.
pub struct Slots {
    word: AtomicUsize,
    line: Mutex<WaitQueue<Turn>>,
    object: Object,
}

/// What a waiter in line holds.
enum Turn {
    /// Waits for this many.
    Wants(usize),
    /// Was given this many.
    Has(usize),
    /// Was sent home: closed.
    Closed,
}

/// Why [`Slots::try_take`] took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// Fewer slots are free than were asked for, or others were first.
    Short,
    /// No more slots are handed out.
    Closed,
}

/// Why [`Slots::take_now`] and [`Slots::take_in_turn`] took nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotTaken {
    /// No more slots are handed out.
    Closed,
    /// The waiting scope was cancelled.
    Cancelled(Cancelled),
}

impl From<Cancelled> for NotTaken {
    fn from(cancelled: Cancelled) -> NotTaken {
        NotTaken::Cancelled(cancelled)
    }
}

impl Slots {
    /// The most slots one count may hold.
    pub const MAX: usize = usize::MAX >> 3;

    /// `free` slots, at most [`Slots::MAX`] (more are cut to that). `label` names the object in
    /// traces.
    #[must_use]
    pub fn new(label: &'static str, free: usize) -> Slots {
        Slots {
            word: AtomicUsize::new(free.min(Slots::MAX) * ONE),
            line: Mutex::new(WaitQueue::new()),
            object: Object::new(label),
        }
    }

    /// How many slots are free now.
    #[must_use]
    #[inline]
    pub fn free(&self) -> usize {
        self.word.load(Ordering::Acquire) / ONE
    }

    /// Whether [`close`](Slots::close) was called.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many waiters stand in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.line.lock().len()
    }

    /// Takes `n` slots if they are free and nobody is first.
    ///
    /// # Errors
    /// [`Refused`], and nothing is taken.
    #[inline]
    pub fn try_take(&self, n: usize) -> Result<(), Refused> {
        let taken = self.take_free(n);
        match taken {
            Ok(()) => self.object.write(),
            Err(_) => self.object.read(),
        }
        taken
    }

    #[inline]
    fn take_free(&self, n: usize) -> Result<(), Refused> {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & CLOSED != 0 {
                return Err(Refused::Closed);
            }
            if n == 0 {
                return Ok(());
            }
            if word & LINE != 0 || word / ONE < n {
                return Err(Refused::Short);
            }
            // Acquire: what the giver did before giving happens before what the taker does next.
            match self.word.compare_exchange_weak(
                word,
                word - n * ONE,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(now) => word = now,
            }
        }
    }

    /// Takes `n` slots if the scope is not cancelled and they are free. False: wait for them with
    /// [`take_in_turn`](Slots::take_in_turn).
    ///
    /// The two halves of one operation are apart so that the common case makes no nested future.
    ///
    /// # Errors
    /// [`NotTaken`], and nothing is taken.
    #[inline]
    pub fn take_now(&self, cx: &TaskCx, n: usize) -> Result<bool, NotTaken> {
        cx.checkpoint()?;
        match self.try_take(n) {
            Ok(()) => Ok(true),
            Err(Refused::Short) => Ok(false),
            Err(Refused::Closed) => Err(NotTaken::Closed),
        }
    }

    /// Takes `n` slots, waiting in line for them.
    ///
    /// The wait shows as `label` at `site`. More slots than there will ever be are waited for until
    /// the slots are closed or the scope is cancelled.
    ///
    /// # Cancel safety
    /// Nothing is lost: a waiter that goes away, cancelled or dropped, gives up its place, and slots
    /// it had already been given go to the next in line. A cancel request is answered in one poll.
    ///
    /// # Errors
    /// [`NotTaken`], and nothing is taken.
    pub async fn take_in_turn(
        &self,
        cx: &TaskCx,
        n: usize,
        label: &'static str,
        site: &'static Location<'static>,
    ) -> Result<(), NotTaken> {
        let place = &mut Place { slots: self, n, key: None };
        cx.wait_at(label, site, |context| self.poll_take(place.n, &mut place.key, context)).await?
    }

    /// Takes `n` slots, or enters the line for them: for waits that have no context, such as a sink's.
    ///
    /// `key` is the caller's place in line while this answers `Pending`: pass the same one, and the same
    /// `n`, until it answers, or give the place up with [`leave`](Slots::leave).
    ///
    /// # Errors
    /// [`NotTaken::Closed`], and nothing is taken.
    pub fn poll_take(
        &self,
        n: usize,
        key: &mut Option<WaitKey>,
        context: &mut Context<'_>,
    ) -> Poll<Result<(), NotTaken>> {
        // Cloned before the lock and dropped after it: wakers are foreign code.
        let mut waker = Some(context.waker().clone());
        let mut line = self.line.lock();
        let Some(place) = &*key else {
            let entry = self.enter(n);
            if let Entry::InLine = entry {
                let waker = waker.take().unwrap_or_else(|| context.waker().clone());
                *key = Some(line.push_back(Turn::Wants(n), waker));
            }
            drop(line);
            self.object.write();
            return match entry {
                Entry::Taken => Poll::Ready(Ok(())),
                Entry::Closed => Poll::Ready(Err(NotTaken::Closed)),
                Entry::InLine => Poll::Pending,
            };
        };
        let turn = line.poll(place, &mut waker);
        drop(line);
        let Some(turn) = turn else { return Poll::Pending };
        *key = None;
        match turn {
            Turn::Has(_) => Poll::Ready(Ok(())),
            Turn::Closed => Poll::Ready(Err(NotTaken::Closed)),
            Turn::Wants(_) => unreachable!("a granted waiter was given an answer"),
        }
    }

    /// Gives a place in line up, if there is one; slots it had already been given go to the next.
    pub fn leave(&self, key: &mut Option<WaitKey>) {
        let Some(key) = key.take() else { return };
        self.object.write();
        let mut wakes = WakeList::new();
        let mut waker = None;
        let mut line = self.line.lock();
        let removed = line.remove(key, &mut waker);
        // The next in line may want less than the one who left.
        if !mutant!(HeadLeavesUnserved) {
            self.serve(&mut line, &mut wakes);
        }
        drop(line);
        wakes.wake();
        if let (Removed::Granted(Turn::Has(n)), false) = (removed, mutant!(GrantNotPassedOn)) {
            self.put(n);
        }
    }

    /// Gives `n` slots back, or adds new ones. They go to the head of the line first.
    ///
    /// Answers whether the slots are closed, so that whoever waits for the last one to come home can
    /// be told.
    ///
    /// # Panics
    /// When the count would exceed [`Slots::MAX`]: more were given than ever existed.
    #[inline]
    pub fn give(&self, n: usize) -> bool {
        self.object.write();
        self.put(n)
    }

    #[inline]
    fn put(&self, n: usize) -> bool {
        assert!(n <= Slots::MAX, "{n} slots given to a count that holds {} at most", Slots::MAX);
        // Release: pairs with the taker's acquire.
        let before = self.word.fetch_add(n * ONE, Ordering::AcqRel);
        assert!(before / ONE + n <= Slots::MAX, "more slots given than a count can hold");
        if before & LINE != 0 {
            self.serve_line();
        }
        before & CLOSED != 0
    }

    #[cold]
    fn serve_line(&self) {
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        self.serve(&mut line, &mut wakes);
        drop(line);
        wakes.wake();
    }

    /// Adds slots, refusing what the count cannot hold.
    ///
    /// # Errors
    /// The free count, when `n` more would exceed [`Slots::MAX`]. Nothing is added then.
    pub fn try_add(&self, n: usize) -> Result<(), usize> {
        self.object.write();
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let free = word / ONE;
            if n > Slots::MAX - free {
                return Err(free);
            }
            match self.word.compare_exchange_weak(
                word,
                word + n * ONE,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => break,
                Err(now) => word = now,
            }
        }
        if word & LINE != 0 {
            self.serve_line();
        }
        Ok(())
    }

    /// Takes up to `n` free slots out of circulation, past the line; answers how many.
    pub fn remove_free(&self, n: usize) -> usize {
        self.object.write();
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let removed = n.min(word / ONE);
            match self.word.compare_exchange_weak(
                word,
                word - removed * ONE,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return removed,
                Err(now) => word = now,
            }
        }
    }

    /// Hands out no more slots; everybody in line is sent home. Answers whether this call did it.
    ///
    /// Slots already taken stay taken and may be given back.
    pub fn close(&self) -> bool {
        self.object.write();
        let mut wakes = WakeList::new();
        let mut line = self.line.lock();
        let before = self.word.fetch_or(CLOSED, Ordering::AcqRel);
        while let Some(turn) = line.front_mut() {
            *turn = Turn::Closed;
            wakes.extend(line.grant_front());
        }
        self.word.fetch_and(!LINE, Ordering::AcqRel);
        drop(line);
        wakes.wake();
        before & CLOSED == 0
    }

    /// Serves the head of the line for as long as the free slots suffice for it. Under the lock.
    fn serve(&self, line: &mut WaitQueue<Turn>, wakes: &mut WakeList) {
        while let Some(turn) = line.front_mut() {
            let Turn::Wants(n) = *turn else { unreachable!("only waiters stand in line") };
            if !self.take_for_head(n) {
                return;
            }
            *turn = Turn::Has(n);
            wakes.extend(line.grant_front());
        }
        // A `put` between the last take and this line saw the bit, waits for the lock, and will find
        // nobody to serve: its slots stay in the count.
        self.word.fetch_and(!LINE, Ordering::AcqRel);
    }

    /// Takes `n` slots on behalf of the head of the line.
    fn take_for_head(&self, n: usize) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        while word / ONE >= n {
            match self.word.compare_exchange_weak(
                word,
                word - n * ONE,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// Sets the line's bit, or takes the slots after all. Under the lock.
    fn enter(&self, n: usize) -> Entry {
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            if word & CLOSED != 0 {
                return Entry::Closed;
            }
            let free = word & LINE == 0 && word / ONE >= n;
            let (next, entry) = if free && !mutant!(EntryWithoutSecondLook) {
                (word - n * ONE, Entry::Taken)
            } else {
                (word | LINE, Entry::InLine)
            };
            // The exchange decides against a concurrent `put`: either its slots are in `word`, or it
            // comes later and sees the bit.
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return entry,
                Err(now) => word = now,
            }
        }
    }
}

enum Entry {
    Taken,
    InLine,
    Closed,
}

impl fmt::Debug for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slots")
            .field("free", &self.free())
            .field("closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}

/// A place in line that is given up when dropped.
struct Place<'a> {
    slots: &'a Slots,
    n: usize,
    key: Option<WaitKey>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slots.leave(&mut self.key);
    }
}
