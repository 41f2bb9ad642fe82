//! Programs over every primitive of the family: exploration finds the classes that enumeration finds, and all
//! runs of one class come to the same.
//!
//! The second holds only if a poll tells of everything it looks at and changes: a look that is not told of makes
//! one class of two orders that differ, and then exploration passes one of them over.

mod acts;
mod nested;
mod time;

use acts::{ACTS, Log, NESTED, run};
use asupersync_core::{Cx, SplitMix64};
use asupersync_lab::{Blocked, Choice, ExploreOptions, LabConfig, LabRuntime, Strategy, explore};
use asupersync_trace::Fingerprint;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

type Program = Vec<Vec<&'static str>>;

/// `lock yield | trylock`: two tasks, one of two acts and one of one.
fn program(text: &str) -> Program {
    let all = ACTS.iter().chain(NESTED);
    let act = |word: &str| *all.clone().find(|act| **act == word).expect("an act of the list");
    text.split('|').map(|task| task.split_whitespace().map(act).collect()).collect()
}

/// Every order of the steps before the end.
#[derive(Clone, Default)]
struct Enumerate(Arc<Mutex<Way>>);

#[derive(Default)]
struct Way {
    forced: Vec<usize>,
    taken: Vec<(usize, usize)>,
    is_over: bool,
}

impl Strategy for Enumerate {
    fn begin(&mut self, _seed: u64) {
        let mut way = self.0.lock().unwrap();
        way.taken.clear();
        way.is_over = false;
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let mut way = self.0.lock().unwrap();
        if way.is_over {
            return 0;
        }
        let index = way.forced.get(way.taken.len()).copied().unwrap_or(0);
        way.taken.push((index, enabled.len()));
        index
    }

    fn ended(&mut self, _blocked: &[Blocked]) {
        self.0.lock().unwrap().is_over = true;
    }
}

impl Enumerate {
    fn advance(&self) -> bool {
        let mut way = self.0.lock().unwrap();
        while way.taken.last().is_some_and(|(index, of)| index + 1 == *of) {
            way.taken.pop();
        }
        let Some(last) = way.taken.last_mut() else { return false };
        last.0 += 1;
        way.forced = way.taken.iter().map(|(index, _)| *index).collect();
        true
    }
}

/// The classes of all orders; none if there are more than so many.
fn enumerated(program: &Program, most: u64) -> Option<BTreeSet<Fingerprint>> {
    enumerated_with(&LabConfig::default(), program, most)
}

fn enumerated_with(
    config: &LabConfig,
    program: &Program,
    most: u64,
) -> Option<BTreeSet<Fingerprint>> {
    let strategy = Enumerate::default();
    let lab = LabRuntime::with_strategy(config.clone(), strategy.clone());
    let mut came_to: BTreeMap<Fingerprint, Vec<Vec<String>>> = BTreeMap::new();
    for _ in 0..most {
        let log = Log::default();
        let (tasks, told) = (program.clone(), log.clone());
        let report = lab.run(async move |cx: &Cx| run(cx, tasks, told).await);
        let class = report.fingerprint.expect("the run is observed");
        let said = log.lock().unwrap().clone();
        let before = came_to.entry(class).or_insert_with(|| said.clone());
        assert_eq!(*before, said, "one class comes to two things: {program:?}");
        if !strategy.advance() {
            return Some(came_to.into_keys().collect());
        }
    }
    None
}

/// Exploration finds exactly these classes, from several first orders; how many runs it gave up.
fn explored(program: &Program, classes: &BTreeSet<Fingerprint>) -> u64 {
    explored_with(&LabConfig::default(), program, classes)
}

fn explored_with(config: &LabConfig, program: &Program, classes: &BTreeSet<Fingerprint>) -> u64 {
    let mut blocked = 0;
    for order in 0..6 {
        let tasks = program.clone();
        let body = async move |cx: &Cx| run(cx, tasks.clone(), Log::default()).await;
        let options = ExploreOptions::default().config(config.clone()).order(order);
        let options = options.stop_at_first_failure(false);
        let found = explore(options.shrink(false), body);
        assert_eq!(found.classes, *classes, "order {order} of {program:?}: {found}");
        assert_eq!(found.runs, classes.len() as u64, "order {order} of {program:?}: {found}");
        assert!(found.exhausted, "order {order} of {program:?}");
        blocked += found.blocked;
    }
    blocked
}

#[track_caller]
fn agrees(text: &str, classes: usize) {
    let program = program(text);
    let all = enumerated(&program, 20_000).expect("few orders");
    assert_eq!(all.len(), classes, "{text}");
    explored(&program, &all);
}

#[test]
fn a_look_at_a_primitive_is_an_access() {
    agrees("permits | addpermits", 2);
    agrees("semwaiting | sem2", 2);
    agrees("once_get | once_init", 3);
    agrees("nwait | notified", 2);
    agrees("bwaiting | barrier", 2);
    agrees("len | trysend", 2);
    agrees("percentile | record", 2);
    agrees("inflight | trysend", 2);
    agrees("isclosed | closerx", 2);
}

/// The explorer tears down in another order than these enumerations.
#[test]
fn the_order_in_which_a_stuck_run_is_torn_down_is_no_part_of_its_class() {
    agrees("notified", 1);
    agrees("barrier | sem2 | notified", 1);
}

/// Made before the broadcast, a future hears it; made after, it waits for ever.
#[test]
fn when_a_future_of_notify_was_made_counts() {
    let program = program("notified_later yield notified_later | notifyall");
    let all = enumerated(&program, 1_000).unwrap();
    assert_eq!(all.len(), 3);
    explored(&program, &all);
}

/// Which of two senders is the last to go, and wakes the receiver, depends on their order.
#[test]
fn the_drop_of_a_handle_is_an_access() {
    agrees("dropsend | dropsend", 2);
    agrees("dropsend | dropsend | recv", 6);
    agrees("upgrade | dropsend", 2);
}

/// Who comes first decides which reason holds.
#[test]
fn a_cancellation_that_changes_nothing_is_an_access() {
    agrees("why | cancel0 | cancel0", 5);
    agrees("softnext | ", 2);
}

#[test]
fn a_join_that_waits_has_looked_for_the_end() {
    agrees("join | ", 2);
}

/// The last child to end closes the region and wakes its opener, who may have been polled before.
#[test]
fn a_region_that_closes_in_a_poll_comes_with_it() {
    agrees("softnext regioncancel", 2);
    agrees("cancelnext | spawn defer", 14);
    agrees("cancelnext | my cancelnext | yield", 27);
}

/// What a poll touches is known once it was run. What was left out because of what it was expected to touch is
/// run after all.
#[test]
fn plans_that_turn_out_otherwise_lose_no_class() {
    agrees("cancelnext join | cancelnext | ", 4);
    agrees("cancelnext yield yield join yield | cancelnext yield | ", 10);
    agrees("inflight | lock notified | tlock inflight", 3);
    agrees("dropsend | lock dropsend set | lock set", 8);
    agrees("defer | rwwrite set | rwwrite softnext", 30);
}

/// Where a poll was planned in one place because of what another was expected to touch, and that one touches less: what could
/// begin with it is looked for there.
#[test]
fn a_poll_that_touches_less_than_expected_takes_over_what_it_comprises() {
    agrees("my isfin | oclosed | my", 12);
    agrees("oisclosed isfin oisclosed | twchanged oisclosed twchanged | my", 12);
    agrees("unlock | oclosed my cancel0 | cancel0 unlock", 38);
}

/// Two cancellations in one poll: what each of the two that are cancelled would do before it was never run, and nothing
/// was planned for it.
#[test]
fn a_state_is_left_only_when_what_was_left_out_there_is_known_to_be_covered() {
    agrees("regioncancel | cancelnext cancel0 | regioncancel", 25);
    agrees("regioncancel oisclosed | cancelnext cancel0 | regioncancel cancel0", 55);
}

/// Two or three tasks of one to three acts of these, of at most four kinds so that they meet.
fn random(seed: u64, acts: &[&'static str]) -> Program {
    let mut stream = SplitMix64::new(seed);
    let mut below = move |end: usize| stream.below(end as u64) as usize;
    let kinds: Vec<&'static str> = (0..4).map(|_| acts[below(acts.len())]).collect();
    let tasks = 2 + below(2);
    (0..tasks).map(|_| (0..1 + below(3)).map(|_| kinds[below(4)]).collect()).collect()
}

/// How many of these programs are few enough orders to be enumerated, and how many of those had runs that were given up.
fn random_programs(acts: &[&'static str]) -> (u64, u64) {
    let (mut done, mut blocked) = (0, 0);
    for seed in 0..300 {
        let program = random(seed, acts);
        let Some(all) = enumerated(&program, 300) else { continue };
        done += 1;
        blocked += u64::from(explored(&program, &all) > 0);
    }
    (done, blocked)
}

#[test]
fn random_programs_are_run_once_for_each_class() {
    let (done, blocked) = random_programs(ACTS);
    assert!(done > 250, "{done}");
    assert!(blocked * 50 < done, "{blocked} of {done} programs had runs that were given up");
}

/// What a task does next depends most on others where it is cancelled.
#[test]
fn random_programs_that_cancel_are_run_once_for_each_class() {
    let acts = "my isfin cancel0 cancelnext softnext yield join region spawn regioncancel defer oclosed set get why";
    let (done, blocked) = random_programs(&program(acts)[0]);
    assert!(done > 200, "{done}");
    assert!(blocked * 15 < done, "{blocked} of {done} programs had runs that were given up");
}
