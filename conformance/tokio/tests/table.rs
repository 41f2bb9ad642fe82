//! Which of the cases hold on Tokio: `cargo xtask conformance --peer tokio`.

use asupersync_conformance::{Runtime, cases, check};
use asupersync_conformance_tokio::{NO_COUNTERPART, Tokio};
use std::sync::Arc;
use std::time::Duration;

/// For a case: those that hang are known by it.
const CEILING: Duration = Duration::from_secs(5);

#[test]
fn the_adapter_runs_the_cases_and_its_table_is_printed() {
    std::panic::set_hook(Box::new(|_| {}));
    let tokio: Arc<dyn Runtime> = Arc::new(Tokio { asked_for_reasons: true });
    let unasked: Arc<dyn Runtime> = Arc::new(Tokio { asked_for_reasons: false });
    let (mut held, mut unreasoned, mut fell, mut unsaid) = (0, 0, 0, 0);
    println!("| case | on Tokio |\n|---|---|");
    for case in cases::all() {
        let verdict = match check::check(&tokio, &case, CEILING) {
            Ok(()) => {
                held += 1;
                "holds".to_owned()
            }
            Err(failure) => {
                let first = failure.failed.first().cloned().unwrap_or_default();
                let first = first.lines().next().unwrap_or_default().to_owned();
                match first.split_once(NO_COUNTERPART) {
                    Some((_, what)) => {
                        unsaid += 1;
                        format!("no counterpart: {what}")
                    }
                    None if check::check(&unasked, &case, CEILING).is_ok() => {
                        unreasoned += 1;
                        format!("holds but for the reason: \"{first}\" is false")
                    }
                    None => {
                        fell += 1;
                        format!("does not hold: \"{first}\" is false")
                    }
                }
            }
        };
        println!("| {} | {verdict} |", case.name.replace('_', " "));
    }
    println!(
        "tokio: {held} hold, {unreasoned} hold but for the reason, {fell} do not, {unsaid} have no counterpart"
    );
    // What a tracker is for must hold through this adapter, or the table shows the adapter.
    let name = "region_close_waits_for_three_live_children";
    let waits = cases::all().into_iter().find(|case| case.name == name);
    assert!(check::check(&tokio, &waits.expect("there is such a case"), CEILING).is_ok());
}
