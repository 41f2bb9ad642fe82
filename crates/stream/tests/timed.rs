//! Adaptors with a clock, in virtual time.

use asupersync_channel::mpsc;
use asupersync_core::{Cx, Error, Time};
use asupersync_lab::{cancel_everywhere, check};
use asupersync_stream::{Elapsed, Stream, StreamExt, iter, unfold};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// The numbers from 0, each after its pause in milliseconds.
fn after<'a>(cx: &'a Cx, pauses: &'a [u32]) -> impl Stream<Item = u32> + 'a {
    unfold(0, async move |n| {
        cx.sleep(MS * *pauses.get(n)?).await.ok()?;
        Some((n as u32, n + 1))
    })
}

/// Each item with the milliseconds at which it came.
fn stamped<'a, T: 'a>(
    cx: &'a Cx,
    start: Time,
    stream: impl Stream<Item = T> + 'a,
) -> impl Stream<Item = (u128, T)> + 'a {
    stream.map(move |item| ((cx.now() - start).as_millis(), item))
}

#[test]
fn a_throttled_stream_keeps_its_distance_and_its_items() {
    check(0..5, async |cx: &Cx| {
        let slowed = iter(0..3).throttle(cx, MS * 10);
        let came: Vec<_> = stamped(cx, cx.now(), slowed).collect(cx).await?;
        assert_eq!(came, [(0, 0), (10, 1), (20, 2)]);
        // During its pause it asks for nothing, so what makes items on demand pauses too.
        let rare = after(cx, &[1, 30, 1]).throttle(cx, MS * 10);
        let came: Vec<_> = stamped(cx, cx.now(), rare).collect(cx).await?;
        assert_eq!(came, [(1, 0), (41, 1), (52, 2)]);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_debounced_stream_yields_the_last_of_each_burst() {
    check(0..5, async |cx: &Cx| {
        let quiet = after(cx, &[1, 1, 1, 20, 1, 20, 1]).debounce(cx, MS * 5);
        let came: Vec<_> = stamped(cx, cx.now(), quiet).collect(cx).await?;
        assert_eq!(came, [(8, 2), (29, 4), (45, 6)]);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_silence_is_reported_once_and_the_stream_goes_on() {
    check(0..5, async |cx: &Cx| {
        let impatient = after(cx, &[1, 25, 1]).timeout(cx, MS * 10);
        let came: Vec<_> = stamped(cx, cx.now(), impatient).collect(cx).await?;
        let silence = Err(Elapsed { limit: MS * 10 });
        assert_eq!(came, [(1, Ok(0)), (11, silence), (26, Ok(1)), (27, Ok(2))]);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_chunk_is_full_or_as_old_as_it_may_get() {
    check(0..5, async |cx: &Cx| {
        let chunks = after(cx, &[1, 1, 1, 1, 30, 1]).chunks_timeout(cx, 3, MS * 10);
        let came: Vec<_> = stamped(cx, cx.now(), chunks).collect(cx).await?;
        assert_eq!(came, [(3, vec![0, 1, 2]), (14, vec![3]), (35, vec![4, 5])]);
        Ok::<_, Error>(())
    });
}

#[test]
fn receivers_are_streams_and_a_pause_loses_no_message() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let (tx, rx) = mpsc::channel(4);
        let mut child = cx.spawn(async move |cx: &Cx| {
            for n in 0..4u32 {
                tx.reserve(cx).await?.send(n);
                cx.sleep(MS).await?;
            }
            Ok::<_, Error>(())
        });
        let calm = rx.throttle(cx, MS * 3).timeout(cx, MS * 2).chunks_timeout(cx, 9, MS * 30);
        let chunks: Vec<_> = calm.collect(cx).await?;
        let items: Vec<u32> = chunks.into_iter().flatten().flatten().collect();
        assert_eq!(items, [0, 1, 2, 3]);
        child.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 10, "{summary:?}");
}
