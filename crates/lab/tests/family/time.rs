//! The same where time races with the tasks: timers fire while tasks can run.

use super::acts::ACTS;
use super::{Program, enumerated_with, explored_with, program};
use asupersync_core::SplitMix64;
use asupersync_lab::LabConfig;

/// More than any of these programs has instants.
const MOST: u32 = 100;

fn config() -> LabConfig {
    LabConfig::default().time_races(MOST)
}

#[track_caller]
fn agrees(text: &str, classes: usize) {
    let program = program(text);
    let all = enumerated_with(&config(), &program, 20_000).expect("few orders");
    assert_eq!(all.len(), classes, "{text}");
    explored_with(&config(), &program, &all);
}

#[test]
fn a_look_at_the_clock_and_time_passing_do_not_commute() {
    agrees("sleep1 | now", 2);
    // Both go to sleep before time passes, or one when the other is awake, whose next step then comes before or
    // after the one's time.
    agrees("sleep1 | sleep1", 5);
    agrees("sleep1 | sleep2", 6);
    agrees("sleep1 | yield", 1);
}

/// The receiver's timer is unset when the message is there, and then there is nothing left that could fire.
#[test]
fn a_timer_that_was_unset_could_have_fired_before() {
    agrees("trecv | trysend", 5);
    agrees("tlock | lock yield unlock", 6);
    agrees("tnotified | notify1", 5);
}

/// The time to clean up runs out while a task cleans up, or after it.
#[test]
fn what_is_escalated_when_its_time_is_over_depends_on_who_has_ended() {
    agrees("cancelnext | ", 3);
    agrees("cancelnext | region", 25);
    agrees("cancelnext | defer", 90);
}

const TIMED: [&str; 13] = [
    "sleep1",
    "sleep2",
    "now",
    "tsem2",
    "tnotified",
    "tbarrier",
    "trecv",
    "tlock",
    "toclosed",
    "twchanged",
    "tbrecv",
    "cancelnext",
    "softnext",
];

/// Two or three tasks of one to three acts, of at most four kinds, two of them of time.
fn random(seed: u64) -> Program {
    let mut stream = SplitMix64::new(seed);
    let mut below = move |end: usize| stream.below(end as u64) as usize;
    let kinds: Vec<&'static str> = (0..4)
        .map(|kind| if kind < 2 { TIMED[below(TIMED.len())] } else { ACTS[below(ACTS.len())] })
        .collect();
    let tasks = 2 + below(2);
    (0..tasks).map(|_| (0..1 + below(3)).map(|_| kinds[below(4)]).collect()).collect()
}

#[test]
fn random_programs_are_run_once_for_each_class() {
    let (mut done, mut blocked) = (0, 0);
    for seed in 0..120 {
        let program = random(seed);
        let Some(all) = enumerated_with(&config(), &program, 300) else { continue };
        done += 1;
        blocked += u64::from(explored_with(&config(), &program, &all) > 0);
    }
    assert!(done > 80, "{done}");
    assert!(blocked * 5 < done, "{blocked} of {done} programs had runs that were given up");
}
