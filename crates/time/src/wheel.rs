//! The hierarchical timer wheel.
//!
//! Eight levels of 64 slots. A slot of level 0 spans 2^16 ns (65.5 µs), a slot of level `n` 64 times
//! one of level `n - 1`; eight levels cover all 64 bits. An entry stands on the level of the highest
//! six-bit group in which its deadline differs from the time the wheel has reached, so every entry
//! of a level comes before every entry of the levels above it, no slot ever wraps, and the earliest
//! slot is the lowest set bit of the lowest level in use. When time enters a slot above level 0, its
//! entries move down: at most seven moves in an entry's life, and none for one that is removed.
//! (Varghese and Lauck, "Hashed and Hierarchical Timing Wheels", 1987, scheme 7.)
//!
//! Slots group deadlines, they do not round them: an entry of the slot that time stands in fires
//! when its own deadline has come.

use asupersync_core::Time;
use std::fmt;

const GRAIN_BITS: u32 = 16;
const LEVEL_BITS: u32 = 6;
const SLOTS: usize = 1 << LEVEL_BITS;
const LEVELS: usize = 8;
const NIL: u32 = u32::MAX;
/// `Entry::home` of an entry that is in no slot.
const NOWHERE: u16 = u16::MAX;

/// Names one insertion into one [`Wheel`]; stale once that entry has fired or was removed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key as a number: the generation in the upper half, the arena index in the lower.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        (self.generation as u64) << 32 | self.index as u64
    }

    /// The key that [`to_bits`](Key::to_bits) made the number from. Any other number gives a key
    /// that may name nothing, or an entry of somebody else.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Key {
        Key { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({}.{})", self.index, self.generation)
    }
}

#[derive(Debug)]
struct Entry<T> {
    at: u64,
    /// Counts insertions: the tie-break between equal deadlines.
    order: u64,
    generation: u32,
    /// Neighbours in the slot's list; `next` links the free list while vacant.
    next: u32,
    prev: u32,
    home: u16,
    value: Option<T>,
}

/// Values with deadlines, given back in order of deadline; equal deadlines in order of insertion.
///
/// Insertion and removal take constant time. The wheel has no clock: [`advance`](Wheel::advance)
/// says what time it is. Everything it does is a function of the calls made to it.
///
/// ```
/// use asupersync_core::Time;
/// use asupersync_time::Wheel;
///
/// let mut wheel = Wheel::new();
/// let late = wheel.insert(Time::from_millis(30), "late");
/// wheel.insert(Time::from_millis(20), "second");
/// wheel.insert(Time::from_millis(10), "first");
/// assert_eq!(wheel.next_deadline(), Some(Time::from_millis(10)));
/// assert_eq!(wheel.remove(late), Some("late"));
///
/// let mut fired = Vec::new();
/// wheel.advance(Time::from_millis(20), |at, value| fired.push((at.as_nanos(), value)));
/// assert_eq!(fired, [(10_000_000, "first"), (20_000_000, "second")]);
/// assert!(wheel.is_empty());
/// ```
pub struct Wheel<T> {
    entries: Vec<Entry<T>>,
    free: u32,
    len: usize,
    /// The time reached, in nanoseconds. No entry above level 0 is in a slot that begins before it.
    elapsed: u64,
    /// No deadline in the wheel is earlier.
    bound: u64,
    inserted: u64,
    occupied: [u64; LEVELS],
    heads: Box<[u32; LEVELS * SLOTS]>,
    /// Kept between calls for its allocation.
    due: Vec<u32>,
}

impl<T> Wheel<T> {
    /// An empty wheel at time zero.
    #[must_use]
    pub fn new() -> Wheel<T> {
        Wheel {
            entries: Vec::new(),
            free: NIL,
            len: 0,
            elapsed: 0,
            bound: u64::MAX,
            inserted: 0,
            occupied: [0; LEVELS],
            heads: Box::new([NIL; LEVELS * SLOTS]),
            due: Vec::new(),
        }
    }

    /// How many entries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds a value that is due at `at`; a time already reached is due at the next
    /// [`advance`](Wheel::advance).
    ///
    /// # Panics
    /// When 2^32 - 1 entries wait already.
    pub fn insert(&mut self, at: Time, value: T) -> Key {
        let at = at.as_nanos();
        let order = self.inserted;
        self.inserted += 1;
        let index = if self.free == NIL {
            let index = u32::try_from(self.entries.len()).unwrap_or(NIL);
            assert!(index != NIL, "a timer wheel holds at most 2^32 - 1 entries");
            let (next, prev) = (NIL, NIL);
            let value = Some(value);
            self.entries.push(Entry { at, order, generation: 0, next, prev, home: NOWHERE, value });
            index
        } else {
            let index = self.free;
            let entry = &mut self.entries[index as usize];
            self.free = entry.next;
            entry.at = at;
            entry.order = order;
            entry.value = Some(value);
            index
        };
        self.len += 1;
        self.bound = self.bound.min(at);
        self.link(index);
        Key { index, generation: self.entries[index as usize].generation }
    }

    /// Takes an entry out before it fires; `None` when it has fired or was removed already.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entries.get(key.index as usize)?;
        if entry.generation != key.generation || entry.home == NOWHERE {
            return None;
        }
        self.unlink(key.index);
        let value = self.release(key.index);
        if self.len == 0 {
            self.bound = u64::MAX;
        }
        value
    }

    /// A time before which nothing is due, in constant time; `None` when nothing waits.
    ///
    /// Exact unless the earliest entry was removed since the last `advance`; then it may be too early,
    /// and an `advance` to it fires nothing and finds the next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Time> {
        (self.len > 0).then(|| Time::from_nanos(self.bound))
    }

    /// The earliest deadline, exactly. Looks at every entry of the earliest slot.
    #[must_use]
    pub fn earliest(&self) -> Option<Time> {
        let (level, slot) = self.first_slot()?;
        let mut at = u64::MAX;
        let mut index = self.heads[level * SLOTS + slot];
        while index != NIL {
            let entry = &self.entries[index as usize];
            at = at.min(entry.at);
            index = entry.next;
        }
        Some(Time::from_nanos(at))
    }

    /// Moves time forward to `now` and hands out everything due by then, in order of deadline and,
    /// between equal deadlines, of insertion. A `now` before the time reached counts as that.
    ///
    /// A panic in `fire` passes through; entries that were due and not handed out yet are lost.
    pub fn advance(&mut self, now: Time, mut fire: impl FnMut(Time, T)) {
        let now = now.as_nanos().max(self.elapsed);
        if self.len == 0 {
            self.elapsed = now;
            return;
        }
        if now < self.bound {
            // `elapsed` stays behind: moving it would mean to move entries down now.
            return;
        }
        while let Some((level, slot)) = self.first_slot() {
            let start = self.slot_start(level, slot);
            if start > now {
                break;
            }
            if level > 0 {
                self.elapsed = start;
                self.move_down(level * SLOTS + slot);
            } else if self.fire_slot(slot, now, &mut fire) {
                break;
            }
        }
        self.elapsed = now;
        self.bound = self.earliest().map_or(u64::MAX, Time::as_nanos);
    }

    /// Drops every entry and goes back to time zero. Keys given out before stay stale.
    pub fn clear(&mut self) {
        for index in 0..self.entries.len() {
            if self.entries[index].home != NOWHERE {
                self.unlink(index as u32);
                self.release(index as u32);
            }
        }
        self.elapsed = 0;
        self.bound = u64::MAX;
        self.inserted = 0;
    }

    /// Fires what is due in a slot of level 0; answers whether something later than `now` is left.
    fn fire_slot(&mut self, slot: usize, now: u64, fire: &mut impl FnMut(Time, T)) -> bool {
        let mut due = std::mem::take(&mut self.due);
        let mut index = self.heads[slot];
        while index != NIL {
            let entry = &self.entries[index as usize];
            let next = entry.next;
            if entry.at <= now {
                self.unlink(index);
                due.push(index);
            }
            index = next;
        }
        due.sort_unstable_by_key(|&index| {
            let entry = &self.entries[index as usize];
            (entry.at, entry.order)
        });
        for index in due.drain(..) {
            let at = Time::from_nanos(self.entries[index as usize].at);
            if let Some(value) = self.release(index) {
                fire(at, value);
            }
        }
        self.due = due;
        self.heads[slot] != NIL
    }

    fn move_down(&mut self, home: usize) {
        let mut index = std::mem::replace(&mut self.heads[home], NIL);
        self.occupied[home / SLOTS] &= !(1 << (home % SLOTS));
        while index != NIL {
            let next = self.entries[index as usize].next;
            self.link(index);
            index = next;
        }
    }

    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.occupied.iter().position(|&slots| slots != 0)?;
        Some((level, self.occupied[level].trailing_zeros() as usize))
    }

    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = GRAIN_BITS + LEVEL_BITS * level as u32;
        let above = u64::MAX.checked_shl(shift + LEVEL_BITS).unwrap_or(0);
        (self.elapsed & above) | (slot as u64) << shift
    }

    fn link(&mut self, index: u32) {
        let at = self.entries[index as usize].at.max(self.elapsed);
        let differing = (at ^ self.elapsed) >> GRAIN_BITS;
        let level = differing.checked_ilog2().unwrap_or(0) / LEVEL_BITS;
        let slot = (at >> (GRAIN_BITS + LEVEL_BITS * level)) as usize % SLOTS;
        let home = level as usize * SLOTS + slot;
        let head = std::mem::replace(&mut self.heads[home], index);
        if head != NIL {
            self.entries[head as usize].prev = index;
        }
        let entry = &mut self.entries[index as usize];
        entry.home = home as u16;
        entry.next = head;
        entry.prev = NIL;
        self.occupied[level as usize] |= 1 << slot;
    }

    fn unlink(&mut self, index: u32) {
        let entry = &mut self.entries[index as usize];
        let (next, prev) = (entry.next, entry.prev);
        let home = std::mem::replace(&mut entry.home, NOWHERE) as usize;
        if next != NIL {
            self.entries[next as usize].prev = prev;
        }
        if prev != NIL {
            self.entries[prev as usize].next = next;
            return;
        }
        self.heads[home] = next;
        if next == NIL {
            self.occupied[home / SLOTS] &= !(1 << (home % SLOTS));
        }
    }

    /// Vacates an unlinked entry. One whose generations are used up is never reused, so that a key
    /// can be held for ever and still not name somebody else's entry.
    fn release(&mut self, index: u32) -> Option<T> {
        let entry = &mut self.entries[index as usize];
        self.len -= 1;
        if entry.generation < u32::MAX {
            entry.generation += 1;
            entry.next = self.free;
            self.free = index;
        }
        entry.value.take()
    }
}

impl<T> Default for Wheel<T> {
    fn default() -> Wheel<T> {
        Wheel::new()
    }
}

impl<T> fmt::Debug for Wheel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wheel")
            .field("len", &self.len)
            .field("reached", &Time::from_nanos(self.elapsed))
            .field("next_deadline", &self.next_deadline())
            .finish()
    }
}
