//! What a failing or a thorough test costs: a cancellation at every await, and shrinking.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use asupersync_core::{Cx, Error};
use asupersync_lab::{LabConfig, LabRuntime, LabTest, cancel_everywhere};

use super::{floor, seconds};
use crate::runner::{Better, Runner, Side};

const AWAITS: u64 = 200;
/// Strict alternations of two tasks in a row that the bug needs: one step in 8,192 ends that many.
const ALTERNATIONS: u32 = 14;
/// Steps that the run to be shrunk takes at least until it fails.
const LEAST: u64 = 10_000;

pub(super) fn run(runner: &mut Runner) {
    let everywhere = || {
        seconds(|| {
            let summary = cancel_everywhere(0, async |cx: &Cx| {
                for _ in 0..AWAITS {
                    cx.yield_now().await?;
                }
                Ok::<_, Error>(())
            });
            assert!(summary.runs > AWAITS, "{summary:?}");
        })
    };
    let sides = vec![Side::new("", everywhere), floor(1.0)];
    runner.compare("cancel_everywhere_200", "s", Better::Lower, sides);

    if !runner.wants("shrink_10k") {
        return;
    }
    let steps = |seed: &u64| LabRuntime::new(LabConfig::default().seed(*seed)).run(turns).steps;
    let seed = (0..).find(|seed| steps(seed) > LEAST).expect("half of the seeds do");
    let mut shrunk = (0, 0);
    let time = seconds(|| shrunk = shrink(seed));
    let (from, to) = shrunk;
    println!("shrink_10k: {from} steps became {to}");
    let fewer = move || from as f64 / to as f64;
    let sides = vec![Side::new("", fewer), floor(20.0)];
    runner.compare_once("shrink_10k_steps", "times", Better::Higher, sides);
    let sides = vec![Side::new("", move || time), floor(5.0)];
    runner.compare_once("shrink_10k_time", "s", Better::Lower, sides);
}

/// Fails once two tasks have taken turns so many times.
async fn turns(cx: &Cx) -> Result<(), Error> {
    // Who went last, and how often they have taken turns.
    let turns = Arc::new(Mutex::new((2, 0)));
    for task in 0..2 {
        let turns = turns.clone();
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..100_000 {
                cx.yield_now().await?;
                let mut turns = turns.lock().expect("no panic under the lock");
                let (last, count) = *turns;
                *turns = (task, if last == task { 0 } else { count + 1 });
                let failed = turns.1 == ALTERNATIONS;
                drop(turns);
                assert!(!failed, "the two took turns");
            }
            Ok::<_, Error>(())
        });
    }
    Ok(())
}

/// The steps until the failure, as found and as shrunk.
fn shrink(seed: u64) -> (u64, u64) {
    let test = || LabTest::new("bench::shrink").seeds(seed..seed + 1).run(turns);
    let failure = catch_unwind(AssertUnwindSafe(test)).expect_err("the seed fails");
    let text = failure.downcast_ref::<String>().expect("a report");
    let steps = |after: &str| -> u64 {
        let rest = text.split_once(after).unwrap_or_else(|| panic!("no {after:?} in\n{text}")).1;
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next();
        digits.and_then(|n| n.parse().ok()).expect("a count of steps")
    };
    (steps("; found: "), steps("the smallest schedule found: "))
}
