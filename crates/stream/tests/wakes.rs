//! One wake, one poll; limits and orders kept.

use asupersync_core::{Cx, Error};
use asupersync_stream::{Stream, StreamExt, iter, merge_all, poll_fn};
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

const INPUTS: usize = 500;
const MS: Duration = Duration::from_millis(1);

/// An input that pends until it is opened, and counts how often it is looked at.
#[derive(Clone, Default)]
struct Gate(Arc<GateState>);

#[derive(Default)]
struct GateState {
    polls: AtomicUsize,
    waker: Mutex<Option<Waker>>,
    open: Mutex<bool>,
}

impl Gate {
    fn poll(&self, context: &mut Context<'_>) -> Poll<usize> {
        let polls = self.0.polls.fetch_add(1, Ordering::Relaxed) + 1;
        if std::mem::take(&mut *self.0.open.lock().unwrap()) {
            return Poll::Ready(polls);
        }
        *self.0.waker.lock().unwrap() = Some(context.waker().clone());
        Poll::Pending
    }

    fn open(&self) {
        *self.0.open.lock().unwrap() = true;
        let waker = self.0.waker.lock().unwrap().take();
        waker.expect("it was polled").wake();
    }
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Opens gate 250 of 500 pending ones beneath a stream: of all polls that follow, one is of that gate
/// and none of another.
fn one_wake_is_one_poll(gates: &[Gate], mut stream: Pin<&mut impl Stream<Item = usize>>) {
    let wakes = Arc::new(Wakes::default());
    let waker = Waker::from(wakes.clone());
    let mut context = Context::from_waker(&waker);
    assert!(stream.as_mut().poll_next(&mut context).is_pending());
    let polls = || gates.iter().map(|gate| gate.0.polls.load(Ordering::Relaxed)).sum::<usize>();
    assert_eq!(polls(), INPUTS);
    gates[250].open();
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
    assert_eq!(stream.as_mut().poll_next(&mut context), Poll::Ready(Some(2)));
    assert_eq!(polls(), INPUTS + 1);
}

#[test]
fn one_wake_costs_one_poll_of_500_merged_streams() {
    let gates: Vec<Gate> = (0..INPUTS).map(|_| Gate::default()).collect();
    let stream = |gate: Gate| poll_fn(move |context| gate.poll(context).map(Some));
    let merged = merge_all(gates.iter().cloned().map(stream));
    one_wake_is_one_poll(&gates, pin!(merged));
}

#[test]
fn one_wake_costs_one_poll_of_500_buffered_futures() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        for ordered in [false, true] {
            let gates: Vec<Gate> = (0..INPUTS).map(|_| Gate::default()).collect();
            let futures = iter(gates.clone())
                .map(|gate| std::future::poll_fn(move |context| gate.poll(context)));
            if ordered {
                // The first in order has to come before the others' values do.
                let first = iter([gates[250].clone()]);
                let others = gates.iter().enumerate().filter(|(at, _)| *at != 250);
                let others: Vec<_> = others.map(|(_, gate)| gate.clone()).collect();
                let futures = first
                    .chain(iter(others))
                    .map(|gate| std::future::poll_fn(move |context| gate.poll(context)));
                one_wake_is_one_poll(&gates, pin!(futures.buffered(cx, INPUTS)));
            } else {
                one_wake_is_one_poll(&gates, pin!(futures.buffer_unordered(cx, INPUTS)));
            }
        }
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn a_pending_source_is_not_polled_for_a_futures_wake() {
    let report = asupersync_lab::run(1, async |cx: &Cx| {
        let (gate, looks) = (Gate::default(), AtomicUsize::new(0));
        let mut first = Some(gate.clone());
        let source = poll_fn(|_| {
            looks.fetch_add(1, Ordering::Relaxed);
            first.take().map_or(Poll::Pending, |gate| Poll::Ready(Some(gate)))
        });
        let futures = source.map(|gate| std::future::poll_fn(move |context| gate.poll(context)));
        let mut stream = pin!(futures.buffer_unordered(cx, 9));
        let mut context = Context::from_waker(Waker::noop());
        assert!(stream.as_mut().poll_next(&mut context).is_pending());
        assert_eq!(looks.load(Ordering::Relaxed), 2);
        gate.open();
        assert_eq!(stream.as_mut().poll_next(&mut context), Poll::Ready(Some(2)));
        assert_eq!(looks.load(Ordering::Relaxed), 2);
        Ok::<_, Error>(())
    });
    assert!(report.is_ok(), "{report}");
}

#[test]
fn a_stream_that_is_always_ready_starves_no_other() {
    let mut merged = pin!(merge_all((0..3).map(|tag| poll_fn(move |_| Poll::Ready(Some(tag))))));
    let mut pair = pin!(iter([0; 4]).merge(iter([1; 4])));
    let mut context = Context::from_waker(Waker::noop());
    for round in 0..9 {
        assert_eq!(merged.as_mut().poll_next(&mut context), Poll::Ready(Some(round % 3)));
    }
    for round in 0..8 {
        assert_eq!(pair.as_mut().poll_next(&mut context), Poll::Ready(Some(round % 2)));
    }
    assert_eq!(pair.as_mut().poll_next(&mut context), Poll::Ready(None));
}

#[test]
fn no_more_futures_are_in_flight_than_the_limit_and_all_of_those() {
    asupersync_lab::check(0..10, async |cx: &Cx| {
        for (limit, ordered) in [(1, true), (3, true), (3, false), (0, false), (50, false)] {
            let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
            let futures = iter(0..20u64).map(async |n| {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                // The later, the sooner done.
                let _ = cx.sleep(MS * (20 - n as u32)).await;
                now.fetch_sub(1, Ordering::Relaxed);
                n
            });
            let mut values: Vec<u64> = if ordered {
                futures.buffered(cx, limit).collect(cx).await?
            } else {
                futures.buffer_unordered(cx, limit).collect(cx).await?
            };
            assert_eq!(most.load(Ordering::Relaxed), limit.clamp(1, 20));
            if limit == 50 {
                assert!(values.iter().rev().copied().eq(0..20), "the soonest first: {values:?}");
            }
            if !ordered {
                values.sort_unstable();
            }
            assert!(values.into_iter().eq(0..20));
        }
        Ok::<_, Error>(())
    });
}

#[test]
fn a_loop_over_items_that_are_always_there_lets_others_have_their_turn() {
    let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
    let report = lab.run(async |cx: &Cx| {
        let turns = Arc::new(AtomicUsize::new(0));
        let theirs = turns.clone();
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..10 {
                cx.yield_now().await?;
                theirs.fetch_add(1, Ordering::Relaxed);
            }
            Ok::<_, Error>(())
        });
        let mut items = iter(0..);
        while let Some(item) = items.next(cx).await? {
            if turns.load(Ordering::Relaxed) == 10 {
                return Ok(item);
            }
            assert!(item < 1_000_000, "nobody else has had a turn");
        }
        Ok::<_, Error>(0)
    });
    assert!(report.is_ok(), "{report}");
}
