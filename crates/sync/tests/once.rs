//! What a cell that is initialised once promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::Cancelled;
use asupersync_sync::OnceLock;
use host::{Boxed, Wakes, in_task, now, poll, poll_with};
use std::task::Poll;

#[test]
fn the_first_initialiser_wins_and_later_ones_do_not_run() {
    in_task(|cx, _| {
        let cell = OnceLock::new();
        assert_eq!(cell.get(), None);
        let made = now(cell.get_or_try_init(cx, async || Ok::<_, Cancelled>(1)));
        assert_eq!(made, Ok(&1));
        let again =
            now(cell
                .get_or_try_init(cx, async || -> Result<_, Cancelled> { panic!("must not run") }));
        assert_eq!(again, Ok(&1));
        assert_eq!(cell.set(2), Err(2));
        assert_eq!(cell.into_inner(), Some(1));
    });
}

#[test]
fn waiters_of_a_running_initialiser_get_its_value() {
    in_task(|cx, _| {
        let cell = OnceLock::new();
        let gate = asupersync_sync::Notify::new();
        let slow = async || {
            gate.notified(cx).await?;
            Ok::<_, Cancelled>(1)
        };
        let mut first: Boxed<'_, _> = Box::pin(cell.get_or_try_init(cx, slow));
        let mut second: Boxed<'_, Result<&i32, Cancelled>> =
            Box::pin(cell.get_or_try_init(cx, async || panic!("must not run")));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut first).is_pending());
        assert!(poll_with(&mut second, &waker).is_pending());
        assert_eq!(cell.set(9), Err(9), "an initialiser is running");
        gate.notify_one();
        assert_eq!(poll(&mut first), Poll::Ready(Ok(&1)));
        assert_eq!(wakes.count(), 1);
        assert_eq!(poll(&mut second), Poll::Ready(Ok(&1)));
    });
}

#[test]
fn an_initialiser_that_is_dropped_fails_or_panics_is_retried_by_the_next() {
    #[derive(Debug, PartialEq)]
    struct Failed;
    impl From<Cancelled> for Failed {
        fn from(_: Cancelled) -> Failed {
            Failed
        }
    }
    in_task(|cx, _| {
        let cell = OnceLock::new();
        let mut dropped: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || std::future::pending().await));
        let mut fails: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || Err(Failed)));
        let mut panics: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || panic!("half way")));
        let mut succeeds: Boxed<'_, Result<&i32, Failed>> =
            Box::pin(cell.get_or_try_init(cx, async || Ok(4)));
        assert!(poll(&mut dropped).is_pending());
        assert!(poll(&mut fails).is_pending());
        assert!(poll(&mut panics).is_pending());
        assert!(poll(&mut succeeds).is_pending());
        drop(dropped);
        assert_eq!(poll(&mut fails), Poll::Ready(Err(Failed)));
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let _ = poll(&mut panics);
        }));
        assert!(panicked.is_err());
        assert_eq!(poll(&mut succeeds), Poll::Ready(Ok(&4)));
    });
}

#[test]
fn a_cancelled_waiter_answers_in_one_poll() {
    in_task(|cx, cancel| {
        let cell = OnceLock::new();
        let mut first: Boxed<'_, Result<&i32, Cancelled>> =
            Box::pin(cell.get_or_try_init(cx, async || std::future::pending().await));
        let mut second: Boxed<'_, Result<&i32, Cancelled>> =
            Box::pin(cell.get_or_try_init(cx, async || Ok(2)));
        assert!(poll(&mut first).is_pending());
        assert!(poll(&mut second).is_pending());
        cancel();
        assert!(matches!(poll(&mut second), Poll::Ready(Err(_))));
        drop(first);
        assert_eq!(cell.set(3), Ok(()), "the turn came back");
    });
}
