//! Counted capacity with a fair line: the machine beneath semaphores and bounded channels.
//!
//! One word holds the free count and two bits. While nobody stands in line, taking and giving are
//! one atomic operation each; the line's lock is touched only when somebody has to wait.
//!
//! Where takers and givers run on different processors they would pull that word to and fro with every
//! operation. So there is a second one, for givers ([`Slots::give_aside`]): takers come for what is in it
//! when the first has run out, which is once for many slots. A free slot is in one of the two.

use crate::mutant::mutant;
use asupersync_core::primitive::{AtomicUsize, CachePadded, Mutex, Ordering, back_off};
use asupersync_core::{Cancelled, Object, Removed, TaskCx, WaitKey, WaitQueue, WakeList};
use std::fmt;
use std::panic::Location;
use std::task::{Context, Poll};

/// No more slots are handed out.
const CLOSED: usize = 0b01;
/// Somebody stands in line. Changed only under the line's lock, where it equals
/// `!line.is_empty()`, in both words; while it is set, nobody takes slots but through the line.
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
    word: CachePadded<AtomicUsize>,
    /// Free slots that takers have not come for yet, and the line's bit.
    aside: CachePadded<AtomicUsize>,
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
            word: CachePadded(AtomicUsize::new(free.min(Slots::MAX) * ONE)),
            aside: CachePadded(AtomicUsize::new(0)),
            line: Mutex::new(WaitQueue::new()),
            object: Object::new(label),
        }
    }

    /// How many slots are free now.
    #[must_use]
    #[inline]
    pub fn free(&self) -> usize {
        self.object.read();
        self.peek_free()
    }

    /// As [`free`](Slots::free), for a look of which nothing can be seen later: the lab is not told of it,
    /// and does not try other orders for its sake.
    #[must_use]
    #[inline]
    pub fn peek_free(&self) -> usize {
        // In this order: slots on their way from the second to the first are counted twice, not missed.
        let aside = self.aside.load(Ordering::Acquire) / ONE;
        aside + self.word.load(Ordering::Acquire) / ONE
    }

    /// Whether [`close`](Slots::close) was called and so many slots are free: all are home. The lab is not
    /// told of this look: who brings the last one home has to tell the looker, and is seen to.
    #[must_use]
    pub fn is_closed_and_home(&self, all: usize) -> bool {
        self.word.load(Ordering::Acquire) & CLOSED != 0 && {
            // No slot is on its way from one word to the other.
            let _line = (!mutant!(HomeCountedOnTheWay)).then(|| self.line.lock());
            self.peek_free() == all
        }
    }

    /// Whether [`close`](Slots::close) was called.
    #[must_use]
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.object.read();
        self.word.load(Ordering::Acquire) & CLOSED != 0
    }

    /// How many waiters stand in line.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.object.read();
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
            if word & LINE != 0 {
                return Err(Refused::Short);
            }
            if word / ONE < n {
                word = self.more_than(word)?;
                continue;
            }
            // Acquire: what the giver did before giving happens before what the taker does next.
            match self.word.compare_exchange_weak(
                word,
                word - n * ONE,
                Ordering::Acquire,
                Ordering::Acquire,
            ) {
                Ok(_) => return Ok(()),
                Err(_) => {
                    back_off(0);
                    word = self.word.load(Ordering::Acquire);
                }
            }
        }
    }

    /// The first word, too few slots having been seen in it, when what was given aside makes them more.
    #[cold]
    fn more_than(&self, seen: usize) -> Result<usize, Refused> {
        if self.aside.load(Ordering::Acquire) >= ONE {
            self.serve_line();
        } else if mutant!(AsideLooksOnce) {
            return Err(Refused::Short);
        }
        // Who finds nothing aside because another taker came for it sees here what that one added. (When
        // others take all of that in between and more was given aside since, the answer is that of a
        // moment ago.)
        let word = self.word.load(Ordering::Acquire);
        if word / ONE > seen / ONE { Ok(word) } else { Err(Refused::Short) }
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
        let mut place = Place::new(self, n);
        cx.wait_at(label, site, |context| place.poll(context)).await?
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
            let entry = self.enter(line.is_empty(), n);
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

    /// Gives `n` slots back, or adds new ones. They go to the head of the line first. What the count cannot
    /// hold beside those that are free is gone.
    ///
    /// Answers whether the slots are closed, so that whoever waits for the last one to come home can
    /// be told.
    ///
    /// # Panics
    /// When `n` alone exceeds [`Slots::MAX`]: nobody can have taken so many.
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
        if before / ONE + n > Slots::MAX {
            self.cut();
        }
        if before & LINE != 0 {
            self.serve_line();
        }
        before & CLOSED != 0
    }

    /// Others were added while some were out: what came home is more than the count holds. (It has room for
    /// twice as many, so nothing has run into the bits.) Guards give in their drop, which must not panic.
    #[cold]
    fn cut(&self) {
        let mut word = self.word.load(Ordering::Acquire);
        while word / ONE > Slots::MAX {
            let kept = (word % ONE) + Slots::MAX * ONE;
            match self.word.compare_exchange_weak(word, kept, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return,
                Err(now) => word = now,
            }
        }
    }

    /// Gives `n` slots back, as [`give`](Slots::give), without touching what takers touch as long as they
    /// have enough. For givers on other processors than the takers', and counts that are not too small:
    /// who takes the last slots comes for these under the line's lock.
    #[inline]
    pub fn give_aside(&self, n: usize) {
        self.object.write();
        debug_assert!(n <= Slots::MAX);
        // Release: pairs with the acquire of who comes for them.
        let before = self.aside.fetch_add(n * ONE, Ordering::AcqRel);
        if before & LINE != 0 {
            self.serve_line();
        }
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
        let aside = self.aside.load(Ordering::Acquire) / ONE;
        let mut word = self.word.load(Ordering::Acquire);
        loop {
            let free = aside + word / ONE;
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
        if self.aside.load(Ordering::Acquire) >= ONE {
            self.serve_line();
        }
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
        self.clear_line();
        drop(line);
        if !mutant!(CloseWakesNobody) {
            wakes.wake();
        }
        before & CLOSED == 0
    }

    /// Moves what was given aside into the first word. Under the lock.
    fn collect(&self) {
        let aside = self.aside.load(Ordering::Acquire) / ONE;
        if aside > 0 {
            // In this order: who finds nothing aside any more finds it in the word.
            self.word.fetch_add(aside * ONE, Ordering::AcqRel);
            self.aside.fetch_sub(aside * ONE, Ordering::AcqRel);
        }
    }

    /// Nobody stands in line. Under the lock.
    fn clear_line(&self) {
        for word in [&*self.word, &*self.aside] {
            // The bit changes under the lock only, so the look is exact.
            if word.load(Ordering::Relaxed) & LINE != 0 {
                word.fetch_and(!LINE, Ordering::AcqRel);
            }
        }
    }

    /// Serves the head of the line for as long as the free slots suffice for it. Under the lock.
    fn serve(&self, line: &mut WaitQueue<Turn>, wakes: &mut WakeList) {
        self.collect();
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
        self.clear_line();
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

    /// Sets the line's bit in both words, or takes the slots after all. Under the lock.
    fn enter(&self, first: bool, n: usize) -> Entry {
        let mut marked = !first;
        let mut word = self.word.load(Ordering::Acquire);
        let entry = loop {
            if word & CLOSED != 0 {
                break Entry::Closed;
            }
            let free = word & LINE == 0 && word / ONE >= n;
            let free = free && !mutant!(EntryWithoutSecondLook);
            if !free && !marked {
                // Who gives aside after this sees the bit and waits for the lock; what was given before
                // is collected.
                marked = true;
                self.aside.fetch_or(LINE, Ordering::AcqRel);
                if !mutant!(EntryWithoutCollecting) {
                    self.collect();
                }
                word = self.word.load(Ordering::Acquire);
                continue;
            }
            let (next, entry) =
                if free { (word - n * ONE, Entry::Taken) } else { (word | LINE, Entry::InLine) };
            // The exchange decides against a concurrent `put`: either its slots are in `word`, or it
            // comes later and sees the bit.
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => break entry,
                Err(now) => word = now,
            }
        };
        if first && !matches!(entry, Entry::InLine) {
            self.clear_line();
        }
        entry
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
pub(crate) struct Place<'a> {
    slots: &'a Slots,
    n: usize,
    key: Option<WaitKey>,
}

impl<'a> Place<'a> {
    /// Not in line yet: the first poll enters it.
    pub(crate) fn new(slots: &'a Slots, n: usize) -> Place<'a> {
        Place { slots, n, key: None }
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), NotTaken>> {
        self.slots.poll_take(self.n, &mut self.key, context)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.slots.leave(&mut self.key);
    }
}
