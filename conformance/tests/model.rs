//! The kernel against the reference model: step by step in the lab, by the set of allowed ends on the
//! production host.

#[path = "ours/actions.rs"]
mod actions;
#[path = "ours/campaign.rs"]
mod campaign;
#[path = "ours/compare.rs"]
mod compare;
#[path = "ours/interpreter.rs"]
mod interpreter;
#[path = "ours/traces.rs"]
mod traces;

use asupersync::RegionOptions;
use asupersync::prelude::*;
use asupersync::runtime::{Runtime, RuntimeBuilder};
use asupersync_conformance::artifacts;
use asupersync_conformance::log::Log;
use asupersync_conformance::model::Rule;
use asupersync_conformance::model::explore::{Answers, answers, ends};
use asupersync_conformance::model::generate::{Random, Shape, program};
use asupersync_conformance::program::{Body, Program};
use campaign::{campaign, hush};
use compare::Tally;
use interpreter::World;
use std::sync::Arc;

fn agree(seed: u64, count: u64) -> Tally {
    campaign(seed, count).unwrap_or_else(|difference| {
        let report = difference.report();
        let left = artifacts::leave(&difference.manifest(), &report);
        panic!("{report}\n{}", left.unwrap_or_default());
    })
}

#[test]
fn kernel_and_model_agree_on_random_programs() {
    agree(1, 1_000);
}

#[test]
#[ignore = "a hundred thousand programs: `cargo xtask model`"]
fn a_hundred_thousand_programs_agree_and_every_rule_fires_a_thousand_times() {
    let tally = agree(7_000_000, 100_000);
    for rule in Rule::ALL {
        println!("{:<20} {:>9}", rule.id(), tally.fired.count(*rule));
    }
    println!("{} events and log entries compared", tally.compared);
    let rare: Vec<_> = Rule::ALL.iter().filter(|rule| tally.fired.count(**rule) < 1_000).collect();
    assert!(rare.is_empty(), "fired less than a thousand times: {rare:?}");
}

#[test]
#[ignore = "a million programs: `cargo xtask model --all`"]
fn a_million_programs_agree() {
    println!("{} events and log entries compared", agree(900_000_000, 1_000_000).compared);
}

/// Runs so many programs whose end depends on the schedule on a production host, and as many others: each
/// must end as some schedule of the model does.
fn judge(runtime: &Runtime, seed: u64, count: usize) {
    hush();
    let (mut open, mut closed) = (0, 0);
    let mut random = Random::new(seed);
    while open < count {
        let main = program(&mut random, Shape { steps: 8, timed: false });
        let Some(allowed) = ends(&main, 3_000) else { continue };
        if allowed.len() > 1 {
            open += 1;
        } else if closed < count {
            closed += 1;
        } else {
            continue;
        }
        let end = run(runtime, &main);
        assert!(
            allowed.contains(&end),
            "{main:#?}\nended as no schedule of the model does:\n{end:#?}\nallowed:\n{allowed:#?}"
        );
    }
}

fn run(runtime: &Runtime, main: &Body) -> Answers {
    let log = Log::default();
    let world = Arc::new(World::new(&log, || true));
    let program = Program { main: main.clone() };
    let body = async move |cx: &Cx| interpreter::main(cx, &world, &program).await;
    let options = RegionOptions::new().name("main");
    let (outcome, _) = runtime.block_on_reported(options, body).expect("no run is inside another");
    let entries = log.entries();
    let events = entries.iter().map(|entry| (entry.who.name, &entry.event));
    answers(Some(interpreter::end(outcome)), events)
}

#[test]
fn on_one_production_thread_every_end_is_one_that_the_model_allows() {
    let runtime = RuntimeBuilder::current_thread().build().expect("a runtime can be built");
    judge(&runtime, 3, 100);
}
