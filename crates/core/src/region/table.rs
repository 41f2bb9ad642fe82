//! The children of a region, by number; the first few without an allocation.

use smallvec::SmallVec;

/// Numbered values; a number that was given back is given out next, the last one first. (What `slab` is, but
/// for the room for a few: most regions have no more children.)
pub(super) struct Table<T> {
    places: SmallVec<[Place<T>; 4]>,
    /// Where the next one goes: beyond the end if no place is vacant.
    next: usize,
    len: usize,
}

enum Place<T> {
    Taken(T),
    /// The next vacant one after this.
    Vacant(usize),
}

impl<T> Table<T> {
    #[inline]
    pub(super) fn new() -> Table<T> {
        Table { places: SmallVec::new(), next: 0, len: 0 }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The number that the next value will have.
    #[inline]
    pub(super) fn next_number(&self) -> usize {
        self.next
    }

    #[inline]
    pub(super) fn insert(&mut self, value: T) -> usize {
        let number = self.next;
        match self.places.get_mut(number) {
            None => {
                self.places.push(Place::Taken(value));
                self.next = number + 1;
            }
            Some(place) => {
                if let Place::Vacant(next) = std::mem::replace(place, Place::Taken(value)) {
                    self.next = next;
                }
            }
        }
        self.len += 1;
        number
    }

    /// Takes the value out; none if there is none of that number.
    #[inline]
    pub(super) fn try_remove(&mut self, number: usize) -> Option<T> {
        let place = self.places.get_mut(number).filter(|place| matches!(place, Place::Taken(_)))?;
        let Place::Taken(value) = std::mem::replace(place, Place::Vacant(self.next)) else {
            return None;
        };
        self.next = number;
        self.len -= 1;
        Some(value)
    }

    /// The values by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.places.iter().filter_map(|place| match place {
            Place::Taken(value) => Some(value),
            Place::Vacant(_) => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use slab::Slab;

    proptest! {
        #[test]
        fn numbers_and_order_are_those_of_a_slab(steps in proptest::collection::vec(any::<(bool, u8)>(), 0..64)) {
            let (mut table, mut slab) = (Table::new(), Slab::new());
            for (inserts, number) in steps {
                let number = usize::from(number % 8);
                if inserts {
                    prop_assert_eq!(table.next_number(), slab.vacant_key());
                    prop_assert_eq!(table.insert(number), slab.insert(number));
                } else {
                    prop_assert_eq!(table.try_remove(number), slab.try_remove(number));
                }
                prop_assert_eq!(table.len(), slab.len());
                prop_assert!(table.iter().eq(slab.iter().map(|(_, value)| value)));
            }
        }
    }
}
