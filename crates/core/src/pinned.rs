//! Values that stay where they are, by the list: one allocation for all of them.

use std::fmt;
use std::pin::Pin;

/// A list of values that are pinned, and dropped where they are. Its length does not change.
///
/// A `Vec<Pin<Box<T>>>` is the same with an allocation for each.
///
/// ```
/// use asupersync_core::PinnedSlice;
/// use std::task::{Context, Poll, Waker};
///
/// let mut futures: PinnedSlice<_> = (0..3).map(|n| async move { n }).collect();
/// let mut context = Context::from_waker(Waker::noop());
/// let last = futures.get_mut(2).unwrap();
/// assert_eq!(last.poll(&mut context), Poll::Ready(2));
/// # use std::future::Future;
/// ```
// INVARIANT: no method moves a value, or hands out a `&mut T` to one that is not `Unpin`.
pub struct PinnedSlice<T>(Box<[T]>);

impl<T> PinnedSlice<T> {
    /// How many values there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of that number, if there are so many.
    #[must_use]
    pub fn get_mut(&mut self, index: usize) -> Option<Pin<&mut T>> {
        // SAFETY: the values are in an allocation of their own, which is neither moved nor grown, and by the
        // type's invariant none is moved out of it; a box drops them in place before it gives the memory back.
        self.0.get_mut(index).map(|value| unsafe { Pin::new_unchecked(value) })
    }

    /// The values in order.
    pub fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.iter()
    }

    /// The values in order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = Pin<&mut T>> {
        // SAFETY: as in `get_mut`.
        self.0.iter_mut().map(|value| unsafe { Pin::new_unchecked(value) })
    }
}

impl<T> FromIterator<T> for PinnedSlice<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> PinnedSlice<T> {
        PinnedSlice(values.into_iter().collect())
    }
}

impl<'s, T> IntoIterator for &'s PinnedSlice<T> {
    type Item = &'s T;
    type IntoIter = std::slice::Iter<'s, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: fmt::Debug> fmt::Debug for PinnedSlice<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::marker::PhantomPinned;

    struct Kept(*const Kept, PhantomPinned);

    #[test]
    fn a_value_is_where_it_was_after_the_list_has_moved() {
        let mut list: PinnedSlice<Kept> =
            (0..3).map(|_| Kept(std::ptr::null(), PhantomPinned)).collect();
        for value in list.iter_mut() {
            // SAFETY: the value is not moved, only written to.
            let value = unsafe { value.get_unchecked_mut() };
            value.0 = value;
        }
        let list = Box::new(list);
        assert!(list.iter().all(|value| std::ptr::eq(value.0, value)));
    }
}
