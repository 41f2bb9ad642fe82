//! How errors read. Each snapshot is the text of a real one, and where it is the example of a page in
//! `docs/errors/`, the page shows that very text.

mod support;

use asupersync_core::{
    Budget, CancelReason, Cx, Error, ErrorKind, ObligationKind, Outcome, RegionOptions, TaskCx,
    TaskHandle,
};
use std::fmt::Display;
use std::io;
use std::sync::mpsc;
use std::task::Poll;
use std::time::Duration;
use support::{Machine, run, run_on};

/// Lines move when this file is edited; everything else in an error's text is the same in every run,
/// ids included, because they are digests of who created what.
fn without_lines(text: &str) -> String {
    let mut parts = text.split(".rs:");
    let mut steady = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        steady.push_str(".rs:LINE");
        steady.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'));
    }
    steady
}

fn reads(name: &str, error: &impl Display) -> String {
    let text = without_lines(&error.to_string());
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
    text
}

/// The error has the page's code, and its text is the page's example.
fn reads_as_on_its_page(name: &str, error: &Error) {
    let text = reads(name, error);
    shown_on_page(error.code(), &text);
}

fn shown_on_page(code: &str, text: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors/");
    let page = std::fs::read_to_string(format!("{folder}{code}.md")).unwrap();
    assert!(page.contains(text.trim_end()), "docs/errors/{code}.md does not show\n{text}");
}

// snippet: cancelled
async fn poll_every_minute(cx: &Cx) -> Result<(), Error> {
    loop {
        cx.sleep(Duration::from_secs(60)).await?; // the line in the error is this one's
    }
}
// end snippet

#[test]
fn a_cancelled_wait_says_who_asked_for_it_and_which_line_passed_it_on() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(poll_every_minute);
        cx.sleep(Duration::from_secs(150)).await?;
        child.cancel(CancelReason::user("enough"));
        let _ = child.join(cx).await?;
        Ok::<_, Error>(child.take_cleanup_error())
    });
    let error = ran.outcome.ok().flatten().unwrap();
    assert!(error.is_cancelled());
    reads_as_on_its_page("cancelled_by_user", &error);
}

#[test]
fn a_passed_deadline_says_so_and_where_it_was_set() {
    let ran = run(async |cx: &Cx| {
        let options = RegionOptions::new().budget(Budget::new().with_deadline_secs(5));
        let outcome: Outcome<(), Error> = cx
            .region_with(options, async |scope| {
                let _ = scope.spawn(poll_every_minute);
                Ok(())
            })
            .await;
        Ok::<_, Error>(Error::from(outcome.into_result().unwrap_err()))
    });
    reads("cancelled_by_deadline", &ran.outcome.ok().unwrap());
}

#[test]
fn a_cancellation_from_above_keeps_the_first_request() {
    async fn service(cx: &Cx) -> Result<(), Error> {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let _ = scope.spawn(connection);
                Ok(())
            })
            .await;
        Ok(outcome.into_result()?)
    }
    async fn connection(cx: &Cx) -> Result<(), Error> {
        let outcome: Outcome<(), Error> =
            cx.region(async |_scope| poll_every_minute(cx).await).await;
        Ok(outcome.into_result()?)
    }
    let ran = run(async |cx: &Cx| {
        let mut top = cx.spawn(service);
        cx.sleep(Duration::from_secs(1)).await?;
        top.cancel(CancelReason::user("the client went away"));
        let _ = top.join(cx).await?;
        Ok::<_, Error>(top.take_cleanup_error())
    });
    let error = ran.outcome.ok().flatten().unwrap();
    reads("cancelled_from_above", &error);
}

// snippet: join
async fn wait_for(cx: &Cx, mut other: TaskHandle<(), Error>) -> Result<(), Error> {
    let _ = other.join(cx).await?; // refused at once when `other` waits for this very task
    Ok(())
}
// end snippet

#[test]
fn a_join_that_could_never_end_is_refused_and_named() {
    let (give, take) = mpsc::channel();
    let (tell, told) = mpsc::channel();
    let ran = run(async move |cx: &Cx| {
        let opener = cx.spawn(async move |cx: &Cx| {
            let outcome: Outcome<(), Error> = cx
                .region(async |scope| {
                    let _ = scope.spawn(async move |cx| {
                        tell.send(wait_for(cx, take.recv().unwrap()).await).unwrap();
                        Ok(())
                    });
                    Ok(())
                })
                .await;
            Ok(outcome.into_result()?)
        });
        give.send(opener).unwrap();
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    reads_as_on_its_page("join_would_deadlock", &told.recv().unwrap().unwrap_err());
}

#[test]
fn an_outcome_can_be_taken_once() {
    let ran = run(async |cx: &Cx| {
        // snippet: taken
        let mut child = cx.spawn(async |_cx: &Cx| Ok::<_, Error>(42));
        let _ = child.join(cx).await?;
        let again = child.join(cx).await;
        // end snippet
        Ok::<_, Error>(Error::from(again.unwrap_err()))
    });
    let error = ran.outcome.ok().unwrap();
    assert_eq!(error.kind(), ErrorKind::OutcomeTaken);
    reads_as_on_its_page("outcome_taken", &error);
}

#[test]
fn a_missing_service_is_a_reason_that_names_its_page() {
    let ran = run_on(Machine::without_pool(), async |cx: &Cx| {
        // snippet: service
        let mut hash = cx.spawn_blocking(|| Ok::<_, Error>(6 * 7));
        let outcome = hash.join(cx).await?;
        // end snippet
        Ok::<_, Error>(Error::from(outcome.into_result().unwrap_err()))
    });
    let text = reads("service_missing", &ran.outcome.ok().unwrap());
    shown_on_page("ASY-0004", &text);
}

// snippet: leak
static REPLY: ObligationKind = ObligationKind::new("inventory::Reply");

async fn answer(cx: &Cx, in_stock: Option<u32>) -> Result<(), Error> {
    let reply = cx.duty(&REPLY);
    let Some(_count) = in_stock else {
        return Ok(()); // `reply` is dropped here, and nobody is answered
    };
    reply.commit().map_err(|error| Error::msg(error.to_string()))
}
// end snippet

#[test]
fn a_leak_names_what_was_owed_by_whom_and_where_it_was_taken_on() {
    let ran = run(async |cx: &Cx| answer(cx, None).await);
    assert_eq!(ran.report.leaks.len(), 1);
    let text = reads("leak", &ran.report.leaks[0]);
    shown_on_page("ASY-0007", &text);
    let ran = run(async |cx: &Cx| answer(cx, Some(3)).await);
    assert!(ran.report.leaks.is_empty());
}

#[test]
fn a_straggler_is_named_with_the_line_it_waits_at() {
    let ran = run(async |cx: &Cx| {
        // snippet: straggler
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let _ = scope.spawn_named("flush", async |cx| {
                    cx.masked(cx.sleep(Duration::from_secs(3600))).await?; // hears no cancellation
                    Ok(())
                });
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("stop").with_cleanup(Duration::from_secs(2)));
                Ok::<_, Error>(())
            })
            .await;
        // end snippet
        Ok::<_, Error>(closed)
    });
    let closed = ran.outcome.ok().unwrap();
    assert_eq!(closed.report.stragglers.len(), 1);
    let text = reads("straggler", &closed.report.stragglers[0]);
    shown_on_page("ASY-0008", &text);
}

#[test]
fn a_cancellation_that_passed_through_an_io_error_is_still_one() {
    async fn read(cx: &TaskCx) -> io::Result<usize> {
        Ok(cx.wait("read", |_context| Poll::Pending).await?)
    }
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| Ok(read(cx).await?));
        cx.yield_now().await?;
        child.cancel(CancelReason::shutdown(Duration::from_secs(1)));
        let _ = child.join(cx).await?;
        Ok::<_, Error>(child.take_cleanup_error())
    });
    let error: Error = ran.outcome.ok().flatten().unwrap();
    assert!(error.is_cancelled());
    reads("cancelled_during_io", &error);
}

#[test]
fn an_io_error_keeps_what_the_system_said() {
    let ran = run(async |_cx: &Cx| {
        // snippet: io
        fn connect() -> io::Result<()> {
            Err(io::Error::from(io::ErrorKind::ConnectionReset))
        }
        fn ask() -> Result<(), Error> {
            Ok(connect()?)
        }
        // end snippet
        Ok::<_, Error>(ask().unwrap_err())
    });
    reads_as_on_its_page("io", &ran.outcome.ok().unwrap());
}

#[test]
fn a_panic_in_a_child_arrives_as_an_error_that_says_what_it_said() {
    // snippet: panicked
    async fn oldest(cx: &Cx, ages: Vec<u32>) -> Result<u32, Error> {
        let outcome = cx
            .region(async |scope| {
                let mut child = scope.spawn(async move |_cx| {
                    Ok::<_, Error>(*ages.iter().max().expect("somebody is here"))
                });
                Ok(child.join(cx).await?.into_result()?)
            })
            .await;
        Ok(outcome.into_result()?)
    }
    // end snippet
    let ran = run(async |cx: &Cx| Ok::<_, Error>(oldest(cx, Vec::new()).await.unwrap_err()));
    let error = ran.outcome.ok().unwrap();
    assert_eq!(error.kind(), ErrorKind::Panicked);
    reads_as_on_its_page("panicked", &error);
}

#[test]
fn a_spent_quota_says_which_and_who_set_it() {
    let ran = run(async |cx: &Cx| {
        let options = RegionOptions::new().budget(Budget::new().with_cost_quota(10));
        let outcome: Outcome<(), Error> = cx
            .region_with(options, async |_scope| {
                loop {
                    cx.charge(4)?;
                }
            })
            .await;
        Ok::<_, Error>(Error::from(outcome.into_result().unwrap_err()))
    });
    reads("quota", &ran.outcome.ok().unwrap());
}

#[test]
fn the_programs_own_error_has_its_place_and_no_advice() {
    let ran = run(async |_cx: &Cx| {
        // snippet: other
        let error = Error::msg("the ledger does not balance").with_source("12 is not 13");
        // end snippet
        Ok::<_, Error>(error)
    });
    reads_as_on_its_page("own", &ran.outcome.ok().unwrap());
}

#[test]
fn a_snapshot_draws_the_tree_with_what_each_task_waits_for() {
    static PERMIT: ObligationKind = ObligationKind::new("pool::Permit");
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<String, Error> = cx
            .region_with(RegionOptions::new().name("service"), async |scope| {
                let _ = scope.spawn_named("ticker", poll_every_minute);
                let _ = scope.spawn_named("request", async |cx| {
                    let _permit = cx.obligation(&PERMIT);
                    let rows: Outcome<(), Error> = cx
                        .region_with(RegionOptions::new().name("query"), async |scope| {
                            let _ = scope.spawn_named("rows", poll_every_minute);
                            Ok(())
                        })
                        .await;
                    Ok(rows.into_result()?)
                });
                cx.sleep(Duration::from_secs(1)).await?;
                let tree = scope.snapshot().to_string();
                scope.cancel(CancelReason::user("seen enough"));
                Ok(tree)
            })
            .await;
        Ok::<_, Error>(outcome.ok())
    });
    reads("snapshot", &ran.outcome.ok().flatten().unwrap());
}

#[test]
fn a_straggler_is_raised_as_region_close_timeout_with_its_task_and_line() {
    let ran = run(async |cx: &Cx| {
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let _ = scope.spawn_named("flush", async |cx| {
                    cx.masked(cx.sleep(Duration::from_secs(3600))).await?;
                    Ok(())
                });
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("stop").with_cleanup(Duration::from_secs(2)));
                Ok::<_, Error>(())
            })
            .await;
        Ok::<_, Error>((closed.report.check().unwrap_err(), closed.into_result()))
    });
    let (error, _) = ran.outcome.ok().unwrap();
    assert_eq!(error.kind(), ErrorKind::RegionCloseTimeout);
    assert_eq!(error.task(), Some(ran.report.stragglers[0].task));
    reads_as_on_its_page("region_close_timeout", &error);
}

#[test]
fn a_leak_is_raised_as_obligation_leak_where_the_value_alone_would_look_fine() {
    let ran = run(async |cx: &Cx| {
        // snippet: leak_raised
        let closed = cx
            .region_reported(RegionOptions::new(), async |scope| {
                let _ = scope.spawn(async |cx| answer(cx, None).await);
                Ok::<_, Error>("served")
            })
            .await;
        closed.into_result() // `Err`, although the outcome is `Ok("served")`
        // end snippet
    });
    let Outcome::Err(error) = ran.outcome else { panic!("{:?}", ran.outcome) };
    assert_eq!(error.kind(), ErrorKind::ObligationLeak);
    reads_as_on_its_page("obligation_leak", &error);
}

#[test]
fn an_error_carried_through_io_comes_out_as_itself() {
    let before = Error::msg("the program's own").to_string();
    let carried = io::Error::from(Error::msg("the program's own"));
    let after = Error::from(carried).to_string();
    let line = |text: &str| text.rsplit_once(".rs:").map(|(head, _)| head.to_owned());
    assert_eq!(line(&before), line(&after));
    let timed = io::Error::from(Error::new(ErrorKind::TimedOut, "late"));
    assert_eq!(timed.kind(), io::ErrorKind::TimedOut);
    assert_eq!(Error::from(timed).kind(), ErrorKind::TimedOut);
}

#[test]
fn a_cancellation_inside_an_error_inside_an_io_error_is_found() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let cancelled = cx.sleep(Duration::from_secs(9)).await.unwrap_err();
            Ok::<_, Error>(io::Error::from(Error::from(cancelled)))
        });
        cx.yield_now().await?;
        child.cancel(CancelReason::user("enough"));
        Ok::<_, Error>(child.join(cx).await?.ok())
    });
    let carried = ran.outcome.ok().flatten().unwrap();
    assert!(asupersync_core::cancelled_in(&carried).is_some());
    assert!(Error::from(carried).is_cancelled());
}
