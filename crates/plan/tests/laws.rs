//! The law sheet, on executions: what holds, what holds up to order, and what does not hold.

#[path = "support/plans.rs"]
mod plans;

use asupersync_plan::{Law, NodeId, Plan, Strength, simplify_by};
use plans::{MS, Maker, end, lab, leaf};
use std::time::Duration;

const INSTANCES: u64 = 400;

/// A random plan with the law's left side at its root.
fn left_side(law: Law, maker: &mut Maker) -> NodeId {
    let part = |maker: &mut Maker| maker.any(1);
    let parts = |maker: &mut Maker| [part(maker), part(maker), part(maker)];
    match law {
        Law::Single => {
            let a = part(maker);
            match maker.dice.below(3) {
                0 => maker.builder.join([a]),
                1 => maker.builder.race([a]),
                _ => maker.builder.sequence([a]),
            }
        }
        Law::EmptySequence => maker.builder.sequence([]),
        Law::JoinAssociates => {
            let [a, b, c] = parts(maker);
            let inner = if maker.dice.below(4) == 0 { vec![] } else { vec![b, c] };
            let inner = maker.builder.join(inner);
            maker.builder.join([a, inner])
        }
        Law::RaceAssociates => {
            let [a, b, c] = parts(maker);
            let inner = if maker.dice.below(4) == 0 { vec![] } else { vec![b, c] };
            let inner = maker.builder.race(inner);
            maker.builder.race([inner, a])
        }
        Law::SequenceAssociates => {
            let [a, b, c] = parts(maker);
            let inner = maker.builder.sequence([a, b]);
            maker.builder.sequence([inner, c])
        }
        Law::RaceIdempotent => {
            let [a, b, _] = parts(maker);
            maker.builder.race([a, b, a])
        }
        Law::TimeoutsNest => {
            let a = part(maker);
            let (s, t) = (maker.time(), maker.time());
            let inner = maker.builder.timeout(t, a);
            maker.builder.timeout(s, inner)
        }
        Law::TimeoutOverJoin | Law::TimeoutOverRace => {
            let [a, b, _] = parts(maker);
            let t = maker.time();
            let both = [a, b].map(|node| maker.builder.timeout(t, node));
            if law == Law::TimeoutOverJoin {
                maker.builder.join(both)
            } else {
                maker.builder.race(both)
            }
        }
        Law::JoinFactors => {
            let a = part(maker);
            let [b, c] = [maker.leaf(false), maker.leaf(false)];
            let both = [b, c].map(|rest| maker.builder.join([a, rest]));
            maker.builder.race(both)
        }
        Law::TimeoutUnneeded => {
            let a = part(maker);
            maker.builder.timeout(Duration::from_secs(1 << 30), a)
        }
        other => panic!("no left side for {other}"),
    }
}

#[test]
fn each_law_holds_on_executions() {
    let lab = lab(11);
    for law in Law::ALL {
        let mut seen = 0;
        for seed in 0..INSTANCES {
            let mut maker = Maker::new(seed, false);
            let root = left_side(law, &mut maker);
            let plan = maker.plan(root);
            let rewritten = simplify_by(&plan, |other| other == law);
            // Two empty joins are one node, which has two parents then.
            seen += u64::from(!rewritten.steps.is_empty());
            let right = end(&lab, &rewritten.plan);
            let allowed = match law.strength() {
                Strength::Equal | Strength::OnPromise => vec![end(&lab, &plan)],
                // A race of branches that finish together may choose: try each as the first.
                _ => choices(&plan).iter().map(|plan| end(&lab, plan)).collect(),
            };
            assert!(allowed.contains(&right), "seed {seed}: {plan}: {allowed:?} but {right:?}");
        }
        assert!(seen > INSTANCES * 9 / 10, "{law} fits only {seen} of its instances");
    }
}

/// The same plan with the branches of its topmost race in either order.
fn choices(plan: &Plan) -> [Plan; 2] {
    let turned = |plan: &Plan| {
        let mut maker = Maker::new(0, false);
        let mut now: Vec<NodeId> = Vec::new();
        for (id, node) in plan.nodes() {
            let mut below: Vec<NodeId> = node.children().iter().map(|id| now[id.index()]).collect();
            if id == plan.root() {
                below.reverse();
            }
            now.push(match node {
                asupersync_plan::Node::Leaf(leaf) => maker.builder.leaf(plan.leaf(*leaf).clone()),
                asupersync_plan::Node::Join(_) => maker.builder.join(below),
                asupersync_plan::Node::Race(_) => maker.builder.race(below),
                asupersync_plan::Node::Sequence(_) => maker.builder.sequence(below),
                asupersync_plan::Node::Timeout(limit, _) => maker.builder.timeout(*limit, below[0]),
            });
        }
        maker.plan(*now.last().unwrap())
    };
    [plan.clone(), turned(plan)]
}

#[test]
fn joins_commute_up_to_the_order_of_values_and_races_wherever_no_two_finish_together() {
    let lab = lab(13);
    for seed in 0..INSTANCES {
        let mut maker = Maker::new(seed, false);
        let [a, b] = [maker.any(2), maker.any(2)];
        let ends = [[a, b], [b, a]].map(|order| {
            let join = maker.builder.join(order);
            let race = maker.builder.race(order);
            let (mut joined, time) = end(&lab, &maker.plan(join));
            if let Ok(values) = &mut joined {
                values.sort();
            }
            ((joined, time), end(&lab, &maker.plan(race)))
        });
        // Two parts that wait for nothing finish together.
        if ends[0].1.1 > Duration::ZERO {
            assert_eq!(ends[0], ends[1], "seed {seed}");
        }
    }
}

/// Two plans over leaves a, b (2 ms and 8 ms), c (4 ms) and f! (which fails after 3 ms).
fn differ(
    left: impl FnOnce(&mut Maker, [NodeId; 4]) -> NodeId,
    right: impl FnOnce(&mut Maker, [NodeId; 4]) -> NodeId,
) {
    let mut maker = Maker::new(0, false);
    let leaves = [("a", 2), ("b", 8), ("c", 4), ("f!", 3)]
        .map(|(name, time)| maker.builder.leaf(leaf(name, MS * time)));
    let left = left(&mut maker, leaves);
    let right = right(&mut maker, leaves);
    let lab = lab(1);
    let (left, right) = (maker.plan(left), maker.plan(right));
    assert_ne!(end(&lab, &left), end(&lab, &right), "{left} and {right} do the same");
}

#[test]
fn tempting_laws_that_do_not_hold_have_counterexamples() {
    // A join is not idempotent: the value is there twice.
    differ(|m, [a, ..]| m.builder.join([a, a]), |_, [a, ..]| a);
    // A race does not pick the first success, only the first to finish.
    differ(|m, [_, b, _, f]| m.builder.race([b, f]), |_, [_, b, ..]| b);
    // A sequence does not distribute over a race on its right: what comes after decides too.
    differ(
        |m, [a, b, c, _]| {
            let race = m.builder.race([a, c]);
            m.builder.sequence([race, b])
        },
        |m, [a, b, c, _]| {
            let long = m.builder.sequence([a, b]);
            m.builder.race([long, c])
        },
    );
    // Limits do not add up along a sequence.
    differ(
        |m, [a, b, ..]| {
            let both = m.builder.sequence([a, b]);
            m.builder.timeout(MS * 10, both)
        },
        |m, [a, b, ..]| {
            let parts = [m.builder.timeout(MS * 5, a), m.builder.timeout(MS * 5, b)];
            m.builder.sequence(parts)
        },
    );
    // A join does not absorb: join(b, race(b, a)) is not b.
    differ(
        |m, [a, b, ..]| {
            let race = m.builder.race([b, a]);
            m.builder.join([b, race])
        },
        |_, [_, b, ..]| b,
    );
    // Factoring needs parts that cannot fail: f fails at 3 ms and ends the left side's race, but on the
    // right a had won against it at 2 ms.
    differ(
        |m, [a, b, _, f]| {
            let parts = [m.builder.join([b, a]), m.builder.join([b, f])];
            m.builder.race(parts)
        },
        |m, [a, b, _, f]| {
            let race = m.builder.race([a, f]);
            m.builder.join([b, race])
        },
    );
    // A join of sequences is not a sequence of joins: nobody waits for the other's first part.
    differ(
        |m, [a, b, c, _]| {
            let first = m.builder.sequence([a, b]);
            m.builder.join([first, c])
        },
        |m, [a, b, c, _]| {
            let both = m.builder.join([a, c]);
            m.builder.sequence([both, b])
        },
    );
}

#[test]
fn the_page_of_laws_names_each() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/laws.md"));
    let page = page.expect("docs/laws.md");
    for law in Law::ALL {
        assert!(page.contains(&format!("`{law:?}`")), "{law:?} is missing in docs/laws.md");
        assert!(page.contains(law.statement()), "the statement of {law:?} is missing");
        assert!(page.contains(law.condition()), "the condition of {law:?} is missing");
    }
}
