//! Deliberately broken kernels, each caught by the case that is meant for it.
//!
//! The parent starts itself once for each mutant; the child breaks its kernel, runs every case on
//! two hosts and prints what each came to. It cannot hang: it exits when each case has ended or
//! reached its ceiling.
#![cfg(mutants)]

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

use asupersync_conformance::{Runtime, cases, check};
use asupersync_core::mutant::{self, Mutant};
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How each mutant is to be caught.
const MEANT: &[(Mutant, &str)] = &[
    (Mutant::CloseDoesNotWait, "region_close_waits_for_three_live_children"),
    (Mutant::RefusedTaskIsKept, "a_refused_task_answers_its_join"),
    (Mutant::DeadlineNotArmed, "a_deadline_fires_in_a_task_parked_on_a_channel_never_sent_to"),
    (Mutant::QuotaIgnored, "a_poll_quota_stops_a_task_that_yields_for_ever"),
    (Mutant::CancelStopsAtRegion, "cancelling_a_region_reaches_its_grandchildren"),
    (Mutant::CancelWakesNobody, "a_time_limit_leaves_the_task_around_it_alone"),
    (Mutant::WaitIgnoresCancel, "a_wait_in_a_cancelled_scope_does_not_look_at_its_event"),
    (Mutant::SeverityFalls, "a_milder_cancel_does_not_replace_a_more_severe_one"),
    (Mutant::FinalizersFifo, "finalizers_run_last_first_and_once"),
    (Mutant::FinalizersSkipped, "finalizers_run_after_the_children_have_ended"),
    (Mutant::FinalizersUnmasked, "a_cancellation_during_finalizing_is_not_seen_by_the_finalizers"),
    (Mutant::MaskIgnored, "a_masked_section_with_three_awaits_completes_before_cancel_is_seen"),
    (Mutant::EscalationIgnored, "a_spent_cleanup_budget_escalates_and_names_the_straggler"),
    (Mutant::FailFastIgnored, "a_panic_in_a_body_cancels_and_drains_its_siblings"),
    (Mutant::CauseForgotten, "fail_fast_yields_the_error_that_caused_it"),
    (Mutant::JoinDropCancels, "dropping_a_join_leaves_the_child_alone"),
    (Mutant::DroppedRegionRunsOn, "dropping_a_regions_future_orphans_nothing"),
    (Mutant::ForeignNotDropped, "timeout_around_a_foreign_future_that_never_wakes_returns"),
    (Mutant::PanicSwallowed, "a_panic_in_a_body_cancels_and_drains_its_siblings"),
    (Mutant::LeakNotReported, "a_forgotten_promise_is_in_the_regions_report"),
    (Mutant::ChargeIgnored, "a_cost_quota_stops_the_task_that_overdraws_it"),
];

const CHOICE: &str = "ASUPERSYNC_CONFORMANCE_MUTANT";
/// What a case gets under a mutant: those that hang are many, and hang for good.
const CEILING: Duration = Duration::from_secs(4);
const AT_ONCE: usize = 8;

#[test]
fn every_mutant_has_a_case_meant_for_it() {
    for mutant in mutant::ALL {
        assert!(MEANT.iter().any(|(known, _)| known == mutant), "{mutant:?} has no case");
    }
    let names: Vec<_> = cases::all().into_iter().map(|case| case.name).collect();
    for (mutant, case) in MEANT {
        assert!(names.contains(case), "{mutant:?} is meant for {case}, which is no case");
    }
}

#[test]
fn the_unbroken_kernel_fails_no_case() {
    let fallen = fallen_under(None);
    assert!(fallen.is_empty(), "without a mutant these fail: {fallen:?}");
}

#[test]
fn each_mutant_fails_the_case_meant_for_it() {
    let names: Vec<_> = cases::all().into_iter().map(|case| case.name).collect();
    for (number, name) in names.iter().enumerate() {
        println!("{number:>3} {name}");
    }
    let mut escaped = Vec::new();
    for (mutant, meant) in MEANT {
        let fallen = fallen_under(Some(*mutant));
        let cell = |name: &&str| {
            let hit = fallen.iter().any(|(case, _)| case == name);
            if !hit {
                '.'
            } else if name == meant {
                'X'
            } else {
                'x'
            }
        };
        let row: String = names.iter().map(cell).collect();
        let hosts = fallen.iter().filter(|(case, _)| case == meant).map(|(_, host)| host.as_str());
        let hosts = hosts.collect::<Vec<_>>().join(" and ");
        println!(
            "{:<22} {row} {}",
            format!("{mutant:?}"),
            if hosts.is_empty() { "ESCAPED" } else { &hosts }
        );
        if hosts.is_empty() {
            escaped.push(format!("{mutant:?}, meant for {meant}"));
        }
    }
    println!(
        "X the case meant for the mutant, x another that fails too; columns as numbered above"
    );
    assert!(escaped.is_empty(), "escaped: {escaped:#?}");
}

/// Programs that each mutant gets.
const PROGRAMS: u64 = 3_000;

#[test]
fn the_comparison_with_the_model_finds_every_mutant() {
    let mut escaped = Vec::new();
    for mutant in mutant::ALL {
        let text = child_says("model_child", Some(*mutant));
        let found = text.lines().find_map(|line| line.split_once("FOUND ")).map(|(_, rest)| rest);
        println!("{:<22} {}", format!("{mutant:?}"), found.unwrap_or("-"));
        if found.is_none() {
            escaped.push(mutant);
        }
    }
    let text = child_says("model_child", None);
    assert!(text.contains("AGREED"), "without a mutant the kernel and the model differ: {text}");
    assert!(escaped.is_empty(), "escaped: {escaped:#?}");
}

/// Not a test of its own: compares a broken kernel with the model.
#[test]
#[ignore = "started by the other tests, with a mutant chosen"]
fn model_child() {
    if !choose() {
        return;
    }
    match campaign::campaign(1, PROGRAMS) {
        Ok(tally) => println!("AGREED on {} events", tally.compared),
        Err(difference) => {
            let why = difference.why.lines().next().unwrap_or_default();
            println!("FOUND by program {:>4}: {why}", difference.number + 1);
        }
    }
}

/// What a child with this mutant prints.
fn child_says(test: &str, mutant: Option<Mutant>) -> String {
    let choice = mutant.map_or("none".to_owned(), |mutant| (mutant as u32).to_string());
    let program = std::env::current_exe().expect("a test knows its own program");
    let mut child = Command::new(program)
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(CHOICE, choice)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("a test can start itself");
    let mut text = String::new();
    let mut stdout = child.stdout.take().expect("stdout is piped");
    stdout.read_to_string(&mut text).expect("the child prints text");
    let _ = child.wait();
    text
}

/// Breaks the kernel in this child's way. False when this is no child.
fn choose() -> bool {
    let Ok(choice) = std::env::var(CHOICE) else { return false };
    let number: Option<u32> = choice.parse().ok();
    mutant::set(mutant::ALL.iter().copied().find(|mutant| Some(*mutant as u32) == number));
    true
}

/// The cases, each with its host, that fail in a child with this mutant.
fn fallen_under(mutant: Option<Mutant>) -> Vec<(String, String)> {
    let text = child_says("child", mutant);
    let results = text.lines().filter_map(|line| line.split_once("RESULT "));
    let results: Vec<Vec<&str>> = results.map(|(_, line)| line.split(' ').collect()).collect();
    let expected = cases::all().len() * hosts().len();
    assert!(
        results.len() == expected,
        "the child with {mutant:?} judged {} of {expected} cases",
        results.len()
    );
    results
        .into_iter()
        .filter(|fields| fields[0] == "false")
        .map(|fields| (fields[1].to_owned(), fields[2].to_owned()))
        .collect()
}

fn hosts() -> [Arc<dyn Runtime>; 2] {
    [lab::seeded(5), production::multi_thread()]
}

/// Not a test of its own: what [`fallen_under`] starts, once for each mutant.
#[test]
#[ignore = "started by the other tests, with a mutant chosen"]
#[expect(clippy::disallowed_methods, reason = "hung cases must not hang the rest")]
fn child() {
    if !choose() {
        return;
    }
    let jobs = hosts()
        .into_iter()
        .flat_map(|host| cases::all().into_iter().map(move |case| (host.clone(), case)));
    let jobs = Arc::new(Mutex::new(jobs));
    let work = move || loop {
        let Some((host, case)) = jobs.lock().unwrap().next() else { return };
        let passed = check::check(&host, &case, CEILING).is_ok();
        println!("RESULT {passed} {} {}", case.name, host.name());
    };
    let threads: Vec<_> = (0..AT_ONCE).map(|_| std::thread::spawn(work.clone())).collect();
    for thread in threads {
        thread.join().expect("a case's panics are its own thread's");
    }
    // Threads of hung cases are still there.
    std::process::exit(0);
}
