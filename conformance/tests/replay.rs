//! A failure seen again from its manifest: `cargo xtask conformance --manifest FILE`.

#[cfg(mutants)]
#[path = "ours/broken.rs"]
mod broken;
#[path = "ours/campaign.rs"]
mod campaign;
#[path = "ours/compare.rs"]
mod compare;
#[path = "ours/interpreter.rs"]
mod interpreter;
#[path = "ours/lab.rs"]
mod lab;
#[path = "ours/production.rs"]
mod production;
#[path = "ours/replay.rs"]
mod replay;

use asupersync_conformance::manifest::{Manifest, Subject};
use std::time::Duration;

#[test]
#[ignore = "needs a manifest: `cargo xtask conformance --manifest FILE`"]
fn the_failure_of_the_manifest_is_seen_again() {
    let file = std::env::var_os(replay::VARIABLE).expect("a manifest is named");
    let text = std::fs::read_to_string(file).expect("the manifest can be read");
    let manifest = Manifest::parse(&text).expect("the manifest is whole");
    if let Some(mutant) = &manifest.mutant {
        break_kernel(mutant);
    }
    match replay::replay(&manifest) {
        Ok(failed) => println!("seen again: {failed:#?}"),
        Err(difference) => panic!("{difference}"),
    }
}

#[cfg(mutants)]
fn break_kernel(mutant: &str) {
    broken::Broken::parse(mutant).expect("the mutant is known").set();
}

#[cfg(not(mutants))]
fn break_kernel(mutant: &str) {
    panic!(
        "the kernel of this build cannot be broken by {mutant}: it is built with `--cfg mutants`"
    );
}

#[test]
fn what_holds_is_not_taken_for_a_failure_seen_again() {
    let false_ = vec!["water is wet".to_owned()];
    for subject in [Subject::Case("what_is_sent_arrives_once".to_owned()), Subject::Program] {
        let ceiling = Duration::from_secs(20);
        let manifest = Manifest::new(subject, "lab", 3, ceiling, false_.clone());
        let difference = replay::replay(&manifest).unwrap_err();
        assert!(difference.contains("was not seen"), "{difference}");
    }
    let ceiling = Duration::from_secs(1);
    let nowhere = Manifest::new(Subject::Case("no_case".to_owned()), "lab", 3, ceiling, false_);
    assert_eq!(replay::replay(&nowhere), Err("there is no case no_case".to_owned()));
}
