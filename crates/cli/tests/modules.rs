//! Runs that `cargo xtask modules` exports to TLA+: with `ASUPERSYNC_TRACE_DIR` set, each leaves its trace.

use asupersync_core::{CancelReason, Cx, Error, ObligationKind, RegionOptions};
use asupersync_lab::{LabTest, Shared};
use std::time::Duration;

static TICKET: ObligationKind = ObligationKind::abort_on_drop("ticket");

/// Regions in regions, tasks that are cancelled and some that are not, finalizers, obligations, a sleep.
async fn everything(cx: &Cx) -> Result<(), Error> {
    let shared = Shared::new(0);
    let outcome = cx
        .region(async |scope| {
            scope.defer(async |cx: &Cx| {
                let _ = cx.yield_now().await;
                Ok(())
            });
            for n in 0..2 {
                let shared = shared.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let ticket = cx.obligation(&TICKET);
                    shared.set(cx, n).await?;
                    ticket.commit();
                    let inner = cx
                        .region(async |scope| {
                            let _ = scope.spawn(async |cx: &Cx| {
                                cx.sleep(Duration::from_millis(5)).await?;
                                Ok::<_, Error>(())
                            });
                            cx.yield_now().await?;
                            Ok::<_, Error>(())
                        })
                        .await;
                    inner.into_result()?;
                    Ok(())
                });
            }
            let mut victim = scope.spawn(async |cx: &Cx| {
                cx.sleep(Duration::from_secs(60)).await?;
                Ok::<_, Error>(())
            });
            cx.yield_now().await?;
            victim.cancel(CancelReason::user("not needed"));
            let _ = victim.join(cx).await?;
            Ok::<_, Error>(())
        })
        .await;
    outcome.into_result()?;
    Ok(())
}

#[test]
fn a_run_with_everything_cancelled_at_each_step() {
    let test = LabTest::new("modules::everything").inject_cancel(true);
    assert!(test.run(everything).runs > 15);
}

/// Names that are words, signs and comments of the language.
#[test]
fn a_run_whose_names_mean_something_in_the_language() {
    let body = async |cx: &Cx| {
        let name =
            "==== (* \\* ---- MODULE X ---- *) IF THEN <<\n\"Tasks\", 0>> /\\ \\/ == \u{2028}名前";
        cx.region_with(RegionOptions::new().name(name), async |scope| {
            for name in [name, "----", "\\*", "*)", "(*", "", "\u{1b}[2J"] {
                let _ = scope.spawn_named(name, async |cx: &Cx| Ok(cx.yield_now().await?));
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()
    };
    assert_eq!(LabTest::new("modules::names").run(body).runs, 1);
}
