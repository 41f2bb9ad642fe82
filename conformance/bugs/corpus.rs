//! What is demanded of every bug.

use asupersync::lab::{
    Exploration, ExploreOptions, Invariant, LabConfig, LabRuntime, Pct, Pos, Random, Strategy,
    TopologyGuided, explore,
};
use asupersync_core::{Cx, Error, TaskBody, cap};
use asupersync_trace::{Event, Limits, Pack, Trace};
use std::process::Command;

/// The environment in which `explore` replays, and this harness only prints what that came to.
const REPLAY: &str = "ASUPERSYNC_LAB_REPLAY";

/// Set by `cargo xtask bench explore`: how many runs each strategy needs, and no demands.
const MEASURE: &str = "ASUPERSYNC_RUNS_TO_BUG";
/// How often each strategy starts anew, and runs after which it gives up.
const TRIALS: u64 = 200;
const MOST_RUNS: u64 = 2_000;

/// A bug: where the fresh process finds it, and how it is to be found.
pub(crate) struct Bug {
    /// The test's name, with its module.
    pub(crate) test: &'static str,
    /// Whose business it is.
    pub(crate) oracle: Invariant,
    /// Words that the report must have, beside the oracle's name.
    pub(crate) words: &'static [&'static str],
    /// Its options.
    pub(crate) config: LabConfig,
}

impl Bug {
    pub(crate) fn new(test: &'static str, oracle: Invariant) -> Bug {
        let (_, test) = test.split_once("::").expect("a path has its crate first");
        Bug { test, oracle, words: &[], config: LabConfig::default() }
    }

    fn options(&self) -> ExploreOptions {
        ExploreOptions::default().config(self.config.clone()).max_runs(100_000)
    }

    /// Demands that the defect is found, and the fixed twin is free of it.
    pub(crate) fn check<F, G>(self, defect: F, fixed: G)
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
        F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
        G: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
        G: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
    {
        if std::env::var_os(MEASURE).is_some() {
            return self.measure(defect);
        }
        let found = explore(self.options(), defect.clone());
        let failure = found.failure.as_ref();
        let failure = failure.unwrap_or_else(|| panic!("{}: not found: {found}", self.test));
        if std::env::var_os(REPLAY).is_some() {
            println!("{failure}");
            return;
        }
        let story = &failure.story;
        let name = format!("oracle {} (", self.oracle);
        for words in self.words.iter().chain(&[
            name.as_str(),
            "the smallest schedule found: ",
            "no single choice can be left out",
            "the order that matters: ",
        ]) {
            assert!(story.contains(words), "{words:?} is missing in:\n{story}");
        }
        let all = self.options().stop_at_first_failure(false).shrink(false);
        let all = explore(all, defect);
        assert!(all.exhausted, "{}: {all}", self.test);
        let classes = all.classes.len() as u64;
        let runs = found.runs + found.blocked;
        assert!(runs <= 10 * classes, "{}: {runs} runs for {classes} classes", self.test);

        self.replays(failure.file.as_ref().expect("the pack was written"));
        let twin: Exploration = explore(self.options(), fixed);
        assert!(twin.failure.is_none() && twin.exhausted, "{}, fixed: {twin}", self.test);
        println!(
            "{}: found in run {runs} of {classes} classes ({} fail); fixed: {} classes",
            self.test,
            all.failures,
            twin.classes.len()
        );
    }

    /// Prints how many runs each strategy needs on average until one fails.
    fn measure<F>(&self, defect: F)
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
        F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
    {
        let classes = explore(self.options().stop_at_first_failure(false), defect.clone());
        let first = explore(self.options().shrink(false), defect.clone());
        let steps = classes.steps / classes.runs.max(1);
        let mean = |make: &dyn Fn() -> Box<dyn Strategy>| -> f64 {
            let runs = (0..TRIALS).map(|trial| {
                let mut lab = LabRuntime::with_strategy(self.config.clone(), make());
                let failed = (1..=MOST_RUNS).find(|run| {
                    lab.set_seed(trial * MOST_RUNS + run);
                    !lab.run(defect.clone()).is_ok()
                });
                failed.unwrap_or(MOST_RUNS)
            });
            runs.sum::<u64>() as f64 / TRIALS as f64
        };
        println!(
            "runs to {:<40} {:>7.2} {:>7.2} {:>7.2} {:>7.2} {:>7} {:>7}",
            self.test,
            mean(&|| Box::new(Random::default())),
            mean(&|| Box::new(Pct::new(2, steps))),
            mean(&|| Box::new(Pos::default())),
            mean(&|| Box::new(TopologyGuided::default())),
            first.runs,
            classes.classes.len(),
        );
    }

    /// The pack shows the same failure in a process of its own.
    fn replays(&self, pack: &std::path::Path) {
        let bytes = std::fs::read(pack).expect("the pack is there");
        let parsed = Pack::parse(&bytes, &Limits::default()).expect("it is a pack");
        let trace = Trace::parse(&parsed.trace, &Limits::default()).expect("with a trace");
        let polls = trace.events().iter().filter(|event| matches!(event, Event::PollBegin { .. }));
        let bare = Pack { choices: Vec::new(), ..parsed.clone() };
        let spent = bytes.len() - bare.to_bytes().len();
        assert!(spent <= polls.count(), "{}: {spent} bytes of choices", self.test);
        let exe = std::env::current_exe().expect("the test has a file");
        let output = Command::new(exe)
            .args([self.test, "--exact", "--nocapture"])
            .env(REPLAY, pack)
            .output()
            .expect("the test runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        for words in ["the replay failed as recorded", &format!("oracle {} (", self.oracle)] {
            assert!(text.contains(words), "{words:?} is missing in:\n{text}{errors}");
        }
        assert!(!text.contains("it went another way"), "{text}");
        self.is_smallest(pack, &parsed);
    }

    /// Shrunk anew, from every choice of what was left, nothing more can be left out.
    fn is_smallest(&self, pack: &std::path::Path, parsed: &Pack) {
        let again = pack.with_extension("again.pack");
        let output = Command::new(std::env::current_exe().expect("the test has a file"))
            .args([self.test, "--exact", "--nocapture"])
            .env(REPLAY, pack)
            .env("ASUPERSYNC_LAB_SHRINK", &again)
            .output()
            .expect("the test runs");
        let text = String::from_utf8_lossy(&output.stdout);
        let bytes = std::fs::read(&again).unwrap_or_else(|error| panic!("{error}: {text}"));
        let again = Pack::parse(&bytes, &Limits::default()).expect("it is a pack");
        let size = |pack: &Pack| {
            let (_, smallest) = pack.shrunk.split_once("smallest: ").expect("it was shrunk");
            smallest.split(';').next().map(str::to_owned)
        };
        assert_eq!(size(&again), size(parsed), "{}: {}", self.test, again.shrunk);
    }
}

/// A test of a bug whose story is `async fn story(cx: &Cx, defect: bool) -> Result<(), Error>`.
macro_rules! bug {
    ($name:ident, $oracle:ident $(, $field:ident: $value:expr)* $(,)?) => {
        #[test]
        fn $name() {
            let path = concat!(module_path!(), "::", stringify!($name));
            #[allow(unused_mut, reason = "some bugs need no options")]
            let mut bug = $crate::corpus::Bug::new(path, asupersync::lab::Invariant::$oracle);
            $( bug.$field = $value; )*
            bug.check(
                async |cx: &Cx| story(cx, true).await,
                async |cx: &Cx| story(cx, false).await,
            );
        }
    };
}
pub(crate) use bug;
