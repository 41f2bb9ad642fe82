//! The tables that `formal/Algebra.v` proves things about, and ours: value by value the same.
//!
//! `formal/tables.txt` is what Coq computes from its definitions; `cargo xtask formal` computes it anew.

use crate::{
    Budget, CancelKind, CancelReason, Outcome, PanicPayload, Severity, Time, join_outcomes,
};
use std::time::Duration;

const TABLES: &str = include_str!("../../../formal/tables.txt");
const SEVERITIES: [Severity; 4] =
    [Severity::Ok, Severity::Err, Severity::Cancelled, Severity::Panicked];
/// Limits as the tables have them: none, then 0, 1 and 2.
const LIMITS: [Option<u64>; 4] = [None, Some(0), Some(1), Some(2)];

fn table(line: usize) -> Vec<u64> {
    let line = TABLES.lines().nth(line).expect("Coq computes as many tables as are compared");
    let numbers = line.trim_matches(['[', ']']).split("; ");
    numbers.map(|number| number.parse().expect("tables hold numbers")).collect()
}

/// Every pair, in the tables' order.
fn pairs<A: Copy, B: Copy>(
    first: &[A],
    second: &[B],
    value: impl Fn(A, B) -> u64 + Copy,
) -> Vec<u64> {
    first.iter().flat_map(|a| second.iter().map(move |b| value(*a, *b))).collect()
}

/// None is 0, and a number one more than itself.
fn number(limit: Option<u64>) -> u64 {
    limit.map_or(0, |limit| limit + 1)
}

#[test]
fn severities_join_as_proved() {
    assert_eq!(pairs(&SEVERITIES, &SEVERITIES, |a, b| a.join(b) as u64), table(0));
}

#[test]
fn reasons_strengthen_as_proved() {
    let mut current = vec![None];
    current.extend(CancelKind::ALL.map(Some));
    let ours = pairs(&CancelKind::ALL, &current, |reason, current| {
        let current = current.map(CancelReason::new);
        u64::from(CancelReason::new(reason).strengthens(current.as_ref()))
    });
    assert_eq!(ours, table(1));
}

#[test]
fn limits_meet_as_proved() {
    let with_cost = |limit| Budget { cost_quota: limit, ..Budget::UNLIMITED };
    let cost = |a, b| number(with_cost(a).meet(with_cost(b)).cost_quota);
    assert_eq!(pairs(&LIMITS, &LIMITS, cost), table(2));
    let at =
        |limit: Option<u64>| Budget { deadline: limit.map(Time::from_nanos), ..Budget::UNLIMITED };
    let deadline = |a, b| number(at(a).meet(at(b)).deadline.map(Time::as_nanos));
    assert_eq!(pairs(&LIMITS, &LIMITS, deadline), table(2));
    let within = |limit: Option<u64>| Budget {
        timeout: limit.map(Duration::from_nanos),
        ..Budget::UNLIMITED
    };
    let timeout = |a, b| {
        let met = within(a).meet(within(b)).timeout;
        number(met.map(|timeout| timeout.as_nanos() as u64))
    };
    assert_eq!(pairs(&LIMITS, &LIMITS, timeout), table(2));
    let polls = |a: Option<u64>, b: Option<u64>| {
        let with = |limit: Option<u64>| {
            limit.map_or(Budget::UNLIMITED, |polls| Budget::new().with_poll_quota(polls as u32))
        };
        let met = with(a).meet(with(b)).poll_quota;
        number((met != u32::MAX).then_some(u64::from(met)))
    };
    assert_eq!(pairs(&LIMITS, &LIMITS, polls), table(2));
}

#[test]
fn cleanup_time_and_polls_are_those_of_the_proofs() {
    let seconds = CancelKind::ALL.map(|kind| kind.cleanup_time().as_secs());
    let polls = CancelKind::ALL.map(|kind| u64::from(kind.cleanup_polls()) / 1_000);
    assert_eq!(seconds.to_vec(), table(3));
    assert_eq!(polls.to_vec(), table(3));
}

#[test]
fn budgets_take_effect_as_proved() {
    let effective = |deadline: Option<u64>, timeout: Option<u64>| {
        let budget = Budget {
            deadline: deadline.map(Time::from_nanos),
            timeout: timeout.map(Duration::from_nanos),
            ..Budget::UNLIMITED
        };
        let effective = budget.effective_at(Time::from_nanos(1));
        assert_eq!(effective.timeout, None);
        number(effective.deadline.map(Time::as_nanos))
    };
    assert_eq!(pairs(&LIMITS, &LIMITS, effective), table(4));
}

#[test]
fn priorities_meet_as_proved() {
    let with = |priority| Budget::new().with_priority(priority);
    let priority = |a, b| u64::from(with(a).meet(with(b)).priority);
    assert_eq!(pairs(&[0, 1, 2], &[0, 1, 2], priority), table(5));
}

#[test]
fn of_two_endings_the_one_is_kept_that_is_proved() {
    // Each says whose it is: 1, or 2. Of two values both are kept, which the proofs call the first.
    let ending = |severity, whose: u64| match severity {
        Severity::Ok => Outcome::Ok(whose),
        Severity::Err => Outcome::Err(whose),
        Severity::Cancelled => Outcome::Cancelled(CancelReason::user(whose.to_string())),
        Severity::Panicked => Outcome::Panicked(PanicPayload::new(Box::new(whose.to_string()))),
    };
    let kept = |first, second| match join_outcomes(ending(first, 1), ending(second, 2)) {
        Outcome::Ok((first, _)) => first,
        Outcome::Err(whose) => whose,
        Outcome::Cancelled(reason) => reason.message().and_then(|text| text.parse().ok()).unwrap(),
        Outcome::Panicked(payload) => payload.message().parse().unwrap(),
    };
    assert_eq!(pairs(&SEVERITIES, &SEVERITIES, kept), table(6));
}
