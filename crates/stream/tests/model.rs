//! Every adaptor against what iterators and vectors do, over streams that pause wherever they like.

use asupersync_core::{Cx, Error};
use asupersync_stream::{Stream, StreamExt, TryStreamExt, iter, merge_all, poll_fn};
use proptest::prelude::*;
use std::pin::Pin;
use std::task::Poll;

type Boxed<'a> = Pin<Box<dyn Stream<Item = u32> + Send + 'a>>;

/// The items, with a pause before each whose number has its bit set in `pauses`.
fn halting(items: Vec<u32>, pauses: u64) -> Boxed<'static> {
    let mut items = items.into_iter().enumerate().peekable();
    let mut paused = false;
    poll_fn(move |context| {
        let at = items.peek().map_or(63, |(at, _)| at % 64);
        paused = !paused && pauses >> at & 1 == 1;
        if paused {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(items.next().map(|(_, item)| item))
    })
    .boxed()
}

#[derive(Clone, Debug)]
enum Operation {
    Map(u32),
    Filter(u32),
    FilterMap(u32),
    Enumerate,
    Inspect,
    Take(usize),
    Skip(usize),
    TakeWhile(u32),
    SkipWhile(u32),
    Scan(u32),
    Window(usize),
    Chunks(usize),
    Then,
    FlatMap(u32),
    Chain(Vec<u32>),
    Zip(Vec<u32>),
    Fuse,
    CycleUpTo(usize),
    Peekable,
    Buffered(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    use Operation::*;
    let items = || proptest::collection::vec(0..50u32, 0..8);
    prop_oneof![
        (0..9u32).prop_map(Map),
        (1..4u32).prop_map(Filter),
        (1..4u32).prop_map(FilterMap),
        Just(Enumerate),
        Just(Inspect),
        (0..8usize).prop_map(Take),
        (0..4usize).prop_map(Skip),
        (0..50u32).prop_map(TakeWhile),
        (0..50u32).prop_map(SkipWhile),
        (0..200u32).prop_map(Scan),
        (0..4usize).prop_map(Window),
        (0..4usize).prop_map(Chunks),
        Just(Then),
        (0..4u32).prop_map(FlatMap),
        items().prop_map(Chain),
        items().prop_map(Zip),
        Just(Fuse),
        (0..12usize).prop_map(CycleUpTo),
        Just(Peekable),
        (0..5usize).prop_map(Buffered),
    ]
}

fn sum(items: Vec<u32>) -> u32 {
    items.into_iter().fold(7, u32::wrapping_add)
}

fn streamed<'a>(cx: &'a Cx, stream: Boxed<'a>, operation: &Operation, pauses: u64) -> Boxed<'a> {
    use Operation::*;
    match operation.clone() {
        Map(n) => stream.map(move |item| item.wrapping_mul(n)).boxed(),
        Filter(n) => stream.filter(move |item| item % n == 0).boxed(),
        FilterMap(n) => stream.filter_map(move |item| (item % n > 0).then_some(item / n)).boxed(),
        Enumerate => stream.enumerate().map(|(at, item)| item.wrapping_add(at as u32)).boxed(),
        Inspect => stream.inspect(|_| ()).boxed(),
        Take(n) => stream.take(n).boxed(),
        Skip(n) => stream.skip(n).boxed(),
        TakeWhile(n) => stream.take_while(move |item| *item < n).boxed(),
        SkipWhile(n) => stream.skip_while(move |item| *item < n).boxed(),
        Scan(n) => stream
            .scan(0u32, move |total, item| {
                *total = total.wrapping_add(item);
                (*total < n).then_some(*total)
            })
            .boxed(),
        Window(n) => stream.window(n).map(sum).boxed(),
        Chunks(n) => stream.chunks(n).map(sum).boxed(),
        Then => stream
            .then(async |item| {
                let _ = cx.yield_now().await;
                item ^ 1
            })
            .boxed(),
        FlatMap(n) => stream
            .flat_map(move |item| halting(vec![item; (item % (n + 1)) as usize], pauses))
            .boxed(),
        Chain(items) => stream.chain(halting(items, pauses)).boxed(),
        Zip(items) => stream.zip(halting(items, pauses)).map(|(a, b)| a ^ b).boxed(),
        Fuse => stream.fuse().boxed(),
        CycleUpTo(n) => stream.chain(iter([1, 2]).cycle()).take(n).boxed(),
        Peekable => stream.peekable().boxed(),
        Buffered(n) => stream
            .map(async |item| {
                for _ in 0..item % 3 {
                    let _ = cx.yield_now().await;
                }
                item.wrapping_add(1)
            })
            .buffered(cx, n)
            .boxed(),
    }
}

fn modelled(items: Vec<u32>, operation: &Operation) -> Vec<u32> {
    use Operation::*;
    let items = items.into_iter();
    match operation.clone() {
        Map(n) => items.map(|item| item.wrapping_mul(n)).collect(),
        Filter(n) => items.filter(|item| item % n == 0).collect(),
        FilterMap(n) => items.filter_map(|item| (item % n > 0).then_some(item / n)).collect(),
        Enumerate => items.enumerate().map(|(at, item)| item.wrapping_add(at as u32)).collect(),
        Inspect | Fuse | Peekable => items.collect(),
        Take(n) => items.take(n).collect(),
        Skip(n) => items.skip(n).collect(),
        TakeWhile(n) => items.take_while(|item| *item < n).collect(),
        SkipWhile(n) => items.skip_while(|item| *item < n).collect(),
        Scan(n) => items
            .scan(0u32, |total, item| {
                *total = total.wrapping_add(item);
                (*total < n).then_some(*total)
            })
            .collect(),
        Window(n) => items.collect::<Vec<_>>().windows(n.max(1)).map(|w| sum(w.to_vec())).collect(),
        Chunks(n) => items.collect::<Vec<_>>().chunks(n.max(1)).map(|c| sum(c.to_vec())).collect(),
        Then => items.map(|item| item ^ 1).collect(),
        FlatMap(n) => items.flat_map(|item| vec![item; (item % (n + 1)) as usize]).collect(),
        Chain(other) => items.chain(other).collect(),
        Zip(other) => items.zip(other).map(|(a, b)| a ^ b).collect(),
        CycleUpTo(n) => items.chain([1, 2].into_iter().cycle()).take(n).collect(),
        Buffered(_) => items.map(|item| item.wrapping_add(1)).collect(),
    }
}

/// Runs a body in the lab, where it must succeed.
fn in_lab<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let report = asupersync_lab::run(1, body);
    assert!(report.is_ok(), "{report}");
}

proptest! {
    #[test]
    fn a_chain_of_adaptors_yields_what_the_iterators_do(
        items in proptest::collection::vec(0..50u32, 0..20),
        operations in proptest::collection::vec(operation(), 0..6),
        pauses: u64,
    ) {
        in_lab(async move |cx: &Cx| {
            let mut stream = halting(items.clone(), pauses);
            let mut model = items;
            for operation in &operations {
                stream = streamed(cx, stream, operation, pauses);
                model = modelled(model, operation);
            }
            let (lower, upper) = stream.size_hint();
            assert!(lower <= model.len() && upper.is_none_or(|upper| model.len() <= upper));
            assert_eq!(stream.collect::<Vec<_>>(cx).await?, model);
            Ok(())
        });
    }

    #[test]
    fn terminal_operations_answer_as_the_iterators_do(
        items in proptest::collection::vec(0..20u32, 0..12),
        n in 0..20u32,
        pauses: u64,
    ) {
        in_lab(async move |cx: &Cx| {
            let stream = || halting(items.clone(), pauses);
            let model = || items.iter().copied();
            assert_eq!(stream().count(cx).await?, model().count());
            assert_eq!(stream().min(cx).await?, model().min());
            assert_eq!(stream().max(cx).await?, model().max());
            assert_eq!(stream().any(cx, |item| item == n).await?, model().any(|item| item == n));
            assert_eq!(stream().all(cx, |item| item < n).await?, model().all(|item| item < n));
            assert_eq!(
                stream().find(cx, |item| *item > n).await?,
                model().find(|item| *item > n)
            );
            assert_eq!(
                stream().fold(cx, 1u32, |a, item| a.wrapping_mul(3) ^ item).await?,
                model().fold(1u32, |a, item| a.wrapping_mul(3) ^ item)
            );
            let parted: (Vec<u32>, Vec<u32>) = stream().partition(cx, |item| *item < n).await?;
            assert_eq!(parted, model().partition(|item| *item < n));
            let pairs = stream().map(|item| (item, item ^ n));
            let unzipped: (Vec<u32>, Vec<u32>) = pairs.unzip(cx).await?;
            assert_eq!(unzipped, model().map(|item| (item, item ^ n)).unzip());

            let fails = |item| if item == n { Err(Failed(item)) } else { Ok(item) };
            assert_eq!(
                stream().map(fails).try_collect::<Vec<_>>(cx).await,
                model().map(fails).collect()
            );
            let step = |a: u32, item| fails(item).map(|item| a + item);
            assert_eq!(
                stream().map(Ok).try_fold(cx, 0, step).await,
                model().try_fold(0, step)
            );
            let until: Vec<_> = stream().map(fails).until_err().collect(cx).await?;
            let at = items.iter().position(|item| *item == n).map_or(items.len(), |at| at + 1);
            assert_eq!(until, model().take(at).map(fails).collect::<Vec<_>>());
            Ok(())
        });
    }

    #[test]
    fn a_merge_keeps_each_streams_items_in_order(
        streams in proptest::collection::vec((0..8usize, any::<u64>()), 0..6),
    ) {
        in_lab(async move |cx: &Cx| {
            let tagged = |(tag, (count, pauses)): (usize, (usize, u64))| {
                halting((0..count as u32).collect(), pauses).map(move |item| (tag, item)).boxed()
            };
            let all: Vec<_> = streams.iter().copied().enumerate().map(tagged).collect();
            let merged: Vec<_> = merge_all(all).collect(cx).await?;
            for (tag, (count, _)) in streams.iter().enumerate() {
                let own = merged.iter().filter(|(of, _)| *of == tag).map(|(_, item)| *item);
                assert!(own.eq(0..*count as u32));
            }
            assert_eq!(merged.len(), streams.iter().map(|(count, _)| count).sum::<usize>());
            Ok(())
        });
    }
}

#[derive(Debug, PartialEq)]
struct Failed(u32);

impl From<asupersync_core::Cancelled> for Failed {
    fn from(_: asupersync_core::Cancelled) -> Failed {
        Failed(u32::MAX)
    }
}
