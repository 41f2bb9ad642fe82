//! Many to one: mapped a few at a time, folded as they come, in order all the same.

use crate::try_join_list;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Cancelled, TaskCx};
use std::collections::BTreeMap;
use std::panic::Location;

/// Maps each item with a future of its own, at most `limit` of them at once, and folds the values with
/// a monoid: `identity`, and an associative `combine`.
///
/// Values are combined as soon as their neighbours are there, always in the items' order, so `combine`
/// need not commute and the result does not depend on who is first. Kept meanwhile: one value for each
/// run of neighbours. Without items the result is `identity`; a limit of zero counts as one.
///
/// ```
/// use asupersync_combinator::map_reduce;
/// use asupersync_core::{Cx, Error};
///
/// async fn total(cx: &Cx) -> Result<(), Error> {
///     let length = async |word: &'static str| Ok::<_, Error>(word.len());
///     assert_eq!(map_reduce(cx, 2, ["to", "be", "or"], length, 0, |a, b| a + b).await?, 6);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(total).is_ok());
/// ```
///
/// # Errors
/// The first error in time. The other futures are cancelled with
/// [`CancelKind::FailFast`](asupersync_core::CancelKind::FailFast) and have ended when it is returned,
/// and no further item is begun. `Cancelled`, turned into the error type, when the enclosing scope was
/// cancelled before the last item was done.
///
/// # Panics
/// Passes on the first panic of a future, `map` or `combine` once the rest is cancelled and drained.
///
/// # Cancel safety
/// Awaited, every future that was begun ends by itself; after a cancel request none is begun. What was
/// folded until then is dropped. A cancel request is answered when the last of them has ended.
#[track_caller]
pub fn map_reduce<'a, I, T, E, F>(
    cx: &'a TaskCx,
    limit: usize,
    items: impl IntoIterator<Item = I>,
    map: impl FnMut(I) -> F + 'a,
    identity: T,
    combine: impl FnMut(T, T) -> T + 'a,
) -> impl Future<Output = Result<T, E>>
where
    F: Future<Output = Result<T, E>> + 'a,
    E: From<Cancelled>,
{
    let site = Location::caller();
    let items: Vec<I> = items.into_iter().collect();
    async move {
        let workers = limit.clamp(1, items.len().max(1));
        // The workers are polled in turns by one task: the locks are never waited for.
        let source = Mutex::new((items.into_iter().enumerate(), map));
        let folded = Mutex::new((Runs::new(), combine));
        let worker = async |_| {
            loop {
                cx.checkpoint()?;
                let (index, future) = {
                    let (items, map) = &mut *source.lock();
                    let Some((index, item)) = items.next() else { return Ok::<(), E>(()) };
                    (index, map(item))
                };
                let value = future.await?;
                let (runs, combine) = &mut *folded.lock();
                runs.add(index, value, combine);
            }
        };
        let workers: Vec<_> = (0..workers).map(worker).collect();
        try_join_list(cx, "map_reduce", site, workers).await?;
        let runs = std::mem::replace(&mut folded.lock().0, Runs::new());
        Ok(runs.into_whole().unwrap_or(identity))
    }
}

/// Folded values of runs of neighbouring items: from the first index to the end index and value.
struct Runs<T>(BTreeMap<usize, (usize, T)>);

impl<T> Runs<T> {
    fn new() -> Runs<T> {
        Runs(BTreeMap::new())
    }

    /// Adds the value of one item, joined with the runs it touches.
    fn add(&mut self, index: usize, value: T, combine: &mut impl FnMut(T, T) -> T) {
        let (mut start, mut end, mut value) = (index, index + 1, value);
        let before = self.0.range(..index).next_back().map(|(start, (end, _))| (*start, *end));
        if let Some((left, _)) = before.filter(|(_, end)| *end == index) {
            if let Some((_, folded)) = self.0.remove(&left) {
                (start, value) = (left, combine(folded, value));
            }
        }
        if let Some((right, folded)) = self.0.remove(&end) {
            (end, value) = (right, combine(value, folded));
        }
        self.0.insert(start, (end, value));
    }

    /// When all items are in, they are one run.
    fn into_whole(mut self) -> Option<T> {
        self.0.pop_first().map(|(_, (_, value))| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_order_of_arrival_folds_to_the_same_whole(
            order in (0..40usize).prop_flat_map(|n| Just((0..n).collect::<Vec<_>>()).prop_shuffle()),
        ) {
            let mut runs = Runs::new();
            for index in &order {
                runs.add(*index, vec![*index], &mut |a, b| [a, b].concat());
            }
            prop_assert!(runs.0.len() <= 1);
            prop_assert_eq!(runs.into_whole().unwrap_or_default(), (0..order.len()).collect::<Vec<_>>());
        }
    }
}
