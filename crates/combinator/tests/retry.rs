//! Retrying: growing delays, never past the deadline, one attempt at a time.

use asupersync_combinator::{Jitter, RetryError, RetryPolicy, retry, retry_if};
use asupersync_core::{Budget, CancelReason, Cx, Error, ErrorKind, RegionOptions, Time};
use asupersync_lab::{cancel_everywhere, check};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const EXACT: RetryPolicy = RetryPolicy::new(4).first_delay(MS).jitter(Jitter::None);

async fn refuse(attempt: u32) -> Result<u32, std::io::Error> {
    Err(std::io::Error::other(format!("refused {attempt}")))
}

#[test]
fn delays_double_between_attempts_and_the_last_error_comes_back() {
    check(0..20, async |cx: &Cx| {
        let times = std::sync::Mutex::new(Vec::new());
        let result = retry(cx, EXACT, |attempt| {
            times.lock().unwrap().push(cx.now().as_nanos() / 1_000_000);
            refuse(attempt)
        });
        let Err(error) = result.await else { panic!("nothing succeeds") };
        assert!(matches!(&error, RetryError::Exhausted { attempts: 4, .. }), "{error:?}");
        assert_eq!(error.to_string(), "all 4 attempts failed, the last with: refused 4");
        assert_eq!(times.into_inner().unwrap(), [0, 1, 3, 7]);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_permanent_error_is_not_tried_again() {
    check(0..5, async |cx: &Cx| {
        let result = retry_if(cx, EXACT, async |n| Err::<(), _>(n), |error| *error < 2).await;
        assert_eq!(result, Err(RetryError::Permanent { attempts: 2, last: 2 }));
        assert_eq!(cx.now(), Time::from_millis(1));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_delay_that_would_not_end_before_the_deadline_is_not_begun() {
    check(0..20, async |cx: &Cx| {
        let options = RegionOptions::new().budget(Budget::new().with_timeout(3 * MS));
        let outcome = cx
            .region_with(options, async |_| {
                let error = retry(cx, EXACT, refuse).await.unwrap_err();
                // Attempts at 0 and 1 ms; the third would be at 3 ms, which is the deadline.
                assert!(matches!(error, RetryError::OutOfTime { attempts: 2, .. }), "{error:?}");
                assert_eq!(cx.now(), Time::from_millis(1), "it did not sleep for nothing");
                assert!(cx.checkpoint().is_ok());
                assert_eq!(Error::from(error).kind(), ErrorKind::TimedOut);
                Ok::<_, Error>(())
            })
            .await;
        outcome.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn jitter_differs_between_tasks_and_repeats_with_the_seed() {
    async fn run(cx: &Cx) -> Result<u64, Error> {
        let policy = RetryPolicy::new(6).first_delay(100 * MS);
        let _ = retry(cx, policy, refuse).await;
        Ok(cx.now().as_nanos())
    }
    let time = |seed| asupersync_lab::run(seed, run).outcome.into_result().unwrap();
    assert_eq!(time(7), time(7));
    let different: std::collections::BTreeSet<_> = (0..20).map(time).collect();
    assert!(different.len() > 15, "{different:?}");
}

#[test]
fn a_cancelled_delay_answers_at_once_with_the_last_error() {
    check(0..20, async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let policy = EXACT.first_delay(Duration::from_secs(9));
            let error = retry(cx, policy, refuse).await.unwrap_err();
            assert!(matches!(error, RetryError::Cancelled { attempts: 1, last: Some(_), .. }));
            assert_eq!(cx.now(), Time::from_millis(1));
            let none = retry(cx, policy, async |_| -> Result<(), Error> { panic!("begun") });
            assert!(matches!(none.await, Err(RetryError::Cancelled { attempts: 0, .. })));
            Err::<(), Error>(error.into())
        });
        cx.sleep(MS).await?;
        child.cancel(CancelReason::user("enough"));
        assert!(child.join(cx).await?.is_cancelled());
        Ok::<_, Error>(())
    });
}

#[test]
fn it_is_sound_whenever_it_is_cancelled() {
    let summary = cancel_everywhere(1, async |cx: &Cx| {
        let third = async |attempt| {
            cx.sleep(MS).await?;
            if attempt < 3 { refuse(attempt).await.map_err(Error::from) } else { Ok(attempt) }
        };
        assert!(retry(cx, EXACT, third).await.map_err(Error::from)? == 3);
        Ok::<_, Error>(())
    });
    assert!(summary.runs > 5, "{summary:?}");
}
