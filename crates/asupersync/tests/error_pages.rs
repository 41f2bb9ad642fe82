//! The messages on the pages in `docs/errors/` are those that programs get. (The kernel's own are in
//! its `tests/errors.rs`.)

use asupersync::combinator::timeout;
use asupersync::prelude::*;
use asupersync::runtime::Runtime;
use asupersync::sync::Mutex;
use asupersync::{ErrorKind, LabConfig, LabRuntime};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// Lines move when this file is edited; ids are digests of who created what, and stay.
fn without_lines(text: &str) -> String {
    let mut parts = text.split(".rs:");
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        steady.push_str(".rs:LINE");
        steady.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
    }
    steady
}

#[track_caller]
fn shown_on_page(code: &str, message: &impl Display) {
    let text = without_lines(&message.to_string());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/");
    let page = std::fs::read_to_string(format!("{folder}{code}.md")).unwrap_or_default();
    assert!(page.contains(text.trim_end()), "docs/errors/{code}.md does not show\n{text}");
}

fn lab() -> LabRuntime {
    LabRuntime::new(LabConfig::default())
}

#[test]
fn block_on_inside_a_task_reads_as_on_its_page() {
    // snippet: nested
    let runtime = Runtime::current_thread().unwrap();
    let outcome: Outcome<u32, Error> = runtime.block_on(async |_cx: &Cx| {
        let inner = Runtime::current_thread()?;
        Ok(inner.block_on(async |_cx: &Cx| Ok::<_, Error>(42)).into_result()?)
    });
    // end snippet
    let Outcome::Err(error) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind(), ErrorKind::NestedBlockOn);
    shown_on_page("ASY-0005", &error);
}

// snippet: deadlock
async fn transfer(cx: &Cx, from: Arc<Mutex<u64>>, to: Arc<Mutex<u64>>) -> Result<(), Error> {
    let mut from = from.lock(cx).await?;
    cx.yield_now().await?;
    let mut to = to.lock(cx).await?; // the other task holds it, and waits for `from`
    *from -= 1;
    *to += 1;
    Ok(())
}
// end snippet

#[test]
fn a_deadlock_reads_as_on_its_page() {
    let report = lab().run(async |cx: &Cx| {
        let (a, b) = (Arc::new(Mutex::new(10)), Arc::new(Mutex::new(10)));
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let (a2, b2) = (a.clone(), b.clone());
                let _ = scope.spawn_named("east", async move |cx| transfer(cx, a, b).await);
                let _ = scope.spawn_named("west", async move |cx| transfer(cx, b2, a2).await);
                Ok(())
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    assert_eq!(report.findings.len(), 1, "{report}");
    shown_on_page("ASY-0006", &report.findings[0]);
}

#[test]
fn an_idle_holder_of_a_lock_reads_as_on_its_page() {
    // snippet: futurelock
    let config = LabConfig::default().futurelock_max_idle_steps(1_000);
    let report = LabRuntime::new(config).run(async |cx: &Cx| {
        let table = Arc::new(Mutex::new(0));
        let held = table.lock(cx).await?;
        let mut other = cx.spawn(async |cx: &Cx| {
            for _ in 0..5_000 {
                cx.yield_now().await?;
            }
            Ok::<_, Error>(())
        });
        let _ = other.join(cx).await?; // `held` is locked all the while
        drop(held);
        Ok::<_, Error>(())
    });
    // end snippet
    let broken: Vec<_> = report.verdicts.iter().filter(|verdict| !verdict.is_ok()).collect();
    assert_eq!(broken.len(), 1, "{report}");
    shown_on_page("ASY-0009", broken[0]);
}

#[test]
fn a_closed_channel_reads_as_on_its_page() {
    // snippet: closed
    async fn produce(cx: &Cx, numbers: mpsc::Sender<u32>) -> Result<(), Error> {
        for n in 0.. {
            let permit = numbers.reserve(cx).await?; // answers so once the receiver is gone
            permit.send(n);
        }
        Ok(())
    }
    // end snippet
    let report = lab().run(async |cx: &Cx| {
        let (tx, rx) = mpsc::channel(1);
        drop(rx);
        Ok::<_, Error>(produce(cx, tx).await.unwrap_err())
    });
    shown_on_page("ASY-0010", &report.outcome.ok().unwrap());
}

#[test]
fn a_run_that_does_not_end_reads_as_on_its_page() {
    // snippet: steps
    let report = LabRuntime::new(LabConfig::default().max_steps(1_000)).run(async |cx: &Cx| {
        while cx.now() < Time::from_secs(1) {
            cx.yield_now().await?; // the lab's clock stands still while anything can run
        }
        Ok::<_, Error>(())
    });
    // end snippet
    assert_eq!(report.findings.len(), 1, "{report}");
    shown_on_page("ASY-0011", &report.findings[0]);
}

#[test]
fn a_time_limit_reads_as_on_its_page() {
    let report = lab().run(async |cx: &Cx| {
        // snippet: timeout
        async fn fetch(cx: &Cx) -> Result<(), Error> {
            let slow = cx.sleep(Duration::from_secs(3));
            timeout(cx, Duration::from_millis(200), slow).await??;
            Ok(())
        }
        // end snippet
        Ok::<_, Error>(fetch(cx).await.unwrap_err())
    });
    shown_on_page("ASY-0014", &report.outcome.ok().unwrap());
}

#[test]
fn an_impossible_argument_reads_as_on_its_page() {
    let report = lab().run(async |cx: &Cx| {
        // snippet: invalid
        async fn send_all(cx: &Cx, to: &mpsc::Sender<u32>, all: &[u32]) -> Result<(), Error> {
            let mut permits = to.reserve_many(cx, all.len()).await?;
            for n in all {
                let _ = permits.send(*n);
            }
            Ok(())
        }
        // end snippet
        let (tx, _rx) = mpsc::channel(4);
        Ok::<_, Error>(send_all(cx, &tx, &[1, 2, 3, 4, 5]).await.unwrap_err())
    });
    shown_on_page("ASY-0016", &report.outcome.ok().unwrap());
}

#[test]
fn what_these_crates_answer_passes_the_question_mark_with_its_kind_and_code() {
    use asupersync::io::{LimitExceeded, duplex, split};
    use asupersync::os::Signal;

    fn watched() -> Result<Signal, Error> {
        Ok(Signal::new(9)?)
    }
    fn limited() -> Result<(), Error> {
        Err(LimitExceeded::new("the line", 10))?
    }
    fn together() -> Result<(), Error> {
        let ((one, _), (_, other)) = (split(duplex(1).0), split(duplex(1).0));
        one.unsplit(other)?;
        Ok(())
    }
    for (error, kind, text) in [
        (watched().unwrap_err(), ErrorKind::InvalidInput, "ASY-0520"),
        (limited().unwrap_err(), ErrorKind::Io, "ASY-0501"),
        (together().unwrap_err(), ErrorKind::InvalidInput, "different streams"),
    ] {
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().contains(text), "{error}");
        assert!(error.site().is_some_and(|site| site.file().ends_with("error_pages.rs")));
    }
}
