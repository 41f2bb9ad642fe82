use super::*;
use crate::step::{Touch, dependent};
use asupersync_core::{ObjectId, TaskId, Time};
use proptest::prelude::*;

fn step() -> impl Strategy<Value = Step> {
    let actor = prop_oneof![
        8 => (0_u64..4).prop_map(|n| Actor::Task(TaskId::from_bits(n))),
        1 => (0_u64..2).prop_map(|n| Actor::Timer(Time::from_nanos(n))),
        1 => Just(Actor::Host),
    ];
    let touch = (0_u64..3, any::<bool>())
        .prop_map(|(n, write)| Touch { target: Target::Object(ObjectId::from_bits(n)), write });
    (actor, prop::collection::vec(touch, 0..3))
        .prop_map(|(actor, touches)| Step::new(actor, touches))
}

proptest! {
    #[test]
    fn happens_before_is_the_closure_of_dependence(steps in prop::collection::vec(step(), 0..20)) {
        let n = steps.len();
        let mut before = vec![vec![false; n]; n];
        for second in 0..n {
            for first in (0..second).rev() {
                let direct = dependent(steps[first].view(), steps[second].view());
                let through = (first + 1..second).any(|k| before[first][k] && before[k][second]);
                before[first][second] = direct || through;
            }
        }
        let causality = Causality::of(&steps);
        for (first, row) in before.iter().enumerate() {
            for (second, expected) in row.iter().enumerate() {
                prop_assert_eq!(
                    causality.happens_before(first, second),
                    *expected,
                    "{} before {}", first, second
                );
            }
        }
        if n > 0 {
            let past: Vec<usize> = causality.past(n - 1).collect();
            let expected: Vec<usize> = (0..n).filter(|k| *k == n - 1 || before[*k][n - 1]).collect();
            prop_assert_eq!(past, expected);
        }
    }
}
