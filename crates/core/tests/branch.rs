//! Branches: scopes finer than a task.

mod support;

use asupersync_core::{
    BranchEnd, BranchOptions, Budget, CancelKind, CancelReason, Cx, Error, ObligationKind, Outcome,
    Settlement, TaskOptions, Time,
};
use std::future::{pending, poll_fn};
use std::panic::Location;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use support::{Machine, run, run_on};

static PERMIT: ObligationKind = ObligationKind::new("test::Permit");
static REPLY: ObligationKind = ObligationKind::new("test::Reply");

#[test]
fn a_deadline_around_a_foreign_future_that_never_wakes_returns() {
    let ran = run(async |cx: &Cx| {
        let deadline = Some(cx.now() + Duration::from_secs(3));
        let end = cx
            .branch(BranchOptions { deadline, ..BranchOptions::default() }, pending::<()>())
            .await;
        let BranchEnd::Dropped(reason) = end else { panic!() };
        assert_eq!(reason.kind(), CancelKind::Timeout);
        assert_eq!(cx.now(), Time::from_secs(3));
        // The task itself is not cancelled.
        cx.sleep(Duration::from_secs(1)).await?;
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn a_deadline_wakes_a_kernel_wait_inside_and_not_the_task_around() {
    let ran = run(async |cx: &Cx| {
        let deadline = Some(cx.now() + Duration::from_secs(3));
        let end = cx
            .branch(
                BranchOptions { deadline, ..BranchOptions::default() },
                cx.sleep(Duration::from_secs(60)),
            )
            .await;
        let BranchEnd::Finished(Err(cancelled)) = end else { panic!() };
        assert_eq!(cancelled.kind(), CancelKind::Timeout);
        cx.checkpoint()?;
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn a_cancelled_branch_drains_for_its_cleanup_time_and_no_longer() {
    let ran = run(async |cx: &Cx| {
        let mut branch = pin!(
            cx.branch(BranchOptions::default(), cx.masked(cx.sleep(Duration::from_secs(3600))))
        );
        poll_fn(|context| {
            assert!(branch.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        branch.as_mut().cancel(CancelReason::user("stop").with_cleanup(Duration::from_secs(4)));
        let end = branch.await;
        assert!(matches!(end, BranchEnd::Dropped(_)));
        assert_eq!(cx.now(), Time::from_secs(4));
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn cancelling_a_branch_cancels_the_region_inside_it() {
    let ran = run(async |cx: &Cx| {
        let deadline = Some(cx.now() + Duration::from_secs(1));
        let end = cx
            .branch(
                BranchOptions { deadline, ..BranchOptions::default() },
                cx.region(async |scope| {
                    let mut child =
                        scope.spawn(async |cx| Ok(cx.sleep(Duration::from_secs(60)).await?));
                    let outcome = child.join(cx).await?;
                    Ok::<_, Error>(outcome)
                }),
            )
            .await;
        assert_eq!(cx.now(), Time::from_secs(1));
        let BranchEnd::Finished(Outcome::Cancelled(reason)) = end else { panic!("{end:?}") };
        assert_eq!(reason.severity(), CancelKind::Timeout);
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

#[test]
fn a_region_opened_under_a_mask_is_masked_too() {
    let ran = run(async |cx: &Cx| {
        let mut child = cx.spawn(async |cx: &Cx| {
            let inside = cx
                .masked(cx.region(async |scope| {
                    let mut grandchild = scope.spawn(async |cx| {
                        cx.sleep(Duration::from_secs(2)).await?;
                        Ok("finished")
                    });
                    Ok::<_, Error>(grandchild.join(cx).await?.into_result()?)
                }))
                .await;
            Ok::<_, Error>(inside.ok())
        });
        cx.yield_now().await?;
        child.cancel(CancelReason::user("too late"));
        Ok::<_, Error>(child.join(cx).await?.ok().flatten())
    });
    assert_eq!(ran.outcome.ok(), Some(Some("finished")));
}

#[test]
fn a_dropped_duty_is_a_leak_that_its_watcher_and_the_report_hear_of() {
    let ran = run(async |cx: &Cx| {
        let kept = cx.duty(&REPLY);
        let watch = kept.watch();
        drop(kept);
        let settled = poll_fn(|context| watch.poll_settled(context)).await;
        assert_eq!(settled, Settlement::Leaked);
        let done = cx.duty(&REPLY);
        done.commit().unwrap();
        Ok::<_, Error>(())
    });
    assert_eq!(ran.report.leaks.len(), 1);
    assert!(ran.report.leaks[0].to_string().contains("test::Reply"));
    assert!(ran.report.leaks[0].to_string().contains("tests/branch.rs"));
}

#[test]
fn forgotten_obligations_of_both_classes_are_found_at_close() {
    let ran = run(async |cx: &Cx| {
        std::mem::forget(cx.obligation(&PERMIT));
        std::mem::forget(cx.obligation(&PERMIT));
        std::mem::forget(cx.duty(&REPLY));
        cx.obligation(&PERMIT).commit();
        drop(cx.obligation(&PERMIT));
        Ok::<_, Error>(())
    });
    let mut kinds: Vec<_> = ran.report.leaks.iter().map(|leak| leak.kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["test::Permit", "test::Permit", "test::Reply"]);
}

#[test]
fn an_obligation_that_outlives_its_task_is_no_leak_once_settled() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<_, Error> = cx
            .region(async |scope| {
                let mut child = scope.spawn(async |cx| Ok(cx.obligation(&PERMIT)));
                child.join(cx).await?.into_result().map_err(Error::from)
            })
            .await;
        let permit = outcome.ok().unwrap();
        permit.commit();
        Ok::<_, Error>(())
    });
    assert!(ran.report.leaks.is_empty(), "{:?}", ran.report.leaks);
}

#[test]
fn a_lease_expires_unless_it_is_renewed() {
    let ran = run(async |cx: &Cx| {
        let mut lease = cx.lease(&REPLY, Time::from_secs(5));
        let watch = lease.watch();
        cx.sleep(Duration::from_secs(4)).await?;
        lease.renew(Time::from_secs(8)).unwrap();
        cx.sleep(Duration::from_secs(3)).await?;
        assert_eq!(lease.settlement(), Settlement::Reserved);
        let settled = poll_fn(|context| watch.poll_settled(context)).await;
        assert_eq!((settled, cx.now()), (Settlement::Expired, Time::from_secs(8)));
        assert!(lease.renew(Time::from_secs(20)).is_err());
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
    assert!(ran.report.leaks.is_empty());
}

#[test]
fn events_tell_the_whole_life_of_a_task() {
    let ran = run_on(Machine::observed(), async |cx: &Cx| {
        cx.trace("hello");
        cx.sleep(Duration::from_secs(1)).await?;
        Ok::<_, Error>(())
    });
    let events = ran.machine.events.lock().unwrap().join("\n");
    for expected in [
        "RegionOpened",
        "TaskSpawned",
        "PollBegin",
        "User",
        "WaitParked",
        "TaskWoken",
        "WaitEnded",
        "TaskCompleted",
        "RegionClosing",
        "RegionClosed",
    ] {
        assert!(events.contains(expected), "{expected} is missing in\n{events}");
    }
}

#[test]
fn a_branch_knows_whether_its_deadline_reached_its_future_and_names_the_callers_line() {
    let site = Location::caller();
    let ran = run(async move |cx: &Cx| {
        let options = |seconds| BranchOptions {
            deadline: Some(cx.now() + Duration::from_secs(seconds)),
            site: Some(site),
        };
        let mut told = pin!(cx.branch(options(1), cx.sleep(Duration::from_secs(60))));
        assert!(matches!(told.as_mut().await, BranchEnd::Finished(Err(_))));
        let reason = told.told_reason().expect("the sleep was cut short");
        assert_eq!((reason.kind(), reason.site()), (CancelKind::Timeout, Some(site)));

        let mut late = pin!(cx.branch(options(1), cx.masked(cx.sleep(Duration::from_secs(2)))));
        assert!(matches!(late.as_mut().await, BranchEnd::Finished(Ok(()))));
        assert!(late.told_reason().is_none(), "the mask kept the deadline out");
        Ok::<_, Error>(())
    });
    assert!(ran.outcome.is_ok(), "{:?}", ran.outcome);
}

/// Runs a task whose own deadline is after two seconds, and answers when it was at the end of `body`.
fn ends_at<F>(body: F) -> Time
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let ran = run(async move |cx: &Cx| {
        let budget = Budget::new().with_timeout(Duration::from_secs(2));
        let ended = cx.region(async |scope| {
            let options = TaskOptions::new().budget(budget);
            let mut child = scope.spawn_with(options, async move |cx: &Cx| {
                body(cx).await?;
                Ok(cx.now())
            });
            Ok::<_, Error>(child.join(cx).await?.ok())
        });
        Ok::<_, Error>(ended.await.ok().flatten())
    });
    ran.outcome.ok().flatten().expect("the body ends with a value")
}

fn in_five_seconds(cx: &Cx) -> BranchOptions {
    BranchOptions { deadline: Some(cx.now() + Duration::from_secs(5)), site: None }
}

#[test]
fn a_mask_put_on_around_a_branch_leaves_it_its_own_deadline() {
    let end = ends_at(async |cx: &Cx| {
        let branch = cx.branch(in_five_seconds(cx), cx.sleep(Duration::from_secs(60)));
        let _mask = cx.mask();
        assert!(matches!(branch.await, BranchEnd::Finished(Err(_))));
        Ok(())
    });
    assert_eq!(end, Time::from_secs(5));
}

#[test]
fn a_branch_that_is_moved_into_a_mask_keeps_its_own_deadline() {
    let end = ends_at(async |cx: &Cx| {
        let mut branch = pin!(cx.branch(in_five_seconds(cx), cx.sleep(Duration::from_secs(60))));
        poll_fn(|context| {
            assert!(branch.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
        assert!(matches!(cx.masked(branch).await, BranchEnd::Finished(Err(_))));
        Ok(())
    });
    assert_eq!(end, Time::from_secs(5));
}

#[test]
fn a_branch_that_outlives_the_one_it_was_opened_in_keeps_its_own_deadline() {
    let ran = run(async |cx: &Cx| {
        let three = Some(cx.now() + Duration::from_secs(3));
        let mut inner = None;
        let opened = cx.branch(BranchOptions { deadline: three, site: None }, async {
            inner = Some(cx.branch(in_five_seconds(cx), cx.sleep(Duration::from_secs(60))));
        });
        assert!(matches!(opened.await, BranchEnd::Finished(())));
        let inner = inner.expect("it was opened inside");
        assert!(matches!(inner.await, BranchEnd::Finished(Err(_))));
        Ok::<_, Error>(cx.now())
    });
    assert_eq!(ran.outcome.ok(), Some(Time::from_secs(5)));
}
