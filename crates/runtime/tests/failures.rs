//! What becomes of failures that nobody asks for.

use asupersync_core::{Cancelled, Cx, Error, Outcome};
use asupersync_runtime::RuntimeBuilder;
use std::sync::Arc;
use std::time::Duration;

/// An error with something in it that can be counted.
#[derive(Debug)]
#[expect(dead_code, reason = "it is there to be dropped")]
struct Rotten(Arc<()>);

impl From<Cancelled> for Rotten {
    fn from(_: Cancelled) -> Rotten {
        Rotten(Arc::default())
    }
}

#[test]
fn a_runtime_that_lives_long_does_not_collect_the_failures_of_tasks_nobody_joins() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let handle = runtime.handle();
    let rotten = Arc::new(());
    for _ in 0..100 {
        let rotten = Arc::clone(&rotten);
        drop(handle.spawn(async move |cx: &Cx| {
            cx.yield_now().await?;
            Err::<(), _>(Rotten(rotten))
        }));
    }
    let outcome = runtime.block_on(async move |cx: &Cx| {
        for _ in 0..10_000 {
            if Arc::strong_count(&rotten) == 1 {
                return Ok(());
            }
            cx.sleep(Duration::from_millis(1)).await?;
        }
        Err(Error::msg(format!("{} are kept", Arc::strong_count(&rotten) - 1)))
    });
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
}
