//! Moments, tasks, regions.

use crate::probe::{Entry, MS, operation};
use asupersync_core::{Cx, Error, RegionOptions, Scope};
use asupersync_time::{MissedTicks, interval};

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    moments(&mut list);
    tasks(&mut list);
    regions(&mut list);
    list
}

fn moments(list: &mut Vec<Entry>) {
    macro_rules! tick {
        ($situation:literal, $missed:expr) => {
            operation!(list, "time::interval::Interval::tick", $situation, 1, |cx, case| {
                let start = cx.now();
                let mut ticks = interval(cx, 2 * MS).with_missed($missed);
                assert_eq!(ticks.tick(cx).await?, start);
                cx.sleep(MS).await?;
                let due = ticks.next_due();
                let ticked = case.subject(cx, ticks.tick(cx)).await;
                if !matches!(ticked, Some(Ok(_))) {
                    assert!(case.struck());
                    assert_eq!(ticks.next_due(), due, "a tick waited for in vain comes again");
                    assert_eq!(ticks.tick(cx).await?, due);
                }
                assert_eq!(ticks.next_due(), due + 2 * MS);
            });
        };
    }
    tick!("in bursts", MissedTicks::Burst);
    tick!("delayed", MissedTicks::Delay);
    tick!("skipping", MissedTicks::Skip);
    operation!(list, "core::cx::Cx::sleep", "to its end", 1, |cx, case| {
        let start = cx.now();
        let slept = case.subject(cx, cx.sleep(2 * MS)).await;
        let since = cx.now().saturating_since(start);
        assert_eq!(since, if matches!(slept, Some(Ok(()))) { 2 * MS } else { since.min(2 * MS) });
    });
    operation!(list, "core::cx::Cx::sleep_until", "to its end", 1, |cx, case| {
        let _ = case.subject(cx, cx.sleep_until(cx.now() + MS)).await;
        cx.sleep(3 * MS).await?;
    });
    operation!(list, "core::cx::TaskCx::yield_now", "beside another", 1, |cx, case| {
        let mut other = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
        let _ = case.subject(cx, cx.yield_now()).await;
        other.join(cx).await?.into_result()?;
    });
    operation!(list, "core::cx::TaskCx::wait", "for nothing", 1, |cx, case| {
        let mut looks = 0;
        let wait = cx.wait("nothing", |context| {
            looks += 1;
            if looks == 3 {
                return std::task::Poll::Ready(());
            }
            context.waker().wake_by_ref();
            std::task::Poll::<()>::Pending
        });
        let _ = case.subject(cx, wait).await;
    });
}

fn tasks(list: &mut Vec<Entry>) {
    operation!(list, "core::task::handle::TaskHandle::join", "a task at work", 1, |cx, case| {
        let mut child = cx.spawn(async |cx: &Cx| {
            cx.sleep(MS).await?;
            Ok::<_, Error>(7)
        });
        let joined = case.subject(cx, child.join(cx)).await;
        if !matches!(joined, Some(Ok(_))) {
            assert!(case.struck());
            assert_eq!(child.join(cx).await?.into_result()?, 7, "the child goes on");
        }
    });
    operation!(
        list,
        "core::task::handle::TaskHandle::join",
        "a blocking closure",
        1,
        |cx, case| {
            let mut child = cx.spawn_blocking(|| Ok::<_, Error>(7));
            let joined = case.subject(cx, child.join(cx)).await;
            if !matches!(joined, Some(Ok(_))) {
                assert_eq!(child.join(cx).await?.into_result()?, 7);
            }
        }
    );
    operation!(list, "core::cx::mask::TaskCx::masked", "sees its work through", 4, |cx, case| {
        let mut done = 0;
        let work = cx.masked(async {
            for _ in 0..3 {
                cx.yield_now().await?;
                done += 1;
            }
            Ok::<_, Error>(())
        });
        let end = case.subject(cx, work).await;
        // Dropped it is gone; cancelled it goes on.
        assert!(end.is_none() || done == 3, "{done}");
    });
}

fn regions(list: &mut Vec<Entry>) {
    macro_rules! region {
        ($name:literal, |$cx:ident, $body:ident| $open:expr) => {
            operation!(list, $name, "with two children", 3, |cx, case| {
                let $body = async |scope: &Scope<Error>| {
                    for n in 1..3 {
                        let _ = scope.spawn(async move |cx: &Cx| {
                            cx.sleep(n * MS).await?;
                            Ok::<_, Error>(())
                        });
                    }
                    let mut last =
                        scope.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
                    last.join(cx).await?.into_result()?;
                    Ok::<_, Error>(1)
                };
                let $cx = cx;
                let end = case.subject(cx, $open).await;
                assert!(end.is_some() || case.struck());
                cx.sleep(5 * MS).await?;
            });
        };
    }
    region!("core::region::open::Cx::region", |cx, body| cx.region(body));
    region!("core::region::open::Cx::region_with", |cx, body| {
        cx.region_with(RegionOptions::new().name("test"), body)
    });
    region!("core::region::open::Cx::region_reported", |cx, body| {
        cx.region_reported(RegionOptions::new(), body)
    });
}
