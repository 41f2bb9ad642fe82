//! Streams with closures that borrow live inside tasks, which are `Send`.

use asupersync_core::{Cx, Error};
use asupersync_lab::run;
use asupersync_stream::{StreamExt, TryStreamExt, iter, unfold};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[test]
fn an_unfold_that_borrows_the_context() {
    let report = run(1, async |cx: &Cx| {
        let ticks = unfold(0, async |n| cx.sleep(MS).await.ok().map(|()| (n, n + 1)));
        assert_eq!(ticks.take(3).collect::<Vec<_>>(cx).await?, [0, 1, 2]);
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn futures_in_flight_that_borrow_the_context() {
    let report = run(1, async |cx: &Cx| {
        let work = iter(0..4).map(async |n| cx.sleep(MS).await.map(|()| n)).buffered(cx, 2);
        assert_eq!(work.try_collect::<Vec<_>>(cx).await?, [0, 1, 2, 3]);
        iter(0..4).for_each_concurrent(cx, 2, async |_| _ = cx.sleep(MS).await).await?;
        let each = async |n: u32| cx.sleep(MS * n).await.map_err(Error::from);
        iter(0..4)
            .map(Ok)
            .and_then(async |n| cx.sleep(MS).await.map(|()| n).map_err(Error::from))
            .try_for_each(cx, each)
            .await?;
        iter(0..4).then(async |n| cx.sleep(MS * n).await).filter(|r| r.is_err()).count(cx).await?;
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn a_pipeline_of_everything_that_borrows() {
    let report = run(1, async |cx: &Cx| {
        let (limit, words) = (3, ["a", "b", "c"]);
        let region = cx.region(async |scope| {
            let mut task = scope.spawn(async |cx: &Cx| {
                let slow = async |n: u32| {
                    cx.sleep(MS * n).await?;
                    Ok::<_, Error>(n)
                };
                iter(0..9)
                    .map(slow)
                    .buffer_unordered(cx, 3)
                    .try_filter(|n| n % 2 == 0)
                    .try_for_each_concurrent(cx, 2, async |n| slow(n).await.map(drop))
                    .await
            });
            task.join(cx).await?.into_result()?;
            Ok::<_, Error>(())
        });
        region.await.into_result()?;
        let named = iter(words).flat_map(|word| iter(0..limit).map(move |n| (word, n)));
        let paced = named.throttle(cx, MS).timeout(cx, MS * 9).chunks_timeout(cx, 4, MS * 50);
        let merged = paced.merge(iter([vec![]])).scan(0, |count, chunk| {
            *count += chunk.len();
            Some(*count)
        });
        assert_eq!(merged.max(cx).await?, Some(9));
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}
