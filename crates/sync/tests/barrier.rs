//! What a meeting point promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::Cancelled;
use asupersync_sync::Barrier;
use host::{Boxed, Wakes, in_task, now, poll, poll_with};
use proptest::prelude::*;
use std::task::Poll;

type Waiting<'a> = Boxed<'a, Result<bool, Cancelled>>;

#[test]
fn all_go_on_when_the_last_arrives_and_it_starts_anew() {
    in_task(|cx, _| {
        let barrier = Barrier::new(2);
        for _ in 0..2 {
            let mut first: Waiting<'_> = Box::pin(barrier.wait(cx));
            let (wakes, waker) = Wakes::new();
            assert!(poll_with(&mut first, &waker).is_pending());
            assert_eq!(now(barrier.wait(cx)), Ok(true));
            assert_eq!(wakes.count(), 1);
            assert_eq!(poll(&mut first), Poll::Ready(Ok(false)));
        }
    });
}

#[test]
fn a_cancelled_waiter_has_not_arrived() {
    in_task(|cx, cancel| {
        let barrier = Barrier::new(2);
        let mut first: Waiting<'_> = Box::pin(barrier.wait(cx));
        assert!(poll(&mut first).is_pending());
        cancel();
        assert!(matches!(poll(&mut first), Poll::Ready(Err(_))));
        drop(first);
        assert_eq!(barrier.waiting(), 0);
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_a_count_of_arrivals(
        n in 1..4_usize,
        operations in prop::collection::vec((0..3_u8, 0..6_usize), 0..40),
    ) {
        in_task(move |cx, _| {
            let barrier = Barrier::new(n);
            // Each waiter, and whether the barrier has opened for it.
            let mut waiters: Vec<(Waiting<'_>, bool)> = Vec::new();
            for (operation, at) in operations {
                match operation {
                    0 => {
                        let mut future: Waiting<'_> = Box::pin(barrier.wait(cx));
                        let arrived = waiters.iter().filter(|(_, open)| !open).count() + 1;
                        match poll(&mut future) {
                            Poll::Ready(last) => {
                                assert_eq!((last, arrived), (Ok(true), n));
                                waiters.iter_mut().for_each(|(_, open)| *open = true);
                            }
                            Poll::Pending => {
                                assert!(arrived < n);
                                waiters.push((future, false));
                            }
                        }
                    }
                    1 if at < waiters.len() => {
                        let (future, open) = &mut waiters[at];
                        let open = *open;
                        assert_eq!(poll(future), if open { Poll::Ready(Ok(false)) } else { Poll::Pending });
                        if open {
                            drop(waiters.remove(at));
                        }
                    }
                    2 if at < waiters.len() => drop(waiters.remove(at)),
                    _ => {}
                }
                assert_eq!(barrier.waiting(), waiters.iter().filter(|(_, open)| !open).count());
            }
        });
    }
}
