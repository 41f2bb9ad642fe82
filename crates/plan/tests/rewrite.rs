//! Rewriting: the same outcomes at the same time, fewer nodes, every step explained.

#[path = "support/plans.rs"]
mod plans;

use asupersync_plan::{Law, Node, Plan, PlanBuilder, simplify, simplify_by};
use plans::{MS, Maker, end, lab, leaf};

/// All of them in release builds, which the check of determinism makes.
const PLANS: u64 = if cfg!(debug_assertions) { 1_000 } else { 10_000 };

/// Whether some race has a part below that others name too: branches may then finish at one moment.
fn may_tie(plan: &Plan) -> bool {
    let mut uses = vec![0; plan.nodes().count()];
    for (_, node) in plan.nodes() {
        node.children().iter().for_each(|child| uses[child.index()] += 1);
    }
    // Of each node, whether something shared is in it or below.
    let mut shared: Vec<bool> = Vec::new();
    let mut ties = false;
    for ((_, node), uses) in plan.nodes().zip(uses) {
        let below = node.children().iter().any(|child| shared[child.index()]);
        ties |= matches!(node, Node::Race(_)) && below;
        shared.push(below || uses > 1);
    }
    ties
}

#[test]
fn ten_thousand_random_plans_do_what_they_did_before_rewriting() {
    let lab = lab(7);
    let mut steps = 0;
    for seed in 0..PLANS {
        let mut maker = Maker::new(seed, false);
        let root = maker.any(4);
        let plan = maker.plan(root);
        let simple = simplify(&plan);
        steps += simple.steps.len();
        assert_eq!(end(&lab, &plan), end(&lab, &simple.plan), "seed {seed}: {plan}\n{simple}");
    }
    assert!(steps as u64 > PLANS, "only {steps} laws were applied");
}

#[test]
fn random_plans_with_shared_parts_do_what_they_did_before_rewriting() {
    let lab = lab(7);
    let mut shared = 0;
    for seed in 0..PLANS / 2 {
        let mut maker = Maker::new(seed, true);
        let root = maker.any(4);
        let plan = maker.plan(root);
        let simple = simplify(&plan);
        let (one, other) = (end(&lab, &plan), end(&lab, &simple.plan));
        if may_tie(&plan) {
            let rough = |end: &plans::End| (end.0.is_ok(), end.1);
            assert_eq!(rough(&one), rough(&other), "seed {seed}: {plan}\n{simple}");
        } else {
            shared += u64::from(plan.to_string().contains('#'));
            assert_eq!(one, other, "seed {seed}: {plan}\n{simple}");
        }
    }
    assert!(shared > PLANS / 50, "only {shared} plans shared a combinator");
}

#[test]
fn a_rewritten_plan_is_no_larger_and_has_nothing_left_to_rewrite() {
    for seed in 0..1_000 {
        let mut maker = Maker::new(seed, true);
        let root = maker.any(5);
        let plan = maker.plan(root);
        let simple = simplify(&plan);
        let size =
            |plan: &Plan| plan.nodes().map(|(_, node)| 1 + node.children().len()).sum::<usize>();
        assert!(size(&simple.plan) <= size(&plan), "{plan}\n{simple}");
        assert!(simplify(&simple.plan).steps.is_empty(), "{plan}\n{simple}");
    }
}

#[test]
fn each_step_says_what_was_what_is_which_law_and_why() {
    let mut builder = PlanBuilder::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| builder.leaf(leaf(name, MS)));
    let inner = builder.timeout(MS * 9, b);
    let nested = builder.timeout(MS * 5, inner);
    let pair = builder.join([nested, c]);
    let root = builder.join([a, pair]);
    let plan = builder.build(root).unwrap();
    assert_eq!(
        simplify(&plan).to_string(),
        "\
timeout(5ms, timeout(9ms, b))
  -> timeout(5ms, b)
  by TimeoutsNest: timeout(s, timeout(t, a)) = timeout(min(s, t), a)
  allowed: the inner timeout has no other parent
join(a, join(timeout(5ms, b), c))
  -> join(a, timeout(5ms, b), c)
  by JoinAssociates: join(a, join(b, c)) = join(a, b, c)
  allowed: the inner node has no other parent
result: join(a, timeout(5ms, b), c)"
    );
}

#[test]
fn a_shared_inner_node_is_left_alone() {
    let mut builder = PlanBuilder::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| builder.leaf(leaf(name, MS)));
    let shared = builder.join([a, b]);
    let one = builder.join([shared, c]);
    let other = builder.sequence([c, shared]);
    let root = builder.join([one, other]);
    let plan = builder.build(root).unwrap();
    let simple = simplify(&plan).plan.to_string();
    assert_eq!(simple, "join(#2=join(a, b), c, sequence(c, #2))");
}

#[test]
fn a_long_chain_of_laws_ends() {
    let mut builder = PlanBuilder::new();
    let mut node = builder.leaf(leaf("a", MS));
    for index in 0..PlanBuilder::MAX_DEPTH as u32 {
        node = match index % 4 {
            0 => builder.join([node]),
            1 => builder.race([node]),
            2 => builder.sequence([node]),
            _ => builder.timeout(MS * index, node),
        };
    }
    let plan = builder.build(node).unwrap();
    assert_eq!(simplify(&plan).plan.to_string(), "timeout(3ms, a)");
    let promised = simplify_by(&plan, |_| true).plan.to_string();
    assert_eq!(promised, "a", "a takes 1 ms, so no limit is needed");
    assert!(Law::ALL.len() > 10);
}
