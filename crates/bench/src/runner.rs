//! Interleaved rounds, medians and spread.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

/// Rounds of each comparison; fewer say nothing about the spread.
const ROUNDS: usize = 11;
/// Rounds under `--quick`, and the least ever run.
const QUICK_ROUNDS: usize = 7;

/// Runs of a side in a round, of which the best counts: a machine shared with others interrupts now
/// and then, and all sides are to be spared alike.
const BEST_OF: usize = 3;

/// Which way is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Times and sizes.
    Lower,
}

/// One contender: a name, and a function that does the work once and gives the figure.
pub struct Side<'a> {
    name: &'static str,
    run: Box<dyn FnMut() -> f64 + 'a>,
}

impl<'a> Side<'a> {
    /// A contender whose `run` gives the figure in the unit of the comparison.
    pub fn new(name: &'static str, run: impl FnMut() -> f64 + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }
}

/// One line of the report.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The workload's plain name.
    pub bench: String,
    /// Our median.
    pub ours: f64,
    /// The contender beside us.
    pub peer: &'static str,
    /// Its median.
    pub theirs: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// Above one means ours is better.
    pub ratio: f64,
    /// Interquartile range of the rounds' own ratios, as a share of `ratio`.
    pub spread: f64,
}

/// Collects the rows of a group.
pub struct Runner {
    group: &'static str,
    quick: bool,
    only: String,
    rows: Vec<Row>,
}

impl Runner {
    /// A runner for `group`; `only` restricts it to workloads whose name contains the text.
    #[must_use]
    pub fn new(group: &'static str, quick: bool, only: String) -> Self {
        Self { group, quick, only, rows: Vec::new() }
    }

    /// Whether to measure less, for a check that the group still runs.
    #[must_use]
    pub const fn quick(&self) -> bool {
        self.quick
    }

    /// Whether a workload of this name is asked for.
    #[must_use]
    pub fn wants(&self, bench: &str) -> bool {
        bench.contains(&self.only)
    }

    /// Runs all sides once as a warm-up, then in turn for each round, three times each. The first side is ours; there
    /// is a row for each other one.
    pub fn compare(
        &mut self,
        bench: &str,
        unit: &'static str,
        better: Better,
        mut sides: Vec<Side<'_>>,
    ) {
        if !self.wants(bench) {
            return;
        }
        for side in &mut sides {
            (side.run)();
        }
        let rounds = if self.quick { QUICK_ROUNDS } else { ROUNDS };
        self.measure(bench, unit, better, rounds, sides);
    }

    /// Runs each side once and unwarmed: for figures that take long and are bounds rather than
    /// speeds. Their spread is not known, and shows as zero.
    pub fn compare_once(
        &mut self,
        bench: &str,
        unit: &'static str,
        better: Better,
        sides: Vec<Side<'_>>,
    ) {
        if self.wants(bench) {
            self.measure(bench, unit, better, 1, sides);
        }
    }

    fn measure(
        &mut self,
        bench: &str,
        unit: &'static str,
        better: Better,
        rounds: usize,
        mut sides: Vec<Side<'_>>,
    ) {
        let mut figures = vec![Vec::with_capacity(rounds); sides.len()];
        for _ in 0..rounds {
            for (side, figures) in sides.iter_mut().zip(&mut figures) {
                let runs = (0..BEST_OF).map(|_| (side.run)());
                figures.extend(
                    runs.reduce(|a, b| if better == Better::Higher { a.max(b) } else { a.min(b) }),
                );
            }
        }
        let ours = quartiles(&figures[0])[1];
        for (side, theirs) in sides.iter().zip(&figures).skip(1) {
            let ratio = |ours: f64, theirs: f64| match better {
                Better::Higher => ours / theirs,
                Better::Lower => theirs / ours,
            };
            let each: Vec<f64> =
                figures[0].iter().zip(theirs).map(|(&a, &b)| ratio(a, b)).collect();
            let [low, _, high] = quartiles(&each);
            let theirs = quartiles(theirs)[1];
            let ratio = ratio(ours, theirs);
            let spread = (high - low) / ratio;
            let bench = bench.to_owned();
            self.push(Row { bench, ours, peer: side.name, theirs, unit, ratio, spread });
        }
    }

    /// Adds a row worked out from others, for example one size against another.
    pub fn push(&mut self, row: Row) {
        if self.rows.is_empty() {
            println!(
                "{:<34} {:>12} {:<12} {:>12} {:<8} {:>8} {:>8}",
                "bench", "ours", "peer", "theirs", "unit", "ratio", "spread"
            );
        }
        println!(
            "{:<34} {:>12.2} {:<12} {:>12.2} {:<8} {:>8.3} {:>7.1}%",
            row.bench,
            row.ours,
            row.peer,
            row.theirs,
            row.unit,
            row.ratio,
            100.0 * row.spread
        );
        self.rows.push(row);
    }

    /// The rows so far.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Writes `bench/GROUP.json` under the build directory and gives its path.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn finish(self) -> std::io::Result<PathBuf> {
        let target = std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
        let directory = PathBuf::from(target).join("bench");
        std::fs::create_dir_all(&directory)?;
        let path = directory.join(format!("{}.json", self.group));
        std::fs::write(&path, serde_json::to_vec_pretty(&self.rows)?)?;
        Ok(path)
    }
}

/// How long `work` took; its result is kept from being optimised away.
pub fn time<T>(work: impl FnOnce() -> T) -> (Duration, T) {
    let start = Instant::now();
    let result = std::hint::black_box(work());
    (start.elapsed(), result)
}

/// MiB per second.
#[must_use]
pub fn mib_per_second(bytes: usize, time: Duration) -> f64 {
    bytes as f64 / f64::from(1 << 20) / time.as_secs_f64()
}

fn quartiles(figures: &[f64]) -> [f64; 3] {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    [1, 2, 3].map(|quarter| sorted[(sorted.len() - 1) * quarter / 4])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_above_one_means_ours_is_better_whichever_way_the_unit_goes() {
        let mut runner = Runner::new("test", true, String::new());
        let sides = |a: f64, b: f64| vec![Side::new("", move || a), Side::new("peer", move || b)];
        runner.compare("rate", "MiB/s", Better::Higher, sides(6.0, 3.0));
        runner.compare("time", "ns", Better::Lower, sides(3.0, 6.0));
        assert!(runner.rows().iter().all(|row| row.ratio == 2.0 && row.spread == 0.0));
    }

    #[test]
    fn rounds_alternate_between_the_sides() {
        let order = std::cell::RefCell::new(Vec::new());
        let side = |id: u8| {
            let order = &order;
            Side::new("", move || {
                order.borrow_mut().push(id);
                1.0
            })
        };
        let mut runner = Runner::new("test", true, String::new());
        runner.compare("order", "x", Better::Higher, vec![side(0), side(1)]);
        let order = order.into_inner();
        assert_eq!(order[..2], [0, 1]);
        let rounds: Vec<&[u8]> = order[2..].chunks(2 * BEST_OF).collect();
        assert!(rounds.len() >= QUICK_ROUNDS);
        let (first, second) = ([0; BEST_OF], [1; BEST_OF]);
        assert!(rounds.iter().all(|round| *round == [first, second].concat()));
    }
}
