//! Runs in a random order: many tasks that yield once, and what it costs to watch them.

use asupersync_lab::{LabConfig, LabRuntime};

use super::{SHUTTLE, floor, seconds, unhooked};
use crate::programs::yields;
use crate::runner::{Better, Runner, Side};

pub(super) fn run(runner: &mut Runner) {
    for (tasks, bench, least) in [(10, "random_10", 150_000.0), (100, "random_100", 20_000.0)] {
        let runs = if runner.quick() { 5_000 } else { 50_000 } / tasks;
        let lab = LabRuntime::new(LabConfig::default());
        let bare = LabRuntime::new(LabConfig::default().observe(false));
        let sides = vec![
            Side::new("", || rate(&lab, tasks, runs)),
            floor(least),
            Side::new(SHUTTLE, move || shuttle_rate(tasks, runs)),
            Side::new("unobserved", || rate(&bare, tasks, runs)),
        ];
        runner.compare(bench, "runs/s", Better::Higher, sides);
    }
    let runs = if runner.quick() { 500 } else { 5_000 };
    let all = LabRuntime::new(LabConfig::default().capture_trace(true));
    let oracles = LabRuntime::new(LabConfig::default().fingerprint(false));
    let nothing = LabRuntime::new(LabConfig::default().observe(false));
    // Trace and fingerprint, for who has the oracles; and all three.
    let cost = |less: &LabRuntime| rate(less, 10, runs) / rate(&all, 10, runs);
    let sides = vec![Side::new("", || cost(&oracles)), floor(1.5)];
    runner.compare("trace_and_fingerprint_cost_random_10", "times", Better::Lower, sides);
    let sides = vec![Side::new("", || cost(&nothing))];
    runner.compare("observation_cost_random_10", "times", Better::Lower, sides);
}

fn rate(lab: &LabRuntime, tasks: usize, runs: usize) -> f64 {
    let time = seconds(|| {
        for _ in 0..runs {
            yields(lab, tasks);
        }
    });
    runs as f64 / time
}

fn shuttle_rate(tasks: usize, runs: usize) -> f64 {
    use shuttle::future;
    let time = seconds(|| {
        let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(0, runs);
        let body = move || {
            future::block_on(async move {
                let tasks: Vec<_> =
                    (0..tasks).map(|_| future::spawn(future::yield_now())).collect();
                for task in tasks {
                    task.await.expect("no panic");
                }
            });
        };
        let runner = shuttle::Runner::new(scheduler, shuttle::Config::default());
        assert_eq!(unhooked(|| runner.run(body)), runs);
    });
    runs as f64 / time
}
