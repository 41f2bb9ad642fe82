//! Streams run to their end, and a plan.

use crate::probe::{Entry, operation};
use asupersync_channel::mpsc;
use asupersync_core::{Cancelled, Cx, Error};
use asupersync_plan::{Leaf, PlanBuilder, execute};
use asupersync_stream::{StreamExt, TryStreamExt};

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    ended(&mut list);
    tried(&mut list);
    moved(&mut list);
    list
}

/// An operation over a stream of five numbers that come one by one. What it has not taken when it is gone
/// is still there, in order and once, and whoever sends comes to the end.
macro_rules! leaves_the_rest {
    ($list:ident, $name:literal, $bound:literal, |$cx:ident, $numbers:ident| $run:expr, |$got:ident| $wanted:expr) => {
        operation!($list, $name, "of numbers that come one by one", $bound, |cx, case| {
            let (tx, mut rx) = mpsc::channel::<u32>(2);
            let mut sender = cx.spawn(async move |cx: &Cx| {
                for n in 0..5 {
                    cx.yield_now().await?;
                    let _ = tx.reserve(cx).await?.send(n);
                }
                Ok::<_, Error>(())
            });
            let got = {
                let ($cx, $numbers) = (cx, &mut rx);
                case.subject(cx, $run).await
            };
            let mut rest = Vec::new();
            while let Ok(n) = rx.recv(cx).await {
                rest.push(n);
            }
            let first = 5 - rest.len() as u32;
            assert_eq!(rest, (first..5).collect::<Vec<_>>());
            sender.join(cx).await?.into_result()?;
            match got {
                Some(Ok($got)) => assert!(case.struck() || $wanted),
                Some(Err(_)) | None => assert!(case.struck()),
            }
        });
    };
}

fn ended(list: &mut Vec<Entry>) {
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::next",
        1,
        |cx, numbers| numbers.next(cx),
        |got| { got == Some(0) }
    );
    leaves_the_rest!(
        list,
        "stream::sequence::Peekable::peek",
        1,
        |cx, numbers| async {
            let mut numbers = std::pin::pin!(numbers.peekable());
            numbers.peek(cx).await.map(|first| first.copied())
        },
        |got| got == Some(0)
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::fold",
        1,
        |cx, numbers| numbers.fold(cx, 0, |sum, n| sum + n),
        |got| got == 10
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::collect",
        1,
        |cx, numbers| numbers.collect::<Vec<_>>(cx),
        |got| got == [0, 1, 2, 3, 4]
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::count",
        1,
        |cx, numbers| numbers.count(cx),
        |got| got == 5
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::for_each",
        2,
        |cx, numbers| numbers.for_each(cx, |_| async { _ = cx.yield_now().await }),
        |_got| true
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::for_each_concurrent",
        2,
        |cx, numbers| numbers.for_each_concurrent(cx, 2, |_| async { _ = cx.yield_now().await }),
        |_got| true
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::any",
        1,
        |cx, numbers| numbers.any(cx, |n| n == 3),
        |got| got
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::all",
        1,
        |cx, numbers| numbers.all(cx, |n| n < 3),
        |got| !got
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::find",
        1,
        |cx, numbers| numbers.find(cx, |n| *n == 2),
        |got| got == Some(2)
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::min",
        1,
        |cx, numbers| numbers.min(cx),
        |got| got == Some(0)
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::max",
        1,
        |cx, numbers| numbers.max(cx),
        |got| got == Some(4)
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::partition",
        1,
        |cx, numbers| numbers.partition::<Vec<_>, _>(cx, |n| n % 2 == 0),
        |got| got == (vec![0, 2, 4], vec![1, 3])
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::unzip",
        1,
        |cx, numbers| numbers.map(|n| (n, n)).unzip::<_, _, Vec<_>, Vec<_>>(cx),
        |got| got.0 == got.1 && got.0.len() == 5
    );
    leaves_the_rest!(
        list,
        "stream::ext::StreamExt::drain",
        1,
        |cx, numbers| async {
            numbers.drain(cx).await;
            Ok::<_, Cancelled>(())
        },
        |_got| true
    );
}

fn tried(list: &mut Vec<Entry>) {
    leaves_the_rest!(
        list,
        "stream::try_ext::TryStreamExt::try_next",
        1,
        |cx, numbers| async {
            let mut numbers = numbers.map(Ok::<_, Cancelled>);
            numbers.try_next(cx).await
        },
        |got| got == Some(0)
    );
    leaves_the_rest!(
        list,
        "stream::try_ext::TryStreamExt::try_collect",
        1,
        |cx, numbers| numbers.map(Ok::<_, Cancelled>).try_collect::<Vec<_>>(cx),
        |got| got == [0, 1, 2, 3, 4]
    );
    leaves_the_rest!(
        list,
        "stream::try_ext::TryStreamExt::try_fold",
        1,
        |cx, numbers| numbers.map(Ok::<_, Cancelled>).try_fold(cx, 0, |sum, n| Ok(sum + n)),
        |got| got == 10
    );
    leaves_the_rest!(
        list,
        "stream::try_ext::TryStreamExt::try_for_each",
        2,
        |cx, numbers| numbers.map(Ok::<_, Cancelled>).try_for_each(cx, |_| cx.yield_now()),
        |_got| true
    );
    leaves_the_rest!(
        list,
        "stream::try_ext::TryStreamExt::try_for_each_concurrent",
        2,
        |cx, numbers| numbers
            .map(Ok::<_, Cancelled>)
            .try_for_each_concurrent(cx, 2, |_| cx.yield_now()),
        |_got| true
    );
}

fn moved(list: &mut Vec<Entry>) {
    operation!(list, "stream::ext::StreamExt::forward", "into a narrow channel", 1, |cx, case| {
        let (tx, mut from) = mpsc::channel::<u32>(5);
        for n in 0..5 {
            let _ = tx.reserve(cx).await?.send(n);
        }
        drop(tx);
        let (to, mut out) = mpsc::channel::<u32>(1);
        let mut reader = cx.spawn(async move |cx: &Cx| {
            let mut all = Vec::new();
            while let Ok(n) = out.recv(cx).await {
                all.push(n);
            }
            Ok::<_, Error>(all)
        });
        let _ = case.subject(cx, from.forward(cx, &to)).await;
        drop(to);
        // What was moved and what was not are all there is.
        let mut all = reader.join(cx).await?.into_result()?;
        while let Ok(n) = from.recv(cx).await {
            all.push(n);
        }
        assert_eq!(all, [0, 1, 2, 3, 4]);
    });
    operation!(list, "plan::execute::execute", "of two leaves together", 2, |cx, case| {
        let mut builder = PlanBuilder::new();
        let leaves = ["a", "b"].map(|name| builder.leaf(Leaf::new(name)));
        let root = builder.join(leaves);
        let plan = builder.build(root).expect("it is well formed");
        let bodies = |_: &Leaf| {
            async |cx: &Cx| {
                cx.yield_now().await?;
                Ok::<u32, Error>(1)
            }
        };
        let got = case.subject(cx, execute(cx, &plan, bodies)).await;
        assert!(case.struck() || got.is_some_and(|outcome| outcome.ok() == Some(vec![1, 1])));
    });
}
