//! Execution: values in order, shared parts once, nothing left running.

#[path = "support/plans.rs"]
mod plans;

use asupersync_core::{Cx, Outcome, TaskCx};
use asupersync_plan::{Failure, Leaf, Plan, PlanBuilder, execute};
use plans::{MS, Oops, behave, end, lab, leaf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

fn plan(build: impl FnOnce(&mut PlanBuilder) -> asupersync_plan::NodeId) -> Plan {
    let mut builder = PlanBuilder::new();
    let root = build(&mut builder);
    builder.build(root).unwrap()
}

fn names(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

#[test]
fn values_come_in_the_order_of_the_plan_whatever_the_order_of_ends() {
    let plan = plan(|b| {
        let [slow, quick, last] =
            [("slow", 9), ("quick", 1), ("last", 4)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        let both = b.join([slow, quick]);
        b.sequence([both, last])
    });
    assert_eq!(end(&lab(1), &plan), (Ok(names(&["slow", "quick", "last"])), MS * 13));
}

#[test]
fn the_first_failure_ends_a_join_and_is_named() {
    let plan = plan(|b| {
        let [slow, bad] = [("slow", 9), ("bad!", 2)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        b.join([slow, bad])
    });
    let failure = Failure::Leaf { leaf: "bad!".into(), error: Arc::new(Oops::Failed) };
    assert_eq!(end(&lab(1), &plan), (Err(failure), MS * 2));
}

#[test]
fn a_time_limit_counts_from_the_start_of_its_part() {
    let plan = plan(|b| {
        let [first, second] = [("first", 5), ("second", 9)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        let limited = b.timeout(MS * 7, second);
        b.sequence([first, limited])
    });
    assert_eq!(end(&lab(1), &plan), (Err(Failure::TimedOut { limit: MS * 7 }), MS * 12));
}

#[test]
fn a_shared_part_runs_once_and_all_its_parents_get_its_values() {
    let plan = plan(|b| {
        let [a, b1, c] = [("a", 5), ("b", 1), ("c", 2)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        let shared = b.sequence([a, c]);
        let one = b.join([shared, b1]);
        let other = b.sequence([b1, shared, shared]);
        b.join([one, other])
    });
    let started = Arc::new(AtomicU32::new(0));
    let count = started.clone();
    let report = lab(3).run(async move |cx: &Cx| {
        let outcome = execute(cx, &plan, |leaf| {
            let (leaf, count) = (leaf.clone(), count.clone());
            async move |cx: &Cx| {
                count.fetch_add(1, Ordering::Relaxed);
                behave(cx, leaf).await
            }
        });
        Ok::<_, Oops>(outcome.await.into_result().unwrap())
    });
    assert!(report.is_ok(), "{report:?}");
    let expected = ["a", "c", "b", "b", "a", "c", "a", "c"];
    assert_eq!(report.outcome.into_result().unwrap(), names(&expected));
    assert_eq!(started.load(Ordering::Relaxed), 3);
}

#[test]
fn a_shared_part_that_lost_one_race_goes_on_for_its_other_parent() {
    let plan = plan(|b| {
        let [a, s] = [("a", 2), ("s", 10)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        let race = b.race([a, s]);
        b.sequence([race, s])
    });
    assert_eq!(end(&lab(1), &plan), (Ok(names(&["a", "s"])), MS * 10));
}

#[test]
fn a_shared_part_that_nobody_can_want_any_more_is_cancelled() {
    let plan = plan(|b| {
        let [a, x, y] = [("a", 2), ("x", 50), ("y", 60)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        let s = b.leaf(leaf("s", MS * 100));
        let one = b.sequence([x, s]);
        let other = b.join([s, y]);
        b.race([a, one, other])
    });
    // Nothing waits for the 100 ms: the part was told at 2 ms.
    assert_eq!(end(&lab(1), &plan), (Ok(names(&["a"])), MS * 2));
}

#[test]
fn a_panic_in_a_shared_part_is_the_outcome() {
    let plan = plan(|b| {
        let [p, q] = [("p", 1), ("q", 2)].map(|(n, t)| b.leaf(leaf(n, MS * t)));
        let one = b.join([p, q]);
        let other = b.sequence([q, p]);
        b.join([one, other])
    });
    let report = lab(1).run(async move |cx: &Cx| {
        let outcome: Outcome<Vec<u8>, Failure<Oops>> = execute(cx, &plan, |leaf| {
            let boom = leaf.name() == "p";
            async move |cx: &Cx| {
                cx.sleep(MS).await?;
                assert!(!boom, "boom");
                Ok(1)
            }
        })
        .await;
        Ok::<_, Oops>(
            matches!(outcome, Outcome::Panicked(payload) if format!("{payload:?}").contains("boom")),
        )
    });
    assert!(report.outcome.into_result().unwrap());
}

#[test]
fn wherever_it_is_cancelled_every_leaf_that_began_has_ended() {
    struct Begun(Arc<AtomicU32>);
    impl Drop for Begun {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }
    async fn step(cx: &TaskCx, running: &Arc<AtomicU32>) -> Result<u8, Oops> {
        running.fetch_add(1, Ordering::Relaxed);
        let _begun = Begun(running.clone());
        for _ in 0..3 {
            cx.yield_now().await?;
        }
        Ok(1)
    }
    asupersync_lab::cancel_everywhere(3, async |cx: &Cx| {
        let plan = plan(|b| {
            let [p, q, r] = ["p", "q", "r"].map(|name| b.leaf(Leaf::new(name)));
            let shared = b.sequence([p, q]);
            let race = b.race([shared, r]);
            let join = b.join([race, shared]);
            b.sequence([join, r])
        });
        let running = Arc::new(AtomicU32::new(0));
        let outcome = execute(cx, &plan, |_| {
            let running = running.clone();
            async move |cx: &Cx| step(cx, &running).await
        })
        .await;
        assert_eq!(running.load(Ordering::Relaxed), 0, "{outcome:?}");
        match outcome {
            Outcome::Err(_) | Outcome::Cancelled(_) => cx.checkpoint().map_err(Oops::from),
            Outcome::Ok(_) => Ok(()),
            Outcome::Panicked(payload) => panic!("{payload:?}"),
        }
    });
}
