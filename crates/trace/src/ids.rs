//! Tables whose keys are ids, and numbers for ids.

use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map from ids, or from enums of ids, with a fixed iteration order as
/// `asupersync_core::DetHashMap` has. Ids are digests already, so hashing is one multiplication; not for
/// keys that somebody outside may choose.
#[allow(clippy::disallowed_types, reason = "its hasher has no seed")]
pub type IdMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// A set of ids; see [`IdMap`].
#[allow(clippy::disallowed_types, reason = "its hasher has no seed")]
pub type IdSet<T> = std::collections::HashSet<T, BuildHasherDefault<IdHasher>>;

/// Multiplies by an odd constant (that of Steele and Vigna, "Computationally easy, spectrally good
/// multipliers", 2021) and brings the well-mixed high bits down.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl IdHasher {
    /// The hash of one id.
    #[inline]
    pub fn hash(id: impl Hash) -> u64 {
        let mut hasher = IdHasher::default();
        id.hash(&mut hasher);
        hasher.finish()
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0xd134_2543_de82_ef95);
    }

    /// Two ids, or one with a tag above it.
    #[inline]
    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64 ^ ((value >> 64) as u64).rotate_left(32));
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}

/// Gives ids small numbers in the order in which they first come: 0, 1, 2 and so on. What is kept of an id
/// can then stand in a plain vector.
///
/// A table of its own, because nothing is ever taken out of it: a lookup is a multiplication and as a rule one
/// comparison. As with [`IdMap`], not for keys that somebody outside may choose.
#[derive(Debug)]
pub struct Numbers<K> {
    /// The ids by their numbers.
    ids: Vec<K>,
    /// Where the hash of an id says, or in the first free slot after that: its number plus one. Always a power
    /// of two of them, at most half of them taken.
    slots: Vec<u32>,
}

impl<K> Default for Numbers<K> {
    fn default() -> Numbers<K> {
        Numbers { ids: Vec::new(), slots: Vec::new() }
    }
}

impl<K: Clone> Clone for Numbers<K> {
    fn clone(&self) -> Numbers<K> {
        Numbers { ids: self.ids.clone(), slots: self.slots.clone() }
    }

    fn clone_from(&mut self, other: &Numbers<K>) {
        let Numbers { ids, slots } = other;
        self.ids.clone_from(ids);
        self.slots.clone_from(slots);
    }
}

impl<K: Copy + Eq + Hash> Numbers<K> {
    /// The number of this id, which is [`len`](Numbers::len) if the id is new.
    ///
    /// # Panics
    /// With more than 2^32 - 1 ids.
    #[inline]
    pub fn number(&mut self, id: K) -> u32 {
        if self.ids.len() * 2 >= self.slots.len() {
            self.grow();
        }
        let last = self.slots.len() - 1;
        let mut at = IdHasher::hash(id) as usize & last;
        loop {
            match self.slots[at] {
                0 => break,
                taken if self.ids[taken as usize - 1] == id => return taken - 1,
                _ => at = (at + 1) & last,
            }
        }
        self.ids.push(id);
        self.slots[at] = u32::try_from(self.ids.len()).expect("a run has fewer than 2^32 ids");
        self.slots[at] - 1
    }

    /// The number of this id, if it has one.
    #[must_use]
    pub fn get(&self, id: K) -> Option<u32> {
        let last = self.slots.len().checked_sub(1)?;
        let mut at = IdHasher::hash(id) as usize & last;
        loop {
            match self.slots[at] {
                0 => return None,
                taken if self.ids[taken as usize - 1] == id => return Some(taken - 1),
                _ => at = (at + 1) & last,
            }
        }
    }

    /// How many ids have a number.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether no id has a number.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// Takes all numbers back. Slots stay for about as many ids as there were, so that one long run does not
    /// make the start of every later one dear.
    pub fn clear(&mut self) {
        if self.ids.is_empty() {
            return;
        }
        let slots =
            (self.ids.len() * 4).next_power_of_two().clamp(LEAST, self.slots.len().max(LEAST));
        self.ids.clear();
        self.slots.clear();
        self.slots.resize(slots, 0);
    }

    #[cold]
    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(LEAST);
        self.slots.clear();
        self.slots.resize(slots, 0);
        for (number, id) in (1..).zip(&self.ids) {
            let mut at = IdHasher::hash(*id) as usize & (slots - 1);
            while self.slots[at] != 0 {
                at = (at + 1) & (slots - 1);
            }
            self.slots[at] = number;
        }
    }
}

/// Slots at least.
const LEAST: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_are_numbered_in_the_order_in_which_they_first_come(
            runs in prop::collection::vec(prop::collection::vec(0_u128..400, 0..600), 1..4),
        ) {
            let mut numbers = Numbers::default();
            for run in runs {
                let mut order = Vec::new();
                for id in run {
                    // Most of them fall into few slots.
                    let id = id << 80;
                    if !order.contains(&id) {
                        order.push(id);
                    }
                    let known = order.iter().position(|known| *known == id);
                    prop_assert_eq!(numbers.get(id).is_some(), order.len() == numbers.len());
                    prop_assert_eq!(Some(numbers.number(id) as usize), known);
                }
                prop_assert_eq!(numbers.len(), order.len());
                numbers.clear();
                prop_assert!(numbers.is_empty());
            }
        }
    }
}
