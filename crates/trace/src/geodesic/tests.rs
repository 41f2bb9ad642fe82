use super::*;
use crate::fingerprint::Fingerprint;
use crate::step::{Touch, dependent};
use asupersync_core::{ObjectId, Time};
use proptest::prelude::*;

fn step(actor: u64, object: u64, write: bool) -> Step {
    let target = Target::Object(ObjectId::from_bits(object + 1));
    // Few tasks, and now and then something that is no task's.
    let actor = match actor {
        7 => Actor::Timer(Time::from_nanos(object)),
        8 => Actor::Host,
        task => Actor::Task(TaskId::from_bits(task + 1)),
    };
    Step::new(actor, vec![Touch { target, write }])
}

fn run(longest: usize) -> impl Strategy<Value = Vec<Step>> {
    let actor = prop_oneof![20 => 0..4_u64, 2 => Just(7_u64), 1 => Just(8_u64)];
    let one = (actor, 0..5_u64, any::<bool>()).prop_map(|(a, o, w)| step(a, o, w));
    prop::collection::vec(one, 0..longest)
}

/// An equivalent run, by exchanges of independent neighbours.
fn shuffled(steps: &[Step], exchanges: &[usize]) -> Vec<Step> {
    let mut steps = steps.to_vec();
    for at in exchanges {
        let at = at % steps.len().max(1);
        if at + 1 < steps.len() && !dependent(steps[at].view(), steps[at + 1].view()) {
            steps.swap(at, at + 1);
        }
    }
    steps
}

fn along(steps: &[Step], found: &Geodesic) -> Vec<Step> {
    found.order.iter().map(|at| steps[*at].clone()).collect()
}

/// The fewest switches of any equivalent order, by trying all.
fn fewest(steps: &[Step]) -> usize {
    fn go(
        steps: &[Step],
        left: &mut Vec<usize>,
        last: Option<TaskId>,
        so_far: usize,
        best: &mut usize,
    ) {
        if so_far >= *best {
            return;
        }
        if left.is_empty() {
            *best = so_far;
            return;
        }
        for at in 0..left.len() {
            let step = &steps[left[at]];
            if left[..at].iter().any(|other| dependent(steps[*other].view(), step.view())) {
                continue;
            }
            let taken = left.remove(at);
            let owner = owner(step);
            let switch = owner.is_some() && last.is_some() && owner != last;
            go(steps, left, owner.or(last), so_far + usize::from(switch), best);
            left.insert(at, taken);
        }
    }
    let mut best = usize::MAX;
    go(steps, &mut (0..steps.len()).collect(), None, 0, &mut best);
    best
}

proptest! {
    #[test]
    fn it_is_equivalent_and_the_shortest(steps in run(9)) {
        let found = geodesic(&steps, Effort::default());
        let new = along(&steps, &found);
        prop_assert_eq!(Fingerprint::of_steps(&steps), Fingerprint::of_steps(&new));
        prop_assert!(found.is_exact);
        prop_assert_eq!(found.switches, switches(&new));
        prop_assert_eq!(found.switches, fewest(&steps));
    }

    #[test]
    fn it_does_not_depend_on_the_order_it_was_given(
        steps in run(40),
        exchanges in prop::collection::vec(0..1000_usize, 0..300),
        exact in prop_oneof![Just(0_usize), Just(50), Just(20_000)],
    ) {
        let effort = Effort { exact, beam: 8 };
        let other = shuffled(&steps, &exchanges);
        let (one, two) = (geodesic(&steps, effort), geodesic(&other, effort));
        prop_assert_eq!(along(&steps, &one), along(&other, &two));
        prop_assert!(one.switches <= switches(&steps).min(switches(&other)) || !one.is_exact);
    }

    #[test]
    fn the_beam_is_equivalent_and_never_better_than_exact(steps in run(60)) {
        let beam = geodesic(&steps, Effort { exact: 0, beam: 16 });
        let exact = geodesic(&steps, Effort { exact: 1_000_000, beam: 1 });
        prop_assert!(steps.iter().all(|step| owner(step).is_none()) || !beam.is_exact);
        prop_assert!(exact.is_exact);
        prop_assert!(exact.switches <= beam.switches);
        let new = along(&steps, &beam);
        prop_assert_eq!(Fingerprint::of_steps(&steps), Fingerprint::of_steps(&new));
        prop_assert_eq!(beam.switches, switches(&new));
    }
}

#[test]
fn nothing_has_no_switches() {
    let found = geodesic(&[], Effort::default());
    assert_eq!(found, Geodesic { order: Vec::new(), switches: 0, is_exact: true });
}

#[test]
fn ten_tasks_that_took_turns_a_hundred_times_are_told_one_by_one() {
    let steps: Vec<Step> = (0..1_000)
        .map(|n| {
            let task = n % 10;
            let target = Target::Object(ObjectId::from_bits(task + 1));
            Step::new(Actor::Task(TaskId::from_bits(task + 1)), vec![Touch { target, write: true }])
        })
        .collect();
    assert_eq!(switches(&steps), 999);
    let found = geodesic(&steps, Effort::default());
    assert_eq!((found.switches, found.is_exact), (9, true));
}
