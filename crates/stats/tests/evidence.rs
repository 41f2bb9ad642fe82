//! Ledgers: Bayes factors, when they are e-values, the words for their size, and their text.

use asupersync_stats::{Composite, Item, Ledger, LogE, Scale, Simple, StatsError};

fn item(ln_bayes_factor: f64) -> Item {
    Item::new("item", ln_bayes_factor, 0.0, "because").unwrap()
}

fn ledger(items: &[f64]) -> Ledger<Simple> {
    let mut ledger = Ledger::new("leak", "clean").unwrap();
    items.iter().for_each(|&ln| ledger.push(item(ln)).unwrap());
    ledger
}

/// The expected Bayes factor of `n` trials at rate `p`, given the factor for each count of hits.
fn expected(n: u64, p: f64, factor: impl Fn(u64) -> f64) -> f64 {
    let mut mass = (1.0 - p).powi(n as i32);
    let mut sum = 0.0;
    for k in 0..=n {
        sum += mass * factor(k);
        mass *= (n - k) as f64 / (k + 1) as f64 * p / (1.0 - p);
    }
    sum
}

#[test]
fn against_a_simple_null_the_bayes_factor_has_expectation_one() {
    let factor = |k| {
        let mut ledger = Ledger::<Simple>::new("leaks", "rare").unwrap();
        ledger.push(Item::trials("runs", k, 40, 0.2, 0.05, "rate").unwrap()).unwrap();
        assert!(ledger.is_e_value());
        ledger.e_value().ln().exp()
    };
    assert!((expected(40, 0.05, factor) - 1.0).abs() < 1e-12);
}

#[test]
fn against_a_composite_null_it_may_exceed_one_so_it_is_no_e_value() {
    // H0 is "rate 0.01 or 0.05, each with prior 1/2"; the data have rate 0.05, a member of H0.
    let ln = |k: u64, p: f64| k as f64 * p.ln() + (40 - k) as f64 * (1.0 - p).ln();
    let factor = |k| {
        let both = [0.01, 0.05].map(|p| LogE::from_ln(ln(k, p)).unwrap());
        let marginal = LogE::average(&both).unwrap().ln();
        let mut ledger = Ledger::<Composite>::new("leaks", "rate at most 0.05").unwrap();
        ledger.push(Item::new("runs", ln(k, 0.2), marginal, "rate").unwrap()).unwrap();
        assert!(!ledger.is_e_value());
        ledger.bayes_factor().ln().exp()
    };
    assert!(expected(40, 0.05, factor) > 1.5);
}

#[test]
fn log_factors_add_and_bans_are_decimal() {
    let factor = ledger(&[10f64.ln(), 1000f64.ln(), -(100f64.ln())]).bayes_factor();
    assert!((factor.bans() - 2.0).abs() < 1e-12);
    assert_eq!(ledger(&[]).bayes_factor().ln().to_bits(), 0.0f64.to_bits());
}

#[test]
fn each_word_covers_its_published_range_for_and_against() {
    let kass = |twice_ln: f64| Scale::KassRaftery.grade(item(twice_ln / 2.0).bayes_factor());
    let jeffreys =
        |bans: f64| Scale::Jeffreys.grade(item(bans * std::f64::consts::LN_10).bayes_factor());
    const BARE: &str = "not worth more than a bare mention";
    for sign in [1.0, -1.0] {
        assert_eq!(
            [0.0, 2.0, 2.1, 6.0].map(|x| kass(sign * x)),
            [BARE, BARE, "positive", "positive"]
        );
        assert_eq!([6.1, 10.0, 10.1].map(|x| kass(sign * x)), ["strong", "strong", "very strong"]);
        assert_eq!([0.0, 0.49, 0.51].map(|x| jeffreys(sign * x)), [BARE, BARE, "substantial"]);
        assert_eq!(
            [0.99, 1.01, 1.99, 2.01].map(|x| jeffreys(sign * x)),
            ["substantial", "strong", "strong", "decisive"]
        );
    }
    assert_eq!(kass(f64::NEG_INFINITY), "very strong");
}

#[test]
fn impossible_under_the_null_is_infinite_evidence_and_stays_so() {
    let mut ledger = Ledger::<Simple>::new("leak", "never leaks").unwrap();
    ledger.push(Item::trials("runs", 1, 9, 0.1, 0.0, "one is enough").unwrap()).unwrap();
    ledger.push(item(-50.0)).unwrap();
    assert_eq!(ledger.e_value().ln(), f64::INFINITY);
    let text = ledger.to_string();
    assert!(text.contains("total: ln B = +inf, log10 B = +inf, 2 ln B = +inf"), "{text}");

    let before = ledger.clone();
    let refuted = Item::trials("other", 0, 1, 1.0, 0.5, "rules out the leak").unwrap();
    assert_eq!(ledger.push(refuted).unwrap_err().code(), "stats-both-impossible");
    assert_eq!(ledger, before);
}

#[test]
fn a_hit_that_never_came_costs_nothing_even_where_it_was_impossible() {
    let none = Item::trials("runs", 0, 10, 0.5, 0.0, "no hit").unwrap();
    assert!((none.bayes_factor().ln() - 10.0 * 0.5f64.ln()).abs() < 1e-12);
    let nothing = Item::trials("runs", 0, 0, 1.0, 0.0, "no trial").unwrap();
    assert_eq!(nothing.bayes_factor().ln().to_bits(), 0.0f64.to_bits());
}

#[test]
fn a_ledger_reads_as_a_calculation() {
    let mut ledger = Ledger::<Composite>::new("task leak", "clean close").unwrap();
    let push = |l: &mut Ledger<_>, item: Result<Item, _>| l.push(item.unwrap()).unwrap();
    push(&mut ledger, Item::new("live tasks", -0.5, -3.0, "a closed region owns no task"));
    push(&mut ledger, Item::trials("late wakes", 0, 20, 0.2, 0.05, "a leaked task is still woken"));
    let expected = "\
H1 task leak against H0 clean close (composite null: B is not an e-value)
 1. live tasks: +2.5000 nats, +1.0857 bans
    ln P(x|H1) - ln P(x|H0) = -0.5000 - (-3.0000)
    a closed region owns no task
 2. late wakes: -3.4370 nats, -1.4927 bans
    k ln(p1/p0) + (n-k) ln((1-p1)/(1-p0)), k=0, n=20, p1=0.2, p0=0.05
    a leaked task is still woken
total: ln B = -0.9370, log10 B = -0.4069, 2 ln B = -1.8740
for clean close: not worth more than a bare mention (Kass & Raftery), not worth more than a bare mention (Jeffreys)
";
    assert_eq!(ledger.to_string(), expected);
    assert!(self::ledger(&[]).to_string().ends_with("2 ln B = +0.0000\nfor neither\n"));
}

#[test]
fn input_without_meaning_is_refused() {
    let code = |item: Result<Item, StatsError>| item.unwrap_err().code();
    for ln in [f64::NAN, f64::INFINITY] {
        assert_eq!(code(Item::new("a", ln, 0.0, "b")), "stats-log-likelihood");
        assert_eq!(code(Item::new("a", 0.0, ln, "b")), "stats-log-likelihood");
    }
    let never = f64::NEG_INFINITY;
    assert_eq!(code(Item::new("a", never, never, "b")), "stats-both-impossible");
    assert_eq!(code(Item::trials("a", 3, 2, 0.1, 0.2, "b")), "stats-counts");
    for p in [-0.1, 1.1, f64::NAN] {
        assert_eq!(code(Item::trials("a", 1, 2, p, 0.2, "b")), "stats-probability");
        assert_eq!(code(Item::trials("a", 1, 2, 0.2, p, "b")), "stats-probability");
    }
    for text in ["", "  ", "two\nlines", "bell\u{7}", "two\u{2028}lines"] {
        assert_eq!(code(Item::new(text, 0.0, 0.0, "b")), "stats-text");
        assert_eq!(code(Item::new("a", 0.0, 0.0, text)), "stats-text");
        assert_eq!(Ledger::<Simple>::new(text, "b").unwrap_err().code(), "stats-text");
    }
}
