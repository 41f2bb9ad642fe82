//! The wheel against a sorted map.

use asupersync_core::Time;
use asupersync_time::{Key, Wheel};
use proptest::prelude::*;
use std::collections::BTreeMap;

#[derive(Clone, Debug)]
enum Operation {
    /// Distance from the present; negative is the past.
    Insert(i64),
    /// Any key ever given out, stale ones included.
    Remove(prop::sample::Index),
    Advance(u64),
    AdvanceToNext,
}

/// Distances of every magnitude from a nanosecond to a century.
fn distance() -> impl Strategy<Value = u64> {
    (0u32..62, any::<u64>()).prop_map(|(bits, noise)| noise & ((1 << bits) - 1))
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => distance().prop_map(|d| Operation::Insert(d as i64)),
        1 => Just(Operation::Insert(70_000)),
        1 => distance().prop_map(|d| Operation::Insert(-(d as i64))),
        3 => any::<prop::sample::Index>().prop_map(Operation::Remove),
        2 => distance().prop_map(Operation::Advance),
        3 => Just(Operation::AdvanceToNext),
    ]
}

fn advance(wheel: &mut Wheel<u64>, model: &mut BTreeMap<(u64, u64), ()>, now: u64) {
    let mut fired = Vec::new();
    wheel.advance(Time::from_nanos(now), |at, value| fired.push((at.as_nanos(), value)));
    let later = model.split_off(&(now.saturating_add(1), 0));
    let expected: Vec<_> = std::mem::replace(model, later).into_keys().collect();
    assert_eq!(fired, expected);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn fires_what_a_sorted_map_fires_in_its_order(operations in prop::collection::vec(operation(), 1..200)) {
        let mut wheel = Wheel::new();
        let mut model = BTreeMap::new();
        let mut keys: Vec<(Key, u64)> = Vec::new();
        let mut now = 0u64;
        for operation in operations {
            match operation {
                Operation::Insert(distance) => {
                    let at = now.saturating_add_signed(distance);
                    let value = keys.len() as u64;
                    keys.push((wheel.insert(Time::from_nanos(at), value), at));
                    model.insert((at, value), ());
                }
                Operation::Remove(index) if !keys.is_empty() => {
                    let value = index.index(keys.len());
                    let (key, at) = keys[value];
                    let expected = model.remove(&(at, value as u64)).map(|()| value as u64);
                    prop_assert_eq!(wheel.remove(key), expected);
                }
                Operation::Remove(_) => {}
                Operation::Advance(distance) => {
                    now = now.saturating_add(distance);
                    advance(&mut wheel, &mut model, now);
                }
                Operation::AdvanceToNext => {
                    if let Some(next) = wheel.next_deadline() {
                        now = now.max(next.as_nanos());
                        advance(&mut wheel, &mut model, now);
                    }
                }
            }
            let first = model.keys().next().map(|&(at, _)| Time::from_nanos(at));
            prop_assert_eq!(wheel.len(), model.len());
            prop_assert_eq!(wheel.earliest(), first);
            prop_assert_eq!(wheel.next_deadline().is_some(), first.is_some());
            prop_assert!(wheel.next_deadline() <= first);
        }
        advance(&mut wheel, &mut model, u64::MAX);
        prop_assert!(wheel.is_empty());
    }
}

#[test]
fn a_timer_does_not_fire_one_nanosecond_early() {
    let mut wheel = Wheel::new();
    wheel.insert(Time::from_nanos(1_000_001), ());
    wheel.advance(Time::from_nanos(1_000_000), |_, ()| panic!("early"));
    let mut fired = 0;
    wheel.advance(Time::from_nanos(1_000_001), |_, ()| fired += 1);
    assert_eq!(fired, 1);
}

#[test]
fn a_stale_key_does_not_remove_the_entry_that_took_its_place() {
    let mut wheel = Wheel::new();
    let first = wheel.insert(Time::from_secs(1), 1);
    assert_eq!(wheel.remove(first), Some(1));
    let second = wheel.insert(Time::from_secs(1), 2);
    assert_eq!(wheel.remove(first), None);
    assert_eq!(wheel.remove(Key::from_bits(second.to_bits())), Some(2));
}

#[test]
fn clearing_makes_old_keys_stale_and_starts_over_at_zero() {
    let mut wheel = Wheel::new();
    let old = wheel.insert(Time::from_secs(7), 1);
    wheel.advance(Time::from_secs(5), |_, _| {});
    wheel.clear();
    wheel.insert(Time::from_secs(1), 2);
    assert_eq!(wheel.remove(old), None);
    assert_eq!(wheel.next_deadline(), Some(Time::from_secs(1)));
}
