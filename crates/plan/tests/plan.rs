//! Building, writing out, and analysing.

#[path = "support/plans.rs"]
mod plans;

use asupersync_plan::{
    Failure, Finding, Law, Leaf, MinPlus, PlanBuilder, PlanError, Safety, analyse, simplify_by,
};
use plans::{MS, Maker, end, lab, leaf};
use proptest::prelude::*;
use std::time::Duration;

#[test]
fn the_same_combinator_over_the_same_nodes_is_one_node() {
    let mut builder = PlanBuilder::new();
    let [a, b] = ["a", "a"].map(|name| builder.leaf(Leaf::new(name)));
    assert_ne!(a, b, "two leaves are two executions");
    assert_eq!(builder.join([a, b]), builder.join([a, b]));
    assert_ne!(builder.join([a, b]), builder.join([b, a]));
}

#[test]
fn a_node_of_another_builder_is_refused() {
    let mut other = PlanBuilder::new();
    let [_, _, foreign] = [(); 3].map(|()| other.leaf(Leaf::new("x")));
    let mut builder = PlanBuilder::new();
    assert_eq!(builder.build(foreign), Err(PlanError::UnknownNode { index: 2 }));
    let join = builder.join([foreign]);
    assert_eq!(builder.build(join), Err(PlanError::UnknownNode { index: 2 }));
}

#[test]
fn depth_is_limited_and_sharing_is_written_out_once() {
    let mut builder = PlanBuilder::new();
    let mut node = builder.leaf(Leaf::new("a"));
    for _ in 0..PlanBuilder::MAX_DEPTH {
        node = builder.join([node, node]);
    }
    let text = builder.build(node).unwrap().to_string();
    assert!(text.len() < 4_000, "2^128 leaves in {} characters", text.len());
    let deeper = builder.join([node]);
    assert_eq!(builder.build(deeper), Err(PlanError::TooDeep));
}

#[test]
fn one_node_more_than_the_limit_is_refused() {
    let mut builder = PlanBuilder::new();
    let leaves: Vec<_> =
        (0..PlanBuilder::MAX_NODES).map(|_| builder.leaf(Leaf::new(String::new()))).collect();
    let fits = builder.join(leaves[1..].iter().copied());
    assert!(builder.build(fits).is_ok());
    let too_many = builder.join(leaves);
    assert_eq!(builder.build(too_many), Err(PlanError::TooLarge));
}

#[test]
fn plans_of_sleepers_take_a_time_within_the_bounds() {
    let lab = lab(5);
    for seed in 0..1_000 {
        let mut maker = Maker::new(seed, false);
        let root = maker.any(4);
        let plan = maker.plan(root);
        let facts = analyse(&plan);
        let whole = facts.nodes.last().unwrap();
        let (result, time) = end(&lab, &plan);
        assert!(time <= whole.longest.time().unwrap(), "seed {seed}: {plan}");
        if result.is_ok() {
            assert!(whole.shortest.time().unwrap() <= time, "seed {seed}: {plan}");
        } else {
            assert!(whole.fallible, "seed {seed}: {plan}");
        }
    }
}

#[test]
fn the_critical_path_is_as_long_as_the_plan() {
    let mut builder = PlanBuilder::new();
    let [a, b, c, d] = [("a", 2), ("b", 7), ("c", 3), ("d", 5)]
        .map(|(name, time)| builder.leaf(leaf(name, MS * time)));
    let join = builder.join([a, b]);
    let race = builder.race([c, d]);
    let root = builder.sequence([join, race]);
    let plan = builder.build(root).unwrap();
    let facts = analyse(&plan);
    let path: Vec<_> = facts.critical_path.iter().map(|id| plan.part(*id).to_string()).collect();
    assert_eq!(path, ["b", "c"]);
    assert_eq!(facts.nodes.last().unwrap().longest, MinPlus::of(MS * 10));
    assert_eq!(facts.work, MinPlus::of(MS * 17));
}

#[test]
fn limits_reach_down_as_latest_starts() {
    let mut builder = PlanBuilder::new();
    let [a, b] = [("a", 2), ("b", 7)].map(|(name, time)| builder.leaf(leaf(name, MS * time)));
    let both = builder.sequence([a, b]);
    let root = builder.timeout(MS * 10, both);
    let plan = builder.build(root).unwrap();
    let facts = analyse(&plan);
    let starts: Vec<_> = plan
        .nodes()
        .map(|(id, _)| (plan.part(id).to_string(), facts.latest_start[id.index()]))
        .collect();
    // b needs 7 of the 10, a another 2 before it.
    assert_eq!(starts[0], ("a".to_owned(), MinPlus::of(MS)));
    assert_eq!(starts[1], ("b".to_owned(), MinPlus::of(MS * 3)));
}

#[test]
fn findings_name_what_may_be_lost_and_what_cannot_be() {
    let mut builder = PlanBuilder::new();
    let pay =
        builder.leaf(Leaf::new("pay").takes(MS..=MS * 2).infallible().on_cancel(Safety::Lossy));
    let look = builder.leaf(leaf("look", MS * 30));
    let race = builder.race([pay, look]);
    let tight = builder.timeout(MS * 20, look);
    let wide = builder.timeout(MS * 50, pay);
    let root = builder.sequence([race, tight, wide]);
    let plan = builder.build(root).unwrap();
    let findings: Vec<_> = analyse(&plan).findings.iter().map(Finding::to_string).collect();
    assert_eq!(
        findings,
        [
            "node 0 may be cancelled in the middle and is Lossy then: give its effects two phases, or keep it out of races and timeouts",
            "timeout 3 always passes: the shortest way below it takes 30ms",
            "timeout 4 never passes: what is below it promises to be quicker",
        ]
    );
}

fn time() -> impl Strategy<Value = MinPlus> {
    prop_oneof![
        Just(MinPlus::ZERO),
        Just(MinPlus::ONE),
        any::<u64>().prop_map(|nanos| MinPlus::of(Duration::from_nanos(nanos))),
        Just(MinPlus::of(Duration::MAX)),
    ]
}

proptest! {
    #[test]
    fn times_are_an_idempotent_semiring(a in time(), b in time(), c in time()) {
        prop_assert_eq!(a.plus(b), b.plus(a));
        prop_assert_eq!(a.plus(b.plus(c)), a.plus(b).plus(c));
        prop_assert_eq!(a.plus(a), a);
        prop_assert_eq!(a.plus(MinPlus::ZERO), a);
        prop_assert_eq!(a.times(b), b.times(a));
        prop_assert_eq!(a.times(b.times(c)), a.times(b).times(c));
        prop_assert_eq!(a.times(MinPlus::ONE), a);
        prop_assert_eq!(a.times(MinPlus::ZERO), MinPlus::ZERO);
        prop_assert_eq!(a.times(b.plus(c)), a.times(b).plus(a.times(c)));
        prop_assert_eq!(a.both(b.plus(c)), a.both(b).plus(a.both(c)));
    }
}

#[test]
fn a_limit_as_long_as_what_is_below_it_may_pass() {
    let mut builder = PlanBuilder::new();
    let sleeper = builder.leaf(leaf("a", MS));
    let root = builder.timeout(MS, sleeper);
    let plan = builder.build(root).unwrap();
    assert_eq!(end(&lab(3), &plan).0, Err(Failure::TimedOut { limit: MS }));
    assert_eq!(analyse(&plan).findings, []);
    assert!(simplify_by(&plan, |law| law == Law::TimeoutUnneeded).steps.is_empty());
}
