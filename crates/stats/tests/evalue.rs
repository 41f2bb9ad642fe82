//! Combination of e-values, exact over all 0/1 streams of a short length.

use std::num::NonZeroUsize;

use asupersync_stats::{BoundedMean, Level, LogE, Peak, StatsError};

const P0: f64 = 0.2;

/// Each 0/1 stream of length 6 with its probability at rate `P0` and the values along it.
fn streams() -> Vec<(f64, Vec<LogE>)> {
    let stream = |bits: u32| {
        let (mut mass, mut process) = (1.0, BoundedMean::new(P0).unwrap());
        let values = (0..6).map(|i| {
            let hit = bits >> i & 1 == 1;
            mass *= if hit { P0 } else { 1.0 - P0 };
            process.observe(f64::from(hit)).unwrap()
        });
        let values = values.collect();
        (mass, values)
    };
    (0..64).map(stream).collect()
}

fn expectation(combine: impl Fn(&[LogE], &[LogE]) -> LogE, identical: bool) -> f64 {
    let all = streams();
    let mut sum = 0.0;
    for (i, (p, a)) in all.iter().enumerate() {
        for (j, (q, b)) in all.iter().enumerate() {
            let mass = match identical {
                true if i == j => *p,
                true => 0.0,
                false => p * q,
            };
            sum += mass * combine(a, b).ln().exp();
        }
    }
    sum
}

#[test]
fn the_average_has_expectation_one_for_independent_and_for_identical_streams() {
    let average = |a: &[LogE], b: &[LogE]| LogE::average(&[a[5], b[2]]).unwrap();
    for identical in [false, true] {
        let mean = expectation(average, identical);
        assert!((mean - 1.0).abs() < 1e-12, "{mean}");
    }
}

#[test]
fn the_product_has_expectation_one_for_independent_streams_only() {
    let product = |a: &[LogE], b: &[LogE]| LogE::product(&[a[5], b[5]]);
    assert!((expectation(product, false) - 1.0).abs() < 1e-12);
    assert!(expectation(product, true) > 1.5);
}

#[test]
fn the_peak_is_not_an_e_value() {
    let peak = |a: &[LogE], _: &[LogE]| {
        let mut peak = Peak::new();
        a.iter().for_each(|&now| peak.observe(now));
        peak.log_e()
    };
    assert!(expectation(peak, true) > 1.2);
}

#[test]
fn the_anytime_p_value_is_at_most_u_with_probability_at_most_u() {
    let all = streams();
    let p_value = |values: &[LogE]| {
        let mut peak = Peak::new();
        values.iter().for_each(|&now| peak.observe(now));
        peak.p_value()
    };
    for (_, values) in &all {
        let u = p_value(values);
        let below: f64 = all.iter().filter(|(_, v)| p_value(v) <= u).map(|(p, _)| p).sum();
        assert!(below <= u + 1e-12, "P(p <= {u}) = {below}");
    }
}

#[test]
fn a_split_level_multiplies_the_threshold() {
    let peak_at = |e: f64| {
        let mut peak = Peak::new();
        peak.observe(LogE::from_ln(e.ln()).unwrap());
        peak
    };
    let alpha = Level::new(0.05).unwrap();
    let fifth = alpha.split(NonZeroUsize::new(5).unwrap());
    assert!(peak_at(20.001).rejects(alpha) && !peak_at(19.999).rejects(alpha));
    assert!(peak_at(100.001).rejects(fifth) && !peak_at(99.999).rejects(fifth));
    assert!(Level::new(f64::MIN_POSITIVE).unwrap().split(NonZeroUsize::MAX).alpha() > 0.0);
    let least = Level::new(1e-310).unwrap();
    assert!(least.split(NonZeroUsize::MIN.saturating_add(1)).alpha() < least.alpha());
}

#[test]
fn extreme_values_combine_without_overflow_or_nan() {
    let e = |ln| LogE::from_ln(ln).unwrap();
    let (zero, infinity) = (e(f64::NEG_INFINITY), e(f64::INFINITY));
    assert_eq!(LogE::average(&[e(5000.0), zero]).unwrap().ln(), 5000.0 - 2f64.ln());
    assert_eq!(LogE::average(&[zero, zero]).unwrap(), zero);
    assert_eq!(LogE::average(&[zero, infinity]).unwrap(), infinity);
    assert_eq!(LogE::product(&[infinity, zero]), zero);
    assert_eq!(LogE::product(&[e(5000.0), e(-4000.0)]).ln(), 1000.0);
    assert_eq!(LogE::product(&[]).ln(), 0.0);
    assert_eq!(LogE::average(&[]), Err(StatsError::NoEValues));
    assert_eq!(LogE::from_ln(f64::NAN), Err(StatsError::LogE));
}

#[test]
fn a_level_is_strictly_between_zero_and_one() {
    for alpha in [0.0, 1.0, -0.5, 2.0, f64::NAN, f64::INFINITY] {
        assert_eq!(Level::new(alpha).unwrap_err().code(), "stats-level");
    }
}
