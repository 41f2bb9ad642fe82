//! Deliberately broken kernels, each caught by the case that is meant for it, and with them every invariant.
//!
//! The parent starts itself once for each mutant; the child breaks its kernel, runs every case on
//! two hosts and prints what each came to. It cannot hang: it exits when each case has ended or
//! reached its ceiling.
#![cfg(mutants)]

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

use asupersync::lab::Invariant;
use asupersync_channel::mutant as channel;
use asupersync_conformance::manifest::{MUTANT_VARIABLE, Manifest};
use asupersync_conformance::{Runtime, artifacts, cases, check};
use asupersync_core::mutant::{self, Mutant};
use broken::Broken;
use std::io::Read;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How each mutant is to be caught.
const MEANT: &[(Mutant, &str)] = &[
    (Mutant::CloseDoesNotWait, "region_close_waits_for_three_live_children"),
    (Mutant::RefusedTaskIsKept, "a_refused_task_answers_its_join"),
    (Mutant::DeadlineNotArmed, "a_deadline_fires_in_a_task_parked_on_a_channel_never_sent_to"),
    (Mutant::JoinTakesNothing, "a_deadline_of_a_task_that_is_joined_is_the_joiners_matter"),
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
    (Mutant::LoserLeftBehind, "a_loser_has_been_cleaned_up_when_its_race_returns"),
    (Mutant::NamedByOrder, "tasks_have_the_same_names_in_every_run"),
    (Mutant::ServicesNotLast, "services_are_cancelled_after_the_others_have_ended"),
    (Mutant::SoftIsHard, "what_is_asked_to_finish_may_end_by_itself"),
    (Mutant::GraceForgotten, "a_wish_that_is_not_heard_is_a_cancellation_when_its_grace_is_over"),
    (Mutant::NeverReadyUntold, "who_waits_for_a_task_to_get_ready_hears_that_it_never_will"),
    (Mutant::LimitIgnored, "no_more_children_run_than_the_limit_allows"),
    (Mutant::GroupFailureEscapes, "a_group_hands_out_its_children_as_they_end"),
];

/// Those that break what no program of the reference model has in it: races, names, kinds of children, wishes.
const BEYOND_THE_MODEL: &[Mutant] = &[
    Mutant::LoserLeftBehind,
    Mutant::NamedByOrder,
    Mutant::ServicesNotLast,
    Mutant::SoftIsHard,
    Mutant::GraceForgotten,
    Mutant::NeverReadyUntold,
    Mutant::LimitIgnored,
    Mutant::GroupFailureEscapes,
];

/// Each invariant, by its number: how it is broken, and the case that then fails.
const INVARIANTS: &[(Invariant, Broken, &str)] = &[
    (
        Invariant::Ownership,
        Broken::Kernel(Mutant::RefusedTaskIsKept),
        "a_refused_task_answers_its_join",
    ),
    (
        Invariant::Quiescence,
        Broken::Kernel(Mutant::CloseDoesNotWait),
        "region_close_waits_for_three_live_children",
    ),
    (
        Invariant::Obligations,
        Broken::Kernel(Mutant::LeakNotReported),
        "a_forgotten_promise_is_in_the_regions_report",
    ),
    (
        Invariant::Severity,
        Broken::Kernel(Mutant::SeverityFalls),
        "a_milder_cancel_does_not_replace_a_more_severe_one",
    ),
    (
        Invariant::Completion,
        Broken::Kernel(Mutant::EscalationIgnored),
        "a_spent_cleanup_budget_escalates_and_names_the_straggler",
    ),
    (
        Invariant::Branches,
        Broken::Kernel(Mutant::LoserLeftBehind),
        "a_loser_has_been_cleaned_up_when_its_race_returns",
    ),
    (
        Invariant::Finalizers,
        Broken::Kernel(Mutant::FinalizersFifo),
        "finalizers_run_last_first_and_once",
    ),
    (
        Invariant::Determinism,
        Broken::Kernel(Mutant::NamedByOrder),
        "tasks_have_the_same_names_in_every_run",
    ),
    (
        Invariant::Delivery,
        Broken::Channel(channel::Mutant::NotHandedBack),
        "what_is_sent_to_nobody_is_handed_back",
    ),
    (
        Invariant::Authority,
        Broken::Narrowing,
        "a_task_of_a_narrowed_scope_has_no_more_than_its_scope",
    ),
];

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
    let fallen = fallen_under(None).cases;
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
        let fallen = fallen_under(Some(Broken::Kernel(*mutant))).cases;
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

#[test]
fn each_invariant_has_a_case_that_fails_on_both_hosts_when_it_is_broken() {
    println!("invariant, oracle, case and mutant; what fails under it; whether the oracle objects");
    let mut escaped = Vec::new();
    for (number, (invariant, broken, case)) in INVARIANTS.iter().enumerate() {
        assert!(invariant.to_string().starts_with(&format!("I{} ", number + 1)), "{invariant}");
        let caught = if *broken == Broken::Narrowing {
            assert!(cases::all().iter().any(|known| known.name == *case), "{case} is no case");
            narrowing_is_judged();
            "the compiler refuses what the narrowing forbids, and accepts it when it is broken"
                .to_owned()
        } else {
            let fallen = fallen_under(Some(*broken));
            let hosts = fallen.cases.iter().filter(|(name, _)| name == case);
            let hosts: Vec<&str> = hosts.map(|(_, host)| host.as_str()).collect();
            if hosts.len() < 2 {
                escaped.push(format!("{invariant}: {broken:?} fails {case} on {hosts:?} only"));
            }
            let objects = fallen.oracles.contains(&invariant.to_string());
            let oracle = if objects { "the oracle objects" } else { "the case alone" };
            format!("{}; {oracle}", hosts.join(" and "))
        };
        println!("{invariant}: {}\n    {case}\n    {broken:?}: {caught}", invariant.text());
    }
    assert!(escaped.is_empty(), "escaped: {escaped:#?}");
}

/// Compiles the kernel's rule for narrowing as it is, and with one line that breaks it, each with programs that
/// give up capabilities and ask for more.
fn narrowing_is_judged() {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../crates/core/src/cap.rs");
    let source =
        std::fs::read_to_string(source).expect("the kernel's source is beside this package");
    let folder = tempfile::tempdir().expect("a folder can be made");
    let compiles = |extra: &str, wide: &str, narrow: &str| {
        let program = format!(
            "mod cap {{\n{}\n{extra}\n}}\nuse cap::*;\nfn narrowed<D: Capabilities, C: Includes<D>>() {{}}\n\
             pub fn program() {{ narrowed::<{narrow}, {wide}>() }}\n",
            source.replace("//!", "//")
        );
        let file = folder.path().join("program.rs");
        std::fs::write(&file, program).expect("the program is written");
        let rustc = Command::new("rustc")
            .args(["--edition=2024", "--crate-type=lib", "--emit=metadata", "-Awarnings", "-o"])
            .arg(folder.path().join("program.rmeta"))
            .arg(&file)
            .output()
            .expect("there is a compiler");
        let text = String::from_utf8_lossy(&rustc.stderr).into_owned();
        let refused = text.contains("a context cannot be narrowed to");
        assert!(rustc.status.success() != refused, "{text}");
        !refused
    };
    let mutant = "impl AtLeast<Yes> for No {}";
    assert!(compiles("", "All", "SpawnOnly"), "a context may give up what it has");
    assert!(!compiles("", "SpawnOnly", "TimeOnly"), "nothing is regained by narrowing");
    assert!(compiles(mutant, "SpawnOnly", "TimeOnly"), "the broken rule regains it");
}

/// Programs that each mutant gets.
const PROGRAMS: u64 = 3_000;

#[test]
fn the_comparison_with_the_model_finds_every_mutant() {
    let mut escaped = Vec::new();
    for mutant in mutant::ALL.iter().filter(|mutant| !BEYOND_THE_MODEL.contains(mutant)) {
        let text = child_says("model_child", Some(Broken::Kernel(*mutant)));
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
fn child_says(test: &str, broken: Option<Broken>) -> String {
    let choice = broken.map_or_else(|| "none".to_owned(), |broken| broken.to_string());
    let program = std::env::current_exe().expect("a test knows its own program");
    let mut child = Command::new(program)
        .args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"])
        .env(MUTANT_VARIABLE, choice)
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
    let Ok(choice) = std::env::var(MUTANT_VARIABLE) else { return false };
    if let Some(broken) = Broken::parse(&choice) {
        broken.set();
    }
    true
}

/// Failures of several kinds: what is broken, and where that shows. Without a case it is a random program.
const LEAVING: &[(Broken, &str, Option<&str>)] = &[
    (
        Broken::Kernel(Mutant::SeverityFalls),
        "lab",
        Some("a_milder_cancel_does_not_replace_a_more_severe_one"),
    ),
    (Broken::Kernel(Mutant::CloseDoesNotWait), "lab", None),
    (
        Broken::Kernel(Mutant::FinalizersFifo),
        "current_thread",
        Some("finalizers_run_last_first_and_once"),
    ),
    (
        Broken::Channel(channel::Mutant::NotHandedBack),
        "production",
        Some("what_is_sent_to_nobody_is_handed_back"),
    ),
];

/// Which of [`LEAVING`] a child is.
const NUMBER: &str = "ASUPERSYNC_CONFORMANCE_LEAVING";
const FOLDER: &str = "ASUPERSYNC_TEST_ARTIFACTS_DIR";

#[test]
fn a_manifest_alone_gives_the_same_failed_assertions_in_another_process() {
    for (number, (broken, runtime, case)) in LEAVING.iter().enumerate() {
        let folder = tempfile::tempdir().expect("a folder can be made");
        let mut first = itself("leaving_child");
        first.env(MUTANT_VARIABLE, broken.to_string()).env(FOLDER, folder.path());
        let said = output(first.env(NUMBER, number.to_string()));
        let mut bundles: Vec<_> = std::fs::read_dir(folder.path().join(runtime))
            .unwrap_or_else(|_| panic!("{broken}: nothing was left behind: {said}"))
            .map(|entry| entry.expect("the folder can be read").path())
            .collect();
        let bundle = bundles.pop().expect("a failure leaves a bundle");
        assert!(case.is_none_or(|case| bundle.ends_with(case)), "{}", bundle.display());
        let read = |name| std::fs::read_to_string(bundle.join(name)).expect("the file was left");
        assert!(!read("event_log.txt").is_empty());
        let failed: serde_json::Value =
            serde_json::from_str(&read("failed_assertions.json")).expect("it is JSON");
        let failed = failed["failed"].as_array().expect("it lists what failed").iter();
        let failed: Vec<&str> = failed.map(|one| one["false"].as_str().unwrap()).collect();

        // The manifest, in a place of its own, for a process that is told nothing else.
        let alone = tempfile::tempdir().expect("a folder can be made");
        let manifest = alone.path().join("manifest.json");
        std::fs::copy(bundle.join("repro_manifest.json"), &manifest).expect("it can be copied");
        drop(folder);
        let mut second = itself("replaying_child");
        let said = output(second.env_clear().env(replay::VARIABLE, &manifest));
        let seen = said.lines().find_map(|line| line.split_once("SEEN AGAIN "));
        let seen = seen.unwrap_or_else(|| panic!("{broken} was not seen again: {said}")).1;
        let seen: Vec<String> = serde_json::from_str(seen).expect("it is JSON");
        assert!(!failed.is_empty());
        assert_eq!(seen, failed);
        println!("{:<22} {runtime:<15} {}", broken.to_string(), failed[0].lines().next().unwrap());
    }
}

/// This program, to run one of its ignored tests.
fn itself(test: &str) -> Command {
    let program = std::env::current_exe().expect("a test knows its own program");
    let mut command = Command::new(program);
    command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
    command
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("a test can start itself");
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).into_owned()
}

/// Not a test of its own: fails, and leaves what a failure leaves.
#[test]
#[ignore = "started by another test, with a mutant chosen"]
fn leaving_child() {
    let Ok(number) = std::env::var(NUMBER) else { return };
    choose();
    let (_, host, case) = LEAVING[number.parse::<usize>().expect("a number")];
    match case {
        Some(case) => {
            let all = [lab::seeded(5), production::multi_thread(), production::current_thread()];
            let host = all.into_iter().find(|runtime| runtime.name() == host);
            check::passes(host.expect("there is such a host"), case);
        }
        None => {
            let difference = campaign::campaign(1, PROGRAMS).err().expect("the model objects");
            let _ = artifacts::leave(&difference.manifest(), &difference.report());
        }
    }
}

/// Not a test of its own: knows a manifest, and nothing else.
#[test]
#[ignore = "started by another test, with a manifest"]
fn replaying_child() {
    let Some(file) = std::env::var_os(replay::VARIABLE) else { return };
    let text = std::fs::read_to_string(file).expect("the manifest can be read");
    let manifest = Manifest::parse(&text).expect("the manifest is whole");
    let mutant = manifest.mutant.as_deref().and_then(Broken::parse);
    mutant.expect("the manifest names a mutant").set();
    let failed = replay::replay(&manifest).expect("the failure is seen again");
    println!("SEEN AGAIN {}", serde_json::json!(failed));
}

/// What fails in a child.
struct Fallen {
    /// The cases, each with its host.
    cases: Vec<(String, String)>,
    /// The lab's oracles that objected, in whichever case.
    oracles: Vec<String>,
}

/// What fails in a child with this mutant.
fn fallen_under(broken: Option<Broken>) -> Fallen {
    let text = child_says("child", broken);
    let oracles = text.lines().filter_map(|line| line.split_once("OBJECTS "));
    let oracles = oracles.map(|(_, oracle)| oracle.to_owned()).collect();
    let results = text.lines().filter_map(|line| line.split_once("RESULT "));
    let results: Vec<Vec<&str>> = results.map(|(_, line)| line.split(' ').collect()).collect();
    let expected = cases::all().len() * hosts().len();
    assert!(
        results.len() == expected,
        "the child with {broken:?} judged {} of {expected} cases",
        results.len()
    );
    let fallen = results.into_iter().filter(|fields| fields[0] == "false");
    let cases = fallen.map(|fields| (fields[1].to_owned(), fields[2].to_owned())).collect();
    Fallen { cases, oracles }
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
        let judged = check::check(&host, &case, CEILING);
        let sentences = judged.as_ref().err().map_or(&[][..], |failure| &failure.failed);
        for invariant in Invariant::ALL {
            let objection = format!("{invariant} ({}): broken", invariant.text());
            if sentences.iter().any(|sentence| sentence.contains(&objection)) {
                println!("OBJECTS {invariant}");
            }
        }
        println!("RESULT {} {} {}", judged.is_ok(), case.name, host.name());
    };
    let threads: Vec<_> = (0..AT_ONCE).map(|_| std::thread::spawn(work.clone())).collect();
    for thread in threads {
        thread.join().expect("a case's panics are its own thread's");
    }
    // Threads of hung cases are still there.
    std::process::exit(0);
}
