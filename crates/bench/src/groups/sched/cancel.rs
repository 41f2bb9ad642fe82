//! Ending a hundred thousand parked tasks: from the request until none is left.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use asupersync_core::{CancelReason, Cx, Error};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::{Pair, milliseconds, size};
use crate::runner::{Better, Runner, Side};

/// From the last task's first poll until all are surely parked.
const SETTLE: Duration = Duration::from_millis(10);

pub(in crate::groups) fn run(runner: &mut Runner, pair: &Pair) {
    let n = size(runner, 100_000);
    let sides =
        vec![Side::new("", move || ours(pair, n)), Side::new("tokio-util", move || tokio(pair, n))];
    runner.compare("cancel_100k", "ms", Better::Lower, sides);
}

fn ours(pair: &Pair, n: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let parked = Arc::new(AtomicUsize::new(0));
        let outcome = cx.region(async |scope| {
            for _ in 0..n {
                let parked = parked.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    parked.fetch_add(1, Ordering::Relaxed);
                    cx.wait("for ever", |_| Poll::<()>::Pending).await?;
                    Ok(())
                });
            }
            while parked.load(Ordering::Relaxed) < n {
                cx.sleep(SETTLE).await?;
            }
            cx.sleep(SETTLE).await?;
            let start = Instant::now();
            scope.cancel(CancelReason::user("enough"));
            Ok::<_, Error>(start)
        });
        let start = outcome.await.into_result()?;
        Ok(milliseconds(start.elapsed()))
    })
}

fn tokio(pair: &Pair, n: usize) -> f64 {
    pair.tokio(async move {
        let parked = Arc::new(AtomicUsize::new(0));
        let (token, tracker) = (CancellationToken::new(), TaskTracker::new());
        for _ in 0..n {
            let (parked, token) = (parked.clone(), token.clone());
            tracker.spawn(async move {
                parked.fetch_add(1, Ordering::Relaxed);
                token.run_until_cancelled(pending::<()>()).await
            });
        }
        while parked.load(Ordering::Relaxed) < n {
            tokio::time::sleep(SETTLE).await;
        }
        tokio::time::sleep(SETTLE).await;
        let start = Instant::now();
        tracker.close();
        token.cancel();
        tracker.wait().await;
        milliseconds(start.elapsed())
    })
}
