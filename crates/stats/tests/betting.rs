//! Exact properties of the betting test, by dynamic programming over (observations, hits).
//!
//! For 0/1 observations the value depends on the past only through these two counts, so a few
//! thousand states stand for all 2^T streams and no simulation error enters.

use std::collections::BTreeMap;

use asupersync_stats::{BoundedMean, BoundedMeanState, DEFAULT_BETS, Level, StatsError};

fn level() -> Level {
    Level::new(0.05).unwrap()
}

fn after(process: &BoundedMean, x: f64) -> BoundedMean {
    let mut next = process.clone();
    next.observe(x).unwrap();
    next
}

fn rounded(x: f64) -> String {
    format!("{x:.4}")
}

/// The chance of crossing within `horizon` when the rate is `p`, and the mean time of crossing.
fn crossing(p: f64, horizon: u32) -> (f64, f64) {
    let mut live = BTreeMap::from([(0, (1.0, BoundedMean::new(0.05).unwrap()))]);
    let (mut crossed, mut weighted) = (0.0, 0.0);
    for t in 1..=horizon {
        let mut next: BTreeMap<u32, (f64, BoundedMean)> = BTreeMap::new();
        for (hits, (mass, process)) in &live {
            for (x, chance) in [(0, 1.0 - p), (1, p)] {
                let there =
                    next.entry(hits + x).or_insert_with(|| (0.0, after(process, f64::from(x))));
                there.0 += mass * chance;
            }
        }
        next.retain(|_, (mass, process)| {
            let rejected = process.peak().rejects(level());
            if rejected {
                crossed += *mass;
                weighted += *mass * f64::from(t);
            }
            !rejected
        });
        live = next;
    }
    (crossed, weighted / crossed)
}

/// Process values by time and hits, up to `horizon`.
fn table(horizon: usize) -> Vec<Vec<BoundedMean>> {
    let mut rows = vec![vec![BoundedMean::new(0.05).unwrap()]];
    for t in 0..horizon {
        let mut row: Vec<_> = rows[t].iter().map(|process| after(process, 0.0)).collect();
        row.push(after(&rows[t][t], 1.0));
        rows.push(row);
    }
    rows
}

#[test]
fn a_true_null_is_rejected_with_the_exact_probability_0_0323() {
    assert_eq!(rounded(crossing(0.05, 2000).0), "0.0323");
}

#[test]
fn a_null_true_with_room_is_rejected_with_the_exact_probability_0_0025() {
    assert_eq!(rounded(crossing(0.025, 2000).0), "0.0025");
}

#[test]
fn twice_the_null_rate_is_found_within_2000() {
    assert_eq!(rounded(crossing(0.10, 2000).0), "1.0000");
}

#[test]
fn four_times_the_null_rate_is_found_after_30_on_average() {
    let (probability, delay) = crossing(0.20, 2000);
    assert_eq!(rounded(probability), "1.0000");
    assert_eq!(rounded(delay), "29.5238");
}

#[test]
fn the_expected_value_at_the_null_rate_is_one_at_every_time() {
    let (p, mut ln_choose) = (0.05f64, vec![0.0]);
    let mut row = vec![BoundedMean::new(p).unwrap()];
    for t in 1..=2000usize {
        let top = after(&row[t - 1], 1.0);
        for process in &mut row {
            process.observe(0.0).unwrap();
        }
        row.push(top);
        // Pascal's triangle by ratios: C(t, k) = C(t-1, k) t / (t - k).
        for (k, ln) in ln_choose.iter_mut().enumerate() {
            *ln += (t as f64 / (t - k) as f64).ln();
        }
        ln_choose.push(0.0);
        let expectation: f64 = (0..=t)
            .map(|k| {
                let ln_mass = ln_choose[k] + k as f64 * p.ln() + (t - k) as f64 * (-p).ln_1p();
                (ln_mass + row[k].log_e().ln()).exp()
            })
            .sum();
        assert!((expectation - 1.0).abs() < 1e-9, "E[E_{t}] = {expectation}");
    }
}

#[test]
fn no_stopping_rule_makes_the_expected_value_exceed_one() {
    let horizon = 200; // 200 hits in a row are worth 1e242; much longer, and f64 overflows
    let rows = table(horizon);
    let value = |t: usize, k: usize| rows[t][k].log_e().ln().exp();
    for p in [0.05, 0.03] {
        // Backward induction: at each state the better of stopping and going on.
        let mut best: Vec<f64> = (0..=horizon).map(|k| value(horizon, k)).collect();
        for t in (0..horizon).rev() {
            best =
                (0..=t).map(|k| value(t, k).max(p * best[k + 1] + (1.0 - p) * best[k])).collect();
        }
        assert!((best[0] - 1.0).abs() < 1e-9, "rate {p}: {}", best[0]);
    }
}

#[test]
fn an_adversary_choosing_each_rate_from_the_past_cannot_exceed_the_level() {
    let horizon = 600;
    let rows = table(horizon);
    let crossed = |t: usize, k: usize| rows[t][k].log_e().ln() >= 20f64.ln();
    let mut worst: Vec<f64> = (0..=horizon).map(|k| f64::from(crossed(horizon, k))).collect();
    for t in (0..horizon).rev() {
        worst = (0..=t)
            .map(|k| {
                if crossed(t, k) {
                    return 1.0;
                }
                // Linear in the rate, so the extremes of [0, p0] suffice.
                worst[k].max(0.05 * worst[k + 1] + 0.95 * worst[k])
            })
            .collect();
    }
    assert!(worst[0] <= 0.05, "{}", worst[0]);
    assert!(worst[0] > crossing(0.05, 600).0 - 1e-12, "the adversary may also be fair");
}

/// Sebastiano Vigna's SplitMix64, for streams that must repeat.
fn uniform(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
}

#[test]
fn dependent_fractional_streams_stopped_at_will_are_rejected_at_most_at_the_level() {
    let (mut seed, streams, mut rejected) = (7, 4000, 0);
    for _ in 0..streams {
        let mut process = BoundedMean::new(0.05).unwrap();
        for _ in 0..500 {
            // Mean p0 at every step; its shape depends on the wealth: a gambler who is ahead
            // goes for single large hits, one who is behind for many small ones.
            let size = if process.log_e().ln() > 0.0 { 1.0 } else { 0.3 };
            let x = if uniform(&mut seed) < 0.05 / size { size } else { 0.0 };
            process.observe(x).unwrap();
            if process.peak().rejects(level()) {
                rejected += 1;
                break;
            }
        }
    }
    let share = f64::from(rejected) / f64::from(streams);
    assert!(share > 0.005 && share <= 0.05, "{share}");
}

#[test]
fn a_stream_of_zeros_shrinks_the_value_every_time() {
    let mut process = BoundedMean::new(0.05).unwrap();
    let mut last = process.log_e();
    for _ in 0..1000 {
        let now = process.observe(0.0).unwrap();
        assert!(now < last);
        last = now;
    }
    assert_eq!(process.peak().p_value(), 1.0);
}

#[test]
fn a_rejection_stands_after_the_value_has_fallen_again() {
    let mut process = BoundedMean::new(0.05).unwrap();
    for i in 0..300 {
        process.observe(f64::from(i < 3)).unwrap();
    }
    assert!(process.log_e().ln() < 0.0 && process.peak().rejects(level()));
}

#[test]
fn a_resumed_process_continues_bit_for_bit_from_any_point() {
    let mut seed = 1;
    let xs: Vec<f64> = (0..200).map(|_| uniform(&mut seed).powi(3)).collect();
    let mut whole = BoundedMean::new(0.2).unwrap();
    let mut pieces = whole.clone();
    for &x in &xs {
        let now = whole.observe(x).unwrap();
        pieces = BoundedMean::resume(pieces.state().clone()).unwrap();
        assert_eq!(pieces.observe(x).unwrap().ln().to_bits(), now.ln().to_bits());
        assert_eq!(pieces, whole);
    }
}

#[test]
fn a_bet_of_one_over_p0_is_ruined_by_a_zero_and_stays_ruined() {
    let mut process = BoundedMean::with_bets(0.05, &[20.0]).unwrap();
    assert_eq!(process.observe(0.0).unwrap().ln(), f64::NEG_INFINITY);
    assert_eq!(process.observe(1.0).unwrap().ln(), f64::NEG_INFINITY);
    assert!(BoundedMean::resume(process.state().clone()).is_ok());
}

#[test]
fn default_bets_that_could_be_ruined_are_left_out() {
    let bets = |p0| BoundedMean::new(p0).unwrap().state().wealth.len();
    assert_eq!([bets(0.05), bets(1.0 / 16.0), bets(0.5), bets(0.99)], [6, 5, 2, 2]);
    assert_eq!(DEFAULT_BETS.len(), 6);
}

#[test]
fn input_without_meaning_is_refused_and_changes_nothing() {
    for p0 in [0.0, 1.0, -0.1, f64::NAN, f64::INFINITY] {
        assert_eq!(BoundedMean::new(p0).unwrap_err().code(), "stats-null-rate");
    }
    assert_eq!(BoundedMean::with_bets(0.05, &[]), Err(StatsError::NoBets));
    for bet in [0.0, -1.0, 20.1, f64::NAN, f64::INFINITY] {
        let error = BoundedMean::with_bets(0.05, &[1.0, bet]).unwrap_err();
        assert!(matches!(error, StatsError::Bet { index: 1, .. }), "{error}");
    }
    let mut process = BoundedMean::new(0.05).unwrap();
    process.observe(1.0).unwrap();
    let before = process.clone();
    for value in [-1e-9, 1.0 + 1e-9, f64::NAN, f64::INFINITY] {
        let error = process.observe(value).unwrap_err();
        assert!(matches!(error, StatsError::Observation { index: 1, .. }), "{error}");
    }
    assert_eq!(process, before);
}

#[test]
fn a_state_no_stream_leads_to_is_not_resumed() {
    let mut process = BoundedMean::new(0.05).unwrap();
    process.observe(1.0).unwrap();
    let spoil = |change: fn(&mut BoundedMeanState)| {
        let mut state = process.state().clone();
        change(&mut state);
        BoundedMean::resume(state).unwrap_err().code()
    };
    assert_eq!(spoil(|s| s.ln_peak = 0.1), "stats-state");
    assert_eq!(spoil(|s| s.ln_peak = f64::NAN), "stats-state");
    assert_eq!(spoil(|s| s.ln_peak = f64::INFINITY), "stats-state");
    assert_eq!(spoil(|s| s.observations = 0), "stats-state");
    assert_eq!(spoil(|s| s.wealth[0].1 = f64::NAN), "stats-state");
    assert_eq!(spoil(|s| s.wealth[0].1 = f64::INFINITY), "stats-state");
    assert_eq!(spoil(|s| s.wealth[0].0 = 21.0), "stats-bet");
    assert_eq!(spoil(|s| s.p0 = 1.0), "stats-null-rate");
}
