//! The same with regions within the tasks, and with several futures in one task.

use super::acts::{ACTS, NESTED};
use super::{Program, agrees, enumerated, explored};
use asupersync_core::SplitMix64;

/// One child wakes the opener and ends, the opener is polled, and then the region closes with the other child.
#[test]
fn who_is_woken_by_a_child_that_ends_can_be_polled_before_the_close() {
    agrees("joinpair", 3);
    agrees("joinallpair", 2);
}

/// A child that has ended is not asked to finish, so its end and the asking do not commute, whichever came first.
#[test]
fn a_region_asked_to_finish_does_not_reach_who_has_ended() {
    agrees("pair | softnext", 13);
}

/// Two failures of which the first is the region's.
#[test]
fn which_of_two_children_fails_first_makes_two_classes() {
    agrees("collect", 2);
}

/// What is dropped when the region closes is no part of its last child's step.
#[test]
fn a_heap_is_dropped_in_the_close() {
    agrees("joinheap", 1);
    agrees("heap | notified", 2);
}

/// Only the first wake of one of many futures in a task is the task's, and who is woken first is polled first.
#[test]
fn wakes_of_different_futures_of_one_task_do_not_commute() {
    agrees("joinall | addpermits | notify1", 7);
}

/// One to three tasks of one or two acts, the first of a nested one.
fn random(seed: u64) -> Program {
    let mut stream = SplitMix64::new(seed);
    let mut below = move |end: usize| stream.below(end as u64) as usize;
    let tasks = 1 + below(3);
    let mut act = |nested: bool| match nested || below(3) == 0 {
        true => NESTED[below(NESTED.len())],
        false => ACTS[below(ACTS.len())],
    };
    let program = (0..tasks).map(|task| match task {
        0 => vec![act(true)],
        _ => (0..1 + usize::from(act(false) < "m")).map(|_| act(false)).collect(),
    });
    program.collect()
}

#[test]
fn random_programs_are_run_once_for_each_class() {
    let (mut done, mut blocked) = (0, 0);
    for seed in 0..60 {
        let program = random(seed);
        let Some(all) = enumerated(&program, 300) else { continue };
        let given_up = explored(&program, &all);
        // What a heap's values do when they are dropped is not foreseen.
        if program.iter().flatten().all(|act| !act.contains("heap")) {
            done += 1;
            blocked += u64::from(given_up > 0);
        }
    }
    assert!(done > 20, "{done}");
    assert!(blocked * 5 < done, "{blocked} of {done} programs had runs that were given up");
}
