//! The programs that `docs/lab.md` and its companions show.
#![cfg(feature = "proc-macros")]

use asupersync::lab::{
    ExploreOptions, Invariant, LabTest, Method, Parcel, Shared, Strategies, cancel_everywhere,
    check, explore, repeatable,
};
use asupersync::prelude::*;
use asupersync::{LabConfig, LabRuntime};
use std::time::Duration;

// snippet: problem
async fn deposit(cx: &Cx, balance: &Shared<u64>, amount: u64) -> Result<(), Error> {
    let before = balance.get(cx).await?;
    balance.set(cx, before + amount).await?; // somebody else may have deposited in between
    Ok(())
}
// end snippet

// snippet: body
async fn two_deposits(cx: &Cx) -> Result<(), Error> {
    let balance = Shared::new(0);
    cx.region(async |scope| {
        for (name, amount) in [("salary", 1_000), ("gift", 50)] {
            let balance = balance.clone();
            let _ = scope.spawn_named(name, async move |cx| deposit(cx, &balance, amount).await);
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    assert_eq!(balance.get(cx).await?, 1_050, "a deposit was lost");
    Ok(())
}
// end snippet

// snippet: test
#[asupersync::test(seeds = 100)]
async fn sleeping_takes_no_time(cx: &Cx) -> Result<(), Error> {
    cx.sleep(Duration::from_secs(3_600)).await?;
    assert_eq!(cx.now().as_nanos(), 3_600_000_000_000);
    Ok(())
}
// end snippet

#[test]
fn random_seeds_find_the_lost_deposit() {
    let failed = std::panic::catch_unwind(|| {
        // snippet: seeds
        check(0..100, two_deposits);
        // end snippet
    });
    let report = failed.expect_err("it fails").downcast::<String>().expect("text");
    for words in ["the smallest schedule found", "the order that matters", "replay: "] {
        assert!(report.contains(words), "{report}");
    }
}

#[test]
fn exploration_finds_the_lost_deposit() {
    // snippet: explore
    let found = explore(ExploreOptions::default(), two_deposits);
    let failure = found.failure.expect("some order loses a deposit");
    println!("{failure}");
    // end snippet
    assert!(failure.story.contains("a deposit was lost"), "{failure}");
}

#[test]
fn an_exhausted_exploration_is_a_proof_for_what_is_visible() {
    // snippet: exhausted
    let found = explore(ExploreOptions::default(), async |cx: &Cx| {
        let balance = Shared::new(0);
        cx.region(async |scope| {
            for amount in [1_000, 50] {
                let balance = balance.clone();
                let _ = scope.spawn(async move |cx| {
                    balance.update(cx, |sum| *sum += amount).await?; // one step
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        assert_eq!(balance.get(cx).await?, 1_050);
        Ok::<_, Error>(())
    });
    assert!(found.exhausted && found.failure.is_none());
    assert_eq!(found.runs, 2); // which deposit came first is all that can differ
    // end snippet
}

#[test]
fn large_programs_are_explored_within_bounds() {
    // snippet: bounded
    let options = ExploreOptions::default().method(Method::Preemptions(1)).max_runs(10_000);
    let found = explore(options, two_deposits);
    assert!(found.failure.is_some());
    // end snippet
}

#[test]
fn other_strategies_give_other_orders() {
    let failed = std::panic::catch_unwind(|| {
        // snippet: strategies
        LabTest::new("bank::two_deposits")
            .seeds(0..100)
            .strategy(Strategies::Pct(2, 20))
            .run(two_deposits);
        // end snippet
    });
    assert!(failed.is_err());
}

// snippet: cancel
async fn pass_on(cx: &Cx) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            let (tx, mut rx) = mpsc::channel(1);
            let _ = scope.spawn(async move |cx| {
                for n in 0..3 {
                    let parcel = Parcel::new(cx, format!("message {n}"), n);
                    match tx.reserve(cx).await {
                        Ok(permit) => _ = permit.send(parcel),
                        Err(error) => {
                            parcel.open(); // handed back: not lost
                            return Err(error.into());
                        }
                    }
                }
                Ok(())
            });
            // Masked, so that what was sent is received although we are cancelled.
            cx.masked(async {
                while let Ok(parcel) = rx.recv(cx).await {
                    parcel.open();
                }
            })
            .await;
            Ok::<_, Error>(())
        })
        .await;
    outcome.into_result()?;
    Ok(())
}

#[test]
fn a_cancellation_at_any_step_loses_no_message() {
    let summary = cancel_everywhere(7, pass_on);
    assert!(summary.runs > 5);
}
// end snippet

#[test]
fn a_verdict_says_how_much_it_saw() {
    // snippet: oracle
    let lab = LabRuntime::new(LabConfig::default().seed(3).require(Invariant::Delivery));
    let report = lab.run(pass_on);
    assert!(report.is_ok(), "{report}");
    assert!(lab.oracle(Invariant::Delivery).seen() > 0);
    // end snippet
}

#[test]
fn a_program_is_shown_to_be_repeatable() {
    // snippet: repeatable
    assert!(repeatable(1, pass_on).is_ok());
    // end snippet
}
