//! Coverage of split conformal sets, by enumeration: under exchangeability each of the `n + 1`
//! points is equally likely to be the new one.

use asupersync_stats::{Calibration, Level, StatsError};

fn calibrate(scores: &[f64], alpha: f64) -> Calibration {
    Calibration::new(scores, Level::new(alpha).unwrap()).unwrap()
}

/// The share of points that conform to a calibration on all the others.
fn coverage(points: &[f64], alpha: f64) -> f64 {
    let covered = (0..points.len()).filter(|&new| {
        let mut others = points.to_vec();
        let score = others.remove(new);
        calibrate(&others, alpha).conforms(score).unwrap()
    });
    covered.count() as f64 / points.len() as f64
}

fn distinct(n: usize) -> Vec<f64> {
    // A fixed shuffle: multiplication by a number prime to 10007.
    (0..n).map(|i| (i * 4099 % 10_007) as f64).collect()
}

#[test]
fn coverage_is_0_9000_with_nine_scores_0_9091_with_ten_and_whole_with_eight() {
    for (n, exact) in [(9, "0.9000"), (10, "0.9091"), (8, "1.0000")] {
        let points = distinct(n + 1);
        assert_eq!(format!("{:.4}", coverage(&points, 0.1)), exact);
        let calibration = calibrate(&points[1..], 0.1);
        assert_eq!(format!("{:.4}", calibration.coverage()), exact);
        assert_eq!(calibration.threshold().is_infinite(), n == 8);
    }
}

#[test]
fn coverage_is_exact_without_ties_for_every_size_and_level() {
    for n in 0..40 {
        for alpha in [0.01, 0.05, 0.1, 0.29, 1.0 / 3.0, 0.5, 0.9, 0.999] {
            let found = coverage(&distinct(n + 1), alpha);
            assert!(found >= 1.0 - alpha - 1e-12, "n={n} alpha={alpha}: {found}");
            assert!(found < 1.0 - alpha + 1.0 / (n as f64 + 1.0) || found == 1.0);
            assert_eq!(found, calibrate(&distinct(n), alpha).coverage());
        }
    }
}

#[test]
fn the_rank_is_the_ceiling_of_exact_arithmetic_for_decimal_levels() {
    for n in 0..=400usize {
        let scores: Vec<f64> = (1..=n).map(|i| i as f64).collect();
        for thousandths in 1..1000 {
            let k = ((n + 1) * (1000 - thousandths)).div_ceil(1000);
            let expected = if k > n { f64::INFINITY } else { k as f64 };
            let found = calibrate(&scores, thousandths as f64 / 1000.0).threshold();
            assert_eq!(found, expected, "n={n} alpha={thousandths}/1000");
        }
    }
}

#[test]
fn a_level_just_below_one_keeps_the_smallest_score() {
    // (n + 1) alpha rounds to n + 1 here.
    assert_eq!(calibrate(&distinct(9), 1.0 - f64::EPSILON / 2.0).threshold(), 0.0);
}

#[test]
fn ties_only_raise_the_coverage() {
    for code in 0..4usize.pow(6) {
        let points: Vec<f64> = (0..6).map(|i| (code / 4usize.pow(i) % 4) as f64).collect();
        for alpha in [0.2, 0.5] {
            assert!(coverage(&points, alpha) >= 1.0 - alpha - 1e-12, "{points:?}");
        }
    }
}

#[test]
fn the_threshold_does_not_depend_on_the_order_of_the_scores() {
    let scores = [4.0, f64::INFINITY, -0.0, 0.0, 2.5, 9.0, f64::NEG_INFINITY];
    let expected = calibrate(&scores, 0.4);
    let mut turned = scores;
    for _ in 0..scores.len() {
        turned.rotate_left(1);
        assert_eq!(calibrate(&turned, 0.4), expected);
        let mut mirrored = turned;
        mirrored.reverse();
        assert_eq!(calibrate(&mirrored, 0.4), expected);
    }
}

#[test]
fn the_prediction_set_is_where_the_conformal_p_value_exceeds_alpha() {
    // The definition of Vovk et al. by p-values, independent of the threshold's formula.
    let scores = distinct(30);
    for thousandths in [35, 100, 333, 700] {
        let alpha = f64::from(thousandths) / 1000.0;
        let set = calibrate(&scores, alpha).prediction_set(0..10_007, |&y| f64::from(y)).unwrap();
        let by_p_value: Vec<i32> = (0..10_007)
            .filter(|&y| {
                let as_strange = scores.iter().filter(|&&s| s >= f64::from(y)).count();
                (as_strange as f64 + 1.0) / 31.0 > alpha
            })
            .collect();
        assert_eq!(set, by_p_value);
    }
}

#[test]
fn an_infinite_threshold_excludes_nothing() {
    let calibration = calibrate(&[1.0, 2.0], 0.1);
    assert!(calibration.conforms(f64::INFINITY).unwrap());
    assert_eq!(calibration.prediction_set([1, 2, 3], |_| f64::MAX).unwrap(), [1, 2, 3]);
    assert_eq!(calibration.interval(5.0).unwrap(), f64::NEG_INFINITY..=f64::INFINITY);
}

#[test]
fn an_interval_reaches_the_threshold_on_both_sides() {
    let residuals: Vec<f64> = (1..=9).map(f64::from).collect();
    assert_eq!(calibrate(&residuals, 0.2).interval(100.0).unwrap(), 92.0..=108.0);
}

#[test]
fn a_score_that_is_no_number_is_named_by_position() {
    let level = Level::new(0.1).unwrap();
    assert_eq!(
        Calibration::new(&[1.0, f64::NAN, f64::NAN], level),
        Err(StatsError::Score { index: 1 })
    );
    let calibration = calibrate(&distinct(20), 0.1);
    assert_eq!(calibration.conforms(f64::NAN), Err(StatsError::Score { index: 0 }));
    let score = |&y: &i32| if y == 2 { f64::NAN } else { 0.0 };
    assert_eq!(calibration.prediction_set(0..5, score), Err(StatsError::Score { index: 2 }));
    assert_eq!(calibration.interval(f64::NAN).unwrap_err().code(), "stats-centre");
    assert_eq!(calibration.interval(f64::INFINITY).unwrap_err().code(), "stats-centre");
}
