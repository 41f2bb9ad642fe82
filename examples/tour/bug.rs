//! Act 3: a worker that takes an item before it is ready to keep it.

use asupersync::lab::{LabConfig, LabRuntime};
use asupersync::prelude::*;
use asupersync::trace::EventLog;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const ITEMS: u32 = 5;

/// What was taken out of the channel, and what became of it.
#[derive(Default)]
struct Books {
    taken: AtomicU32,
    shelf: Mutex<Vec<u32>>,
}

impl Books {
    async fn take(&self, cx: &Cx, items: &mut mpsc::Receiver<u32>) -> Option<u32> {
        let item = items.recv(cx).await.ok()?;
        self.taken.fetch_add(1, Ordering::Relaxed);
        Some(item)
    }

    fn shelve(&self, item: u32) {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner).push(item);
    }
}

/// The bug: between taking the item and shelving it the worker waits, and a cancellation at that wait takes
/// the item with it.
async fn careless(cx: &Cx, mut items: mpsc::Receiver<u32>, books: &Books) -> Result<(), Error> {
    while let Some(item) = books.take(cx, &mut items).await {
        cx.sleep(Duration::from_millis(1)).await?; // look up where it belongs
        books.shelve(item);
    }
    Ok(())
}

/// The same, mended: an item that was taken is seen through.
async fn careful(cx: &Cx, mut items: mpsc::Receiver<u32>, books: &Books) -> Result<(), Error> {
    while let Some(item) = books.take(cx, &mut items).await {
        cx.masked(cx.sleep(Duration::from_millis(1))).await?;
        books.shelve(item);
    }
    Ok(())
}

/// A giver and a worker, which is stopped at some point. How many items were taken, and how many of them are
/// on the shelf?
async fn stock(cx: &Cx, mended: bool) -> Result<(u32, usize), Error> {
    let books = Arc::new(Books::default());
    let kept = Arc::clone(&books);
    let outcome = cx
        .region(async |scope| {
            let (give, take) = mpsc::channel(2);
            let worker = scope.spawn_named("worker", async move |cx| match mended {
                true => careful(cx, take, &kept).await,
                false => careless(cx, take, &kept).await,
            });
            drop(scope.spawn_named("giver", async move |cx| {
                for item in 0..ITEMS {
                    match give.reserve(cx).await {
                        Ok(permit) => drop(permit.send(item)),
                        Err(_) => break, // the worker is gone, and says so
                    }
                }
                Ok(())
            }));
            cx.sleep(Duration::from_micros(cx.random_u64() % 8_000)).await?;
            worker.cancel(CancelReason::user("closing time"));
            Ok::<_, Error>(())
        })
        .await;
    outcome.into_result()?;
    let shelved = books.shelf.lock().unwrap_or_else(PoisonError::into_inner).len();
    Ok((books.taken.load(Ordering::Relaxed), shelved))
}

fn lab(seed: u64) -> LabRuntime {
    LabRuntime::new(LabConfig::default().seed(seed).capture_trace(true))
}

pub(crate) fn run() -> Result<(), String> {
    println!("   the worker waits between taking an item and shelving it");
    let found = (0..1_000).find_map(|seed| {
        let report = lab(seed).run(async |cx: &Cx| stock(cx, false).await);
        match report.outcome {
            Outcome::Ok((taken, shelved)) if taken as usize != shelved => {
                let trace = report.trace.map(EventLog::into_bytes);
                Some((seed, taken, shelved, report.choices, trace))
            }
            _ => None,
        }
    });
    let Some((seed, taken, shelved, choices, trace)) = found else {
        return Err("no seed shows the planted bug".into());
    };
    println!(
        "   seed {seed}: {taken} items taken, {shelved} on the shelf: one went with the cancellation"
    );

    // Replayed from the recorded choices alone: the same run, byte for byte.
    let config = LabConfig::default().seed(seed).choices(choices.clone()).capture_trace(true);
    let again = LabRuntime::new(config).run(async |cx: &Cx| stock(cx, false).await);
    if trace.is_none() || again.trace.map(EventLog::into_bytes) != trace {
        return Err("the replay differs from the run".into());
    }
    let bytes = trace.map_or(0, |trace| trace.len());
    println!(
        "   replayed from its {} choices: the same trace, all {bytes} bytes of it",
        choices.len()
    );

    for seed in 0..1_000 {
        let report = lab(seed).run(async |cx: &Cx| stock(cx, true).await);
        match report.outcome {
            Outcome::Ok((taken, shelved)) if taken as usize == shelved => {}
            other => return Err(format!("the mended worker fails at seed {seed}: {other:?}")),
        }
    }
    println!("   mended with `cx.masked(..)`: nothing lost under 1,000 seeds");
    Ok(())
}
