//! Pinned tasks: they live on one thread, whatever the others do.

use asupersync_core::{CancelReason, Cx, Error, Outcome};
use asupersync_runtime::{Runtime, RuntimeBuilder};
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

const WINK: Duration = Duration::from_micros(100);

type Seen = Arc<Mutex<Vec<ThreadId>>>;

/// Notes the thread it is dropped on.
struct Noted(Seen, Rc<()>);

impl Drop for Noted {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(thread::current().id());
    }
}

/// Runs to its end, or until it is cancelled; notes every thread it finds itself on.
async fn wander(cx: &Cx, seen: Seen, rounds: u32) -> Result<(), Error> {
    let held = Noted(seen.clone(), Rc::new(()));
    for round in 0..rounds {
        held.0.lock().unwrap().push(thread::current().id());
        if round % 8 == 0 {
            cx.sleep(Duration::from_micros(50)).await?;
        } else {
            cx.yield_now().await?;
        }
    }
    assert_eq!(Rc::strong_count(&held.1), 1);
    Ok(())
}

fn all_stay(runtime: &Runtime, rounds: u32, cancel: bool) -> usize {
    let seen: Vec<Seen> = (0..16).map(|_| Seen::default()).collect();
    let each = seen.clone();
    let outcome = runtime.block_on(async move |cx: &Cx| {
        let outcome = cx
            .region(async |scope| {
                for seen in each {
                    let _ = scope.spawn_pinned(async move |cx| wander(cx, seen, rounds).await);
                    // Unpinned neighbours, to be stolen back and forth.
                    let _ = scope.spawn(async move |cx: &Cx| {
                        for _ in 0..rounds.min(200) {
                            cx.yield_now().await?;
                        }
                        Ok(())
                    });
                }
                if cancel {
                    cx.sleep(Duration::from_millis(5)).await?;
                    scope.cancel(CancelReason::user("enough"));
                }
                Ok::<_, Error>(())
            })
            .await;
        Ok::<_, Error>(!matches!(outcome, Outcome::Err(_) | Outcome::Panicked(_)))
    });
    assert!(matches!(outcome, Outcome::Ok(true)), "{outcome:?}");
    let threads = seen.iter().map(|seen| {
        let seen: BTreeSet<String> =
            seen.lock().unwrap().iter().map(|thread| format!("{thread:?}")).collect();
        assert!(seen.len() == 1, "a pinned task was on {seen:?}");
        seen.into_iter().next()
    });
    threads.collect::<BTreeSet<_>>().len()
}

fn workers(count: usize) -> Runtime {
    RuntimeBuilder::multi_thread().worker_threads(count).build().unwrap()
}

#[test]
fn pinned_tasks_stay_on_their_threads_and_are_spread_over_all() {
    assert_eq!(all_stay(&workers(4), 200, false), 4);
    assert_eq!(all_stay(&Runtime::current_thread().unwrap(), 200, false), 1);
}

#[test]
fn cancelled_pinned_tasks_are_dropped_where_they_live() {
    assert_eq!(all_stay(&workers(4), u32::MAX, true), 4);
    assert_eq!(all_stay(&Runtime::current_thread().unwrap(), u32::MAX, true), 1);
}

#[test]
fn a_sleeping_worker_is_woken_for_its_pinned_task() {
    let outcome = workers(4).block_on(async |cx: &Cx| {
        let mut last = Ok(());
        for _ in 0..300 {
            let region = cx.region(async |scope| {
                let mut other = scope.spawn(async |cx: &Cx| Ok(cx.sleep(WINK).await?));
                let mut pinned = scope.spawn_pinned(async move |cx| {
                    let held = Rc::new(other.join(cx).await?);
                    Ok(held.is_ok())
                });
                assert!(pinned.join(cx).await?.into_result()?);
                Ok::<_, Error>(())
            });
            last = region.await.into_result().map(|_| ());
        }
        Ok::<_, Error>(last?)
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}
