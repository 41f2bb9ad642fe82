//! What the attributes make of a function.

use asupersync::prelude::*;
use std::process::ExitCode;
use std::sync::Mutex;
use std::time::Duration;

mod good {
    use asupersync::prelude::*;

    #[asupersync::main(workers = 2)]
    pub(crate) async fn main(cx: &Cx) -> Result<(), Error> {
        cx.sleep(std::time::Duration::from_millis(1)).await?;
        Ok(())
    }
}

mod silent {
    use asupersync::prelude::*;

    #[asupersync::main(flavor = "current_thread")]
    pub(crate) async fn main(cx: &Cx) {
        assert!(cx.checkpoint().is_ok());
    }
}

mod own_error {
    use asupersync::prelude::*;

    // `main`'s error need not know the family's own.
    #[asupersync::main(flavor = "current_thread")]
    pub(crate) async fn main(_cx: &Cx) -> Result<(), std::fmt::Error> {
        Err(std::fmt::Error)
    }
}

mod panicking {
    use asupersync::prelude::*;

    #[asupersync::main(flavor = "current_thread")]
    pub(crate) async fn main(_cx: &Cx) {
        panic!("boom");
    }
}

#[test]
fn the_exit_code_is_the_outcomes() {
    let code = |code: ExitCode| format!("{code:?}");
    let [success, failure] = [ExitCode::SUCCESS, ExitCode::FAILURE].map(code);
    assert_ne!(success, failure);
    assert_eq!(code(good::main()), success);
    assert_eq!(code(silent::main()), success);
    assert_eq!(code(own_error::main()), failure);
    assert_eq!(code(panicking::main()), failure);
}

#[asupersync::test]
async fn an_hour_passes_at_once(cx: &Cx) -> Result<(), Error> {
    cx.sleep(Duration::from_secs(3600)).await?;
    assert_eq!(cx.now(), Time::from_secs(3600));
    Ok(())
}

#[asupersync::test(explore)]
async fn every_order_of_two_tasks_is_run(cx: &Cx) -> Result<(), Error> {
    let mut task = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
    cx.yield_now().await?;
    task.join(cx).await?.into_result()?;
    Ok(())
}

/// Adds by reading and then writing, which some orders of two tasks do not survive.
async fn adds(cx: &Cx, count: &asupersync::lab::Shared<u32>) -> Result<(), Error> {
    let seen = count.get(cx).await?;
    count.set(cx, seen + 1).await?;
    Ok(())
}

#[asupersync::test(explore = 1_000)]
#[should_panic(expected = "an update was lost")]
async fn an_exploration_finds_what_a_seed_may_miss(cx: &Cx) -> Result<(), Error> {
    let count = asupersync::lab::Shared::new(0);
    let other = count.clone();
    let mut task = cx.spawn(async move |cx: &Cx| adds(cx, &other).await);
    adds(cx, &count).await?;
    task.join(cx).await?.into_result()?;
    assert_eq!(count.get(cx).await?, 2, "an update was lost");
    Ok(())
}

#[asupersync::test(explore = 1)]
#[should_panic(expected = "bounded(1)")]
async fn an_exploration_that_leaves_something_out_is_no_proof(cx: &Cx) -> Result<(), Error> {
    let count = asupersync::lab::Shared::new(0);
    let other = count.clone();
    let mut task = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(other.set(cx, 1).await?));
    count.set(cx, 2).await?;
    task.join(cx).await?.into_result()?;
    Ok(())
}

#[asupersync::test(seeds = 5, faults = "files, rare", inject_cancel, explore)]
async fn all_options_go_together(cx: &Cx) -> Result<(), Error> {
    let _ = asupersync::lab::rare(cx, "a mark");
    cx.yield_now().await?;
    Ok(())
}

#[asupersync::test(seeds = 20, faults)]
async fn all_faults_are_on_where_none_is_named(cx: &Cx) -> Result<(), Error> {
    // By then everything has struck and is mended.
    cx.sleep(Duration::from_secs(11)).await?;
    assert!(cx.now() >= asupersync::lab::FaultPlan::HEALED);
    Ok(())
}

#[asupersync::test(seeds = 3)]
async fn a_test_may_return_nothing(cx: &Cx) {
    assert!(cx.checkpoint().is_ok());
}

#[asupersync::test(seeds = 2u8, explore = 1_0u32)]
async fn returning_ok(cx: &Cx) {
    // Neither its name nor the types of its numbers get in the way of what the attribute writes.
    assert!(cx.checkpoint().is_ok());
}

#[asupersync::test]
#[should_panic(expected = "a_failure_names_the_line_that_replays_it -- --exact")]
async fn a_failure_names_the_line_that_replays_it(_cx: &Cx) -> Result<(), std::fmt::Error> {
    Err(std::fmt::Error)
}

static RUNS: Mutex<[u32; 2]> = Mutex::new([0; 2]);

mod counted {
    use asupersync::prelude::*;

    // Not tests by themselves: their runs are counted below.
    pub(super) fn all() {
        seeded();
        cancelled();
    }

    macro_rules! counting {
        ($(#[$attribute:meta])* $name:ident, $at:literal) => {
            #[allow(unnameable_test_items, reason = "called, not collected")]
            fn $name() {
                $(#[$attribute])*
                async fn body(cx: &Cx) -> Result<(), Error> {
                    super::RUNS.lock().unwrap()[$at] += 1;
                    cx.yield_now().await?;
                    cx.yield_now().await?;
                    Ok(())
                }
                body();
            }
        };
    }

    counting!(
        #[asupersync::test(seeds = 7)]
        seeded,
        0
    );
    counting!(
        #[asupersync::test(inject_cancel)]
        cancelled,
        1
    );
}

#[test]
fn a_test_runs_once_a_seed_and_once_for_each_step_it_is_cancelled_at() {
    counted::all();
    let [seeded, cancelled] = *RUNS.lock().unwrap();
    // The lab runs the first seed twice more, to see that the runs are the same.
    let repeats = 2;
    assert_eq!(seeded, 7 + repeats);
    // Three polls, so three places to be cancelled at, after the run without.
    assert_eq!(cancelled, 4 + repeats);
}
