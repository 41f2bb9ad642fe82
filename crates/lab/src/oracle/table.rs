//! A map from ids that remembers which it found last.
//!
//! Most events are about the task that is polled and its region, so most searches are one comparison. The entries lie
//! side by side: what is kept of a run's beginning is copied as a whole.

use asupersync_trace::IdHasher;
use std::cell::Cell;
use std::hash::Hash;
use std::ops::Index;

#[derive(Clone, Debug)]
pub(super) struct Table<K, V> {
    entries: Vec<(K, V)>,
    /// Where the hash of an id says, or in the first free slot after that: its place in `entries` plus one.
    /// A power of two of them, at most half of them taken.
    slots: Vec<u32>,
    /// The place that was found last.
    last: Cell<u32>,
    /// Entries at a time since it was cleared.
    most: usize,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Table<K, V> {
        Table { entries: Vec::new(), slots: Vec::new(), last: Cell::new(0), most: 0 }
    }
}

/// Slots at least.
const LEAST: usize = 16;

impl<K: Copy + Eq + Hash, V> Table<K, V> {
    #[inline]
    pub(super) fn get(&self, id: &K) -> Option<&V> {
        self.place(id).map(|place| &self.entries[place].1)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: &K) -> Option<&mut V> {
        self.place(id).map(|place| &mut self.entries[place].1)
    }

    #[inline]
    pub(super) fn contains_key(&self, id: &K) -> bool {
        self.place(id).is_some()
    }

    /// Adds an entry, in place of one with the same id.
    pub(super) fn insert(&mut self, id: K, value: V) {
        if let Some(known) = self.get_mut(&id) {
            *known = value;
            return;
        }
        if self.slots.len() < (self.entries.len() + 1) * 2 {
            self.grow();
        }
        let slot = self.slot_where(id, |taken| taken == 0);
        self.last.set(self.entries.len() as u32);
        self.entries.push((id, value));
        self.most = self.most.max(self.entries.len());
        self.slots[slot] =
            u32::try_from(self.entries.len()).expect("a run has fewer than 2^32 of them");
    }

    pub(super) fn remove(&mut self, id: &K) -> Option<V> {
        let place = self.place(id)?;
        let slot = self.slot_where(*id, |taken| taken as usize == place + 1);
        self.free(slot);
        // The last one moves into its place.
        let end = self.entries.len();
        if place + 1 < end {
            let slot = self.slot_where(self.entries[end - 1].0, |taken| taken as usize == end);
            self.slots[slot] = place as u32 + 1;
        }
        Some(self.entries.swap_remove(place).1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(id, value)| (id, value))
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(id, _)| id)
    }

    pub(super) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    /// Forgets everything, keeping slots for about as many as there were at a time.
    pub(super) fn clear(&mut self) {
        // Where there is nothing, every slot is free already.
        if !self.entries.is_empty() {
            self.entries.clear();
            self.slots.fill(0);
        }
        self.slots.truncate((self.most * 4).next_power_of_two().max(LEAST));
        self.most = 0;
    }

    /// Becomes as the other is, keeping memory.
    pub(super) fn set(&mut self, other: &Table<K, V>)
    where
        V: Clone,
    {
        self.entries.clone_from(&other.entries);
        self.slots.clone_from(&other.slots);
        self.last.set(other.last.get());
        self.most = other.most;
    }

    #[inline]
    fn place(&self, id: &K) -> Option<usize> {
        let last = self.last.get() as usize;
        match self.entries.get(last) {
            Some((known, _)) if known == id => Some(last),
            _ => self.find(id),
        }
    }

    #[inline(never)]
    fn find(&self, id: &K) -> Option<usize> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = IdHasher::hash(*id) as usize & mask;
        loop {
            match self.slots[slot] {
                0 => return None,
                taken if self.entries[taken as usize - 1].0 == *id => {
                    self.last.set(taken - 1);
                    return Some(taken as usize - 1);
                }
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// The first slot for this id of whose content this is said.
    fn slot_where(&self, id: K, is: impl Fn(u32) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = IdHasher::hash(id) as usize & mask;
        while !is(self.slots[slot]) {
            slot = (slot + 1) & mask;
        }
        slot
    }

    /// Frees a slot: those after it that it pushed aside move up.
    fn free(&mut self, mut free: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = free;
        loop {
            slot = (slot + 1) & mask;
            let taken = self.slots[slot];
            if taken == 0 {
                break;
            }
            let home = IdHasher::hash(self.entries[taken as usize - 1].0) as usize & mask;
            // It may stand at `free` if its home is not between that and where it is.
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(free) & mask {
                self.slots[free] = taken;
                free = slot;
            }
        }
        self.slots[free] = 0;
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(LEAST);
        self.slots.clear();
        self.slots.resize(slots, 0);
        for place in 0..self.entries.len() {
            let slot = self.slot_where(self.entries[place].0, |taken| taken == 0);
            self.slots[slot] = place as u32 + 1;
        }
    }
}

impl<K: Copy + Eq + Hash, V> Index<&K> for Table<K, V> {
    type Output = V;

    fn index(&self, id: &K) -> &V {
        self.get(id).expect("an entry of this id")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use asupersync_core::SplitMix64;
    use std::collections::BTreeMap;

    #[test]
    fn it_holds_what_a_map_holds() {
        for seed in 0..200 {
            let mut stream = SplitMix64::new(seed);
            let mut table = Table::default();
            let mut map = BTreeMap::new();
            for value in 0..300 {
                // Most of them fall into few slots.
                let id = stream.below(24) << 60;
                match stream.below(40) {
                    0..16 => {
                        table.insert(id, value);
                        map.insert(id, value);
                    }
                    16..32 => assert_eq!(table.remove(&id), map.remove(&id)),
                    32..39 => assert_eq!(table.get(&id), map.get(&id)),
                    _ => {
                        table.clear();
                        map.clear();
                    }
                }
                let mut copy = Table::default();
                copy.set(&table);
                let mut all: Vec<_> = copy.iter().map(|(id, value)| (*id, *value)).collect();
                all.sort_unstable();
                assert!(all.into_iter().eq(map.iter().map(|(id, value)| (*id, *value))));
                let all_found = map.iter().all(|(id, value)| copy.get(id) == Some(value));
                assert!(all_found, "seed {seed}");
            }
        }
    }
}
