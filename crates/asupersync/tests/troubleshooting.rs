//! Every case of `docs/troubleshooting.md`, run: the wrong way gives the error that the page names, the
//! right way does not.

use asupersync::combinator::{race, timeout};
use asupersync::prelude::*;
use asupersync::runtime::Runtime;
use asupersync::sync::Mutex;
use asupersync::{ErrorKind, LabConfig, LabRuntime, RegionOptions};
use std::sync::Arc;
use std::time::Duration;

fn lab() -> LabRuntime {
    LabRuntime::new(LabConfig::default())
}

#[test]
fn obligation_leak() {
    // snippet: leak_wrong
    async fn wrong(cx: &Cx, tx: mpsc::Sender<u32>) -> Result<(), Error> {
        let permit = tx.reserve(cx).await?;
        std::mem::forget(permit); // neither sent nor given back: its place is taken for ever
        Ok(())
    }
    // end snippet
    // snippet: leak_right
    async fn right(cx: &Cx, tx: mpsc::Sender<u32>) -> Result<(), Error> {
        let permit = tx.reserve(cx).await?;
        permit.send(7);
        Ok(())
    }
    // end snippet
    let (tx, _rx) = mpsc::channel(1);
    let report = lab().run(async move |cx: &Cx| wrong(cx, tx).await);
    assert_eq!(report.check().unwrap_err().kind(), ErrorKind::ObligationLeak);

    // snippet: leak_production
    let (tx, _rx) = mpsc::channel(1);
    let runtime = Runtime::current_thread().unwrap();
    let outcome = runtime.block_on(async move |cx: &Cx| wrong(cx, tx).await);
    assert!(outcome.is_ok());
    let error = runtime.shutdown(Duration::from_secs(1)).check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ObligationLeak);
    // end snippet

    let (tx, _rx) = mpsc::channel(1);
    assert!(lab().run(async move |cx: &Cx| right(cx, tx).await).check().is_ok());
}

#[test]
fn region_close_timeout() {
    // snippet: timeout_wrong
    async fn wrong(cx: &Cx) -> Result<(), Error> {
        loop {
            cx.masked(cx.yield_now()).await?; // hears of no cancellation
        }
    }
    // end snippet
    // snippet: timeout_right
    async fn right(cx: &Cx) -> Result<(), Error> {
        loop {
            cx.checkpoint()?; // the place to stop
            cx.masked(cx.yield_now()).await?;
        }
    }
    // end snippet
    async fn stopped(
        cx: &Cx,
        work: impl for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>
        + for<'a> asupersync::TaskBody<'a, asupersync::cap::All, (), Error>
        + Send
        + 'static,
    ) -> Result<(), Error> {
        // snippet: timeout_raised
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let _ = scope.spawn_named("worker", work);
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("enough"));
                Ok::<_, Error>(())
            })
            .await;
        closed.report.check() // names the worker, and the line that spawned it
        // end snippet
    }
    let runtime = Runtime::current_thread().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| stopped(cx, wrong).await);
    let Outcome::Err(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::RegionCloseTimeout);
    assert!(error.to_string().contains("\"worker\""), "{error}");
    assert!(runtime.block_on(async |cx: &Cx| stopped(cx, right).await).is_ok());

    let patient = LabRuntime::new(LabConfig::default().max_steps(20_000));
    let report = patient.run(async |cx: &Cx| stopped(cx, wrong).await);
    let Outcome::Err(error) = report.outcome else { panic!("{:?}", report.outcome) };
    assert_eq!(error.kind(), ErrorKind::RegionCloseTimeout);
    let report = lab().run(async |cx: &Cx| stopped(cx, right).await);
    assert!(report.outcome.is_ok());
}

#[test]
fn futurelock_violation() {
    // snippet: futurelock_wrong
    async fn wrong(cx: &Cx, table: Arc<Mutex<u32>>) -> Result<u32, Error> {
        let guard = table.lock(cx).await?;
        let answer = ask(cx).await?; // whoever could answer waits for the table
        drop(guard);
        Ok(answer)
    }
    // end snippet
    // snippet: futurelock_right
    async fn right(cx: &Cx, table: Arc<Mutex<u32>>) -> Result<u32, Error> {
        let answer = ask(cx).await?; // ask first, hold for a few lines
        *table.lock(cx).await? += answer;
        Ok(answer)
    }
    // end snippet
    async fn ask(cx: &Cx) -> Result<u32, Error> {
        cx.sleep(Duration::from_secs(3600)).await?;
        Ok(1)
    }
    let runtime = Runtime::multi_thread().unwrap();
    let handle = runtime.handle();
    let table = Arc::new(Mutex::new(0));
    let held = table.clone();
    let parked = |tasks: usize| {
        let waits = || handle.snapshot().tasks.iter().filter(|task| !task.waits.is_empty()).count();
        while waits() < tasks {
            std::thread::yield_now();
        }
    };
    let _ = handle.spawn(async move |cx: &Cx| wrong(cx, held).await);
    parked(1);
    let _ = handle.spawn(async move |cx: &Cx| {
        *table.lock(cx).await? += 1;
        Ok::<_, Error>(())
    });
    parked(2);
    // snippet: futurelock_production
    let found = handle.futurelocks(Duration::from_millis(100)).into_iter();
    let found: Vec<Error> = found.map(Error::from).collect();
    // end snippet
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].kind(), ErrorKind::FuturelockViolation);
    assert!(found[0].to_string().contains("waits in Mutex::lock"), "{}", found[0]);
    runtime.shutdown(Duration::from_secs(1));

    let runtime = Runtime::multi_thread().unwrap();
    let _ = runtime.handle().spawn(async move |cx: &Cx| right(cx, Arc::new(Mutex::new(0))).await);
    assert!(runtime.handle().futurelocks(Duration::from_millis(20)).is_empty());

    // In the lab others must have had very many turns meanwhile.
    let others = async |cx: &Cx| {
        for _ in 0..2_000 {
            cx.yield_now().await?;
        }
        Ok::<_, Error>(())
    };
    let lab = || LabRuntime::new(LabConfig::default().futurelock_max_idle_steps(1_000));
    let report = lab().run(async move |cx: &Cx| {
        let _ = cx.spawn(others);
        wrong(cx, Arc::new(Mutex::new(0))).await
    });
    assert_eq!(report.check().unwrap_err().kind(), ErrorKind::FuturelockViolation);
    let report = lab().run(async move |cx: &Cx| {
        let _ = cx.spawn(others);
        right(cx, Arc::new(Mutex::new(0))).await
    });
    assert!(report.check().is_ok());
}

#[test]
fn deadlock() {
    // snippet: deadlock_wrong
    async fn wrong(cx: &Cx) -> Result<(), Error> {
        let (tx, mut rx) = mpsc::channel::<u32>(1);
        let mut consumer = cx.spawn(async move |cx: &Cx| {
            while rx.recv(cx).await.is_ok() {}
            Ok::<_, Error>(())
        });
        tx.send(cx, 1).await?;
        let _ = consumer.join(cx).await?; // it ends when `tx` is dropped, which is after this line
        drop(tx);
        Ok(())
    }
    // end snippet
    assert_eq!(lab().run(wrong).check().unwrap_err().kind(), ErrorKind::Deadlock);
}

#[test]
fn a_cancellation_that_is_not_passed_on() {
    // snippet: swallowed_wrong
    async fn wrong(cx: &Cx, mut rx: mpsc::Receiver<u32>) -> Result<(), Error> {
        loop {
            match rx.recv(cx).await {
                Ok(job) => cx.trace(format!("job {job}")),
                Err(_) => cx.trace("nothing to do"), // cancelled, closed: both for ever
            }
            cx.masked(cx.yield_now()).await?;
        }
    }
    // end snippet
    // snippet: swallowed_right
    async fn right(cx: &Cx, mut rx: mpsc::Receiver<u32>) -> Result<(), Error> {
        loop {
            let job = rx.recv(cx).await?;
            cx.trace(format!("job {job}"));
        }
    }
    // end snippet
    let report = LabRuntime::new(LabConfig::default().max_steps(20_000)).run(async |cx: &Cx| {
        let (_tx, rx) = mpsc::channel(1);
        let mut child = cx.spawn(async move |cx: &Cx| wrong(cx, rx).await);
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        let _ = child.join(cx).await?;
        Ok::<_, Error>(())
    });
    let region = report.region.as_ref().expect("the root closed");
    assert_eq!(region.check().unwrap_err().kind(), ErrorKind::RegionCloseTimeout);
    let report = lab().run(async |cx: &Cx| {
        let (_tx, rx) = mpsc::channel(1);
        let mut child = cx.spawn(async move |cx: &Cx| right(cx, rx).await);
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        Ok::<_, Error>(child.join(cx).await?.is_cancelled())
    });
    assert_eq!(report.outcome.ok(), Some(true));
}

#[test]
fn work_that_must_not_stop_half_way() {
    // snippet: masked
    async fn save(cx: &Cx, disk: &Mutex<Vec<u32>>, page: u32) -> Result<(), Error> {
        cx.masked(async {
            let mut disk = disk.lock(cx).await?;
            cx.yield_now().await?;
            disk.push(page);
            Ok(())
        })
        .await
    }
    // end snippet
    let report = lab().run(async |cx: &Cx| {
        let disk = Arc::new(Mutex::new(Vec::new()));
        let to = disk.clone();
        let mut child = cx.spawn(async move |cx: &Cx| save(cx, &to, 9).await);
        cx.sleep(Duration::from_millis(1)).await?;
        child.cancel(CancelReason::user("enough"));
        let _ = child.join(cx).await?;
        Ok::<_, Error>(disk.lock(cx).await?.clone())
    });
    assert_eq!(report.outcome.ok(), Some(vec![9]));
}

#[test]
fn nested_block_on() {
    // snippet: nested_right
    async fn right(cx: &Cx) -> Result<u32, Error> {
        cx.yield_now().await?; // inside a task one awaits
        Ok(42)
    }
    // end snippet
    let runtime = Runtime::current_thread().unwrap();
    let outcome = runtime.block_on(async |_cx: &Cx| {
        let inner = Runtime::current_thread()?;
        Ok::<_, Error>(inner.block_on(right).into_result()?)
    });
    let Outcome::Err(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::NestedBlockOn);
    assert_eq!(runtime.block_on(right).ok(), Some(42));
}

#[test]
fn the_same_seed_gives_the_same_times() {
    // snippet: clock_right
    async fn right(cx: &Cx) -> Result<Time, Error> {
        cx.sleep(Duration::from_millis(20)).await?;
        Ok(cx.now()) // `Instant::now()` would differ from run to run
    }
    // end snippet
    let times = [(); 2].map(|()| lab().run(right).outcome.ok());
    assert_eq!(times[0], times[1]);
}

#[test]
fn a_time_limit_and_a_race_end_what_waits_for_ever() {
    let report = lab().run(async |cx: &Cx| {
        // snippet: bounded
        let limit = Duration::from_millis(200);
        let answer = timeout(cx, limit, std::future::pending::<u32>()).await;
        assert!(answer.is_err());
        // end snippet
        let raced = race(cx, (cx.sleep(limit), std::future::pending())).await;
        Ok::<_, Error>(raced.is_ok())
    });
    assert!(report.is_ok(), "{report}");
}
