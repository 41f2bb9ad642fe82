//! Brackets: one release for each acquisition, on every path.

use asupersync_combinator::{bracket, timeout};
use asupersync_core::{Cx, Error, Outcome};
use asupersync_lab::{LabConfig, LabRuntime, check};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::Poll;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

#[derive(Default)]
struct Books {
    acquired: AtomicU32,
    released: AtomicU32,
}

impl Books {
    async fn acquire(self: Arc<Books>, cx: &Cx) -> Result<Resource, Error> {
        cx.sleep(MS).await?;
        self.acquired.fetch_add(1, Ordering::Relaxed);
        Ok(Resource { books: self, uses: 0 })
    }

    fn assert_balanced(&self, times: u32) {
        assert_eq!(self.acquired.load(Ordering::Relaxed), times);
        assert_eq!(self.released.load(Ordering::Relaxed), times);
    }
}

struct Resource {
    books: Arc<Books>,
    uses: u32,
}

/// Waits, so it is visible when it is not waited for.
async fn release(cx: &Cx, resource: Resource) -> Result<(), Error> {
    cx.sleep(MS).await?;
    resource.books.released.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[test]
fn it_is_released_once_after_success_error_and_panic() {
    check(0..30, async |cx: &Cx| {
        let books = Arc::new(Books::default());
        let used = async |resource: &mut Resource| {
            resource.uses += 1;
            cx.sleep(MS).await?;
            resource.uses += 1;
            Ok(resource.uses)
        };
        let outcome = bracket(cx, books.clone().acquire(cx), used, release).await;
        assert_eq!(outcome.into_result()?, 2);
        books.assert_balanced(1);

        let failing = async |_: &mut Resource| {
            cx.sleep(MS).await?;
            Err::<(), _>(Error::msg("no good"))
        };
        let outcome = bracket(cx, books.clone().acquire(cx), failing, release).await;
        assert!(matches!(outcome, Outcome::Err(error) if error.to_string().contains("no good")));
        books.assert_balanced(2);

        let panicking = async |_: &mut Resource| -> Result<(), Error> { panic!("boom") };
        let outcome = bracket(cx, books.clone().acquire(cx), panicking, release).await;
        assert!(matches!(outcome, Outcome::Panicked(payload) if payload.message() == "boom"));
        books.assert_balanced(3);
        Ok::<_, Error>(())
    });
}

#[test]
fn nothing_is_released_when_nothing_was_acquired() {
    check(0..5, async |cx: &Cx| {
        let nothing = async { Err::<Resource, _>(Error::msg("sold out")) };
        let never = async |_: &mut Resource| -> Result<(), Error> { panic!("used") };
        let outcome = bracket(cx, nothing, never, async |_: &Cx, _| panic!("released")).await;
        assert!(matches!(outcome, Outcome::Err(_)), "{outcome:?}");
        Ok::<_, Error>(())
    });
}

#[test]
fn an_error_of_the_release_counts_when_nothing_worse_happened() {
    check(0..5, async |cx: &Cx| {
        let sour = async |_: &Cx, ()| Err::<(), _>(Error::msg("will not close"));
        let outcome = bracket(cx, async { Ok(()) }, async |()| Ok(7), sour).await;
        assert!(matches!(outcome, Outcome::Err(error) if error.to_string().contains("will not")));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_timeout_around_it_returns_after_the_release() {
    check(0..30, async |cx: &Cx| {
        let books = Arc::new(Books::default());
        let long = async |_: &mut Resource| Ok(cx.sleep(Duration::from_secs(9)).await?);
        let bracket = bracket(cx, books.clone().acquire(cx), long, release);
        assert!(timeout(cx, 5 * MS, bracket).await.is_err());
        books.assert_balanced(1);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_body_that_hears_no_cancellation_is_dropped_and_then_released() {
    check(0..5, async |cx: &Cx| {
        let books = Arc::new(Books::default());
        let deaf = async |_: &mut Resource| std::future::pending::<Result<(), Error>>().await;
        let bracket = bracket(cx, books.clone().acquire(cx), deaf, release);
        assert!(timeout(cx, 5 * MS, bracket).await.is_err());
        books.assert_balanced(1);
        Ok::<_, Error>(())
    });
}

#[test]
fn when_its_future_is_dropped_the_region_around_waits_for_the_release() {
    check(0..30, async |cx: &Cx| {
        let books = Arc::new(Books::default());
        let outcome = cx.region(async |_| {
            let using = async |_: &mut Resource| Ok(cx.sleep(Duration::from_secs(9)).await?);
            let mut bracket = Box::pin(bracket(cx, books.clone().acquire(cx), using, release));
            let mut alarm = cx.sleep(3 * MS);
            // Polled until it is in use, then dropped.
            poll_fn(|context| {
                assert!(bracket.as_mut().poll(context).is_pending());
                std::pin::Pin::new(&mut alarm).poll(context)
            })
            .await?;
            drop(bracket);
            Ok::<_, Error>(())
        });
        let _ = outcome.await;
        books.assert_balanced(1);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_bracket_that_was_never_polled_does_nothing() {
    check(0..1, async |cx: &Cx| {
        let books = Arc::new(Books::default());
        let used = async |_: &mut Resource| Ok::<_, Error>(());
        drop(bracket(cx, books.clone().acquire(cx), used, release));
        let _ = poll_fn(|_| Poll::Ready(())).await;
        books.assert_balanced(0);
        Ok::<_, Error>(())
    });
}

#[test]
fn acquisitions_and_releases_balance_wherever_a_cancellation_strikes() {
    let mut interrupted = 0;
    for seed in 0..10 {
        for step in 0.. {
            let books = Arc::new(Books::default());
            let seen = books.clone();
            let config = LabConfig::default().seed(seed).inject_cancel_at(step);
            let report = LabRuntime::new(config).run(async move |cx: &Cx| {
                for _ in 0..3 {
                    let used = async |_: &mut Resource| Ok::<_, Error>(cx.sleep(MS).await?);
                    let acquire = seen.clone().acquire(cx);
                    bracket(cx, acquire, used, release).await.into_result()?;
                }
                Ok::<_, Error>(())
            });
            assert!(report.is_sound(), "seed {seed}, step {step}: {report}");
            books.assert_balanced(books.acquired.load(Ordering::Relaxed));
            if report.outcome.is_ok() {
                break;
            }
            interrupted += 1;
        }
    }
    assert!(interrupted > 50, "{interrupted} cancellations");
}
