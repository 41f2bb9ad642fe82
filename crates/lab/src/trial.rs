//! One run of a test's body, judged, without the body's types.

use crate::config::LabConfig;
use crate::quiet::{self, Quiet};
use crate::report::{Finding, LabReport};
use crate::runtime::LabRuntime;
use crate::script::{Plan, Script, Seen};
use asupersync_core::{Cx, Outcome, TaskBody, cap};
use asupersync_trace::{EventLog, Fingerprint};
use std::fmt;

/// A run and what came of it.
pub(crate) struct Trial {
    /// In which way it failed, if it did: equal for equal bugs, whatever the numbers in their messages.
    pub(crate) failure: Option<String>,
    /// The report in full.
    pub(crate) text: String,
    /// The most important line of it.
    pub(crate) headline: String,
    pub(crate) choices: Vec<u32>,
    pub(crate) cancel_at: Option<u64>,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) trace: Option<Vec<u8>>,
    /// Polls until the failure showed.
    pub(crate) failed_at: usize,
    pub(crate) steps: u64,
    /// There is more of it than was run.
    pub(crate) is_cut: bool,
    pub(crate) seen: Seen,
}

/// How a trial is to be run.
pub(crate) struct Wanted {
    pub(crate) plan: Plan,
    pub(crate) capture: bool,
    /// Polls after which it is given up, if fewer than the configuration's.
    pub(crate) max_steps: Option<u64>,
    /// Faults that do not happen, by their numbers.
    pub(crate) left_out: Vec<usize>,
}

/// Runs trials.
pub(crate) type Trials<'a> = dyn FnMut(Wanted) -> Trial + 'a;

/// A function that runs trials of `body`.
pub(crate) fn trials<F, T, E>(
    config: &LabConfig,
    seed: u64,
    body: F,
) -> impl FnMut(Wanted) -> Trial + use<F, T, E>
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: fmt::Debug + Send + 'static,
{
    let config = LabConfig { choices: Vec::new(), inject_cancel_at: None, ..config.clone() };
    let max_steps = config.max_steps;
    let script = Script::new();
    let mut lab = LabRuntime::with_strategy(config.clone(), script.clone());
    let mut guided = None;
    move |wanted: Wanted| {
        if let Plan::Guided(guide) = wanted.plan {
            let lab =
                guided.get_or_insert_with(|| LabRuntime::with_strategy(config.clone(), guide));
            lab.set_left_out(&wanted.left_out);
            lab.set_max_steps(wanted.max_steps.unwrap_or(max_steps).min(max_steps));
            let _quiet = Quiet::begin();
            return judge(lab.run_seeded(seed, None, false, body.clone()), Seen::default());
        }
        lab.set_left_out(&wanted.left_out);
        lab.set_max_steps(wanted.max_steps.unwrap_or(max_steps).min(max_steps));
        let cancel_at = match wanted.plan {
            Plan::Exact { cancel_at, .. } => cancel_at,
            Plan::Acts(_) | Plan::Guided(_) => None,
        };
        script.load(wanted.plan);
        let _quiet = Quiet::begin();
        // Where the cancellation comes is the script's business, and the header's.
        let report = lab.run_announced(seed, cancel_at, wanted.capture, body.clone());
        let seen = script.take_seen();
        judge(report, seen)
    }
}

fn judge<T, E: fmt::Debug>(report: LabReport<T, E>, seen: Seen) -> Trial {
    let cancelled = report.cancelled_at.is_some();
    let failed_at = report.failed_at.map_or(seen.schedule.len(), |at| at as usize);
    let limit = |finding: &Finding| matches!(finding, Finding::StepLimit { .. });
    Trial {
        failure: failed(&report, cancelled).then(|| signature(&report, cancelled)),
        text: with_place(&report),
        headline: headline(&report),
        steps: report.steps,
        is_cut: report.time_held_back || report.findings.iter().any(limit),
        cancel_at: report.cancelled_at,
        fingerprint: report.fingerprint,
        failed_at: failed_at.min(seen.schedule.len()),
        choices: report.choices,
        trace: report.trace.map(EventLog::into_bytes),
        seen,
    }
}

/// The report, and where the last panic in it came from, which its payload does not say.
pub(crate) fn with_place<T, E: fmt::Debug>(report: &LabReport<T, E>) -> String {
    let panics = |finding: &Finding| matches!(finding, Finding::Panicked { .. });
    let panicked =
        matches!(report.outcome, Outcome::Panicked(_)) || report.findings.iter().any(panics);
    match quiet::last_panic().filter(|_| panicked) {
        Some(place) => format!("{report}\npanicked at {place}"),
        None => report.to_string(),
    }
}

/// Whether a run fails its test. A cancelled one may end as it likes but for a panic.
pub(crate) fn failed<T, E>(report: &LabReport<T, E>, cancelled: bool) -> bool {
    if cancelled {
        !report.is_sound() || matches!(report.outcome, Outcome::Panicked(_))
    } else {
        !report.is_ok()
    }
}

/// What is wrong with a run, in one line.
pub(crate) fn headline<T, E: fmt::Debug>(report: &LabReport<T, E>) -> String {
    let violation = |deadlock: bool| {
        let broken =
            report.verdicts.iter().filter(|v| v.invariant().explains_deadlock() == deadlock);
        broken
            .flat_map(|verdict| {
                let of =
                    move |v: &crate::Violation| format!("{}: {}", verdict.invariant(), v.message);
                verdict.violations().iter().map(of)
            })
            .next()
    };
    let panic = match &report.outcome {
        Outcome::Panicked(payload) => Some(format!("the body panicked: {}", payload.message())),
        _ => None,
    };
    let finding = || report.findings.first().map(ToString::to_string);
    let outcome = || match &report.outcome {
        Outcome::Err(error) => Some(format!("the body returned the error {error:?}")),
        Outcome::Cancelled(reason) => Some(format!("the body was cancelled: {reason}")),
        _ => None,
    };
    let vacuous = || {
        let blind = report.verdicts.iter().find(|verdict| !verdict.is_ok())?;
        Some(format!("oracle {blind}"))
    };
    let line = panic
        .or_else(|| violation(true))
        .or_else(|| violation(false))
        .or_else(finding)
        .or_else(outcome)
        .or_else(vacuous);
    let line = line.unwrap_or_else(|| "nothing is wrong".to_owned());
    line.lines().next().unwrap_or_default().to_owned()
}

/// The failure without what differs between two runs that fail alike.
fn signature<T, E: fmt::Debug>(report: &LabReport<T, E>, cancelled: bool) -> String {
    use fmt::Write as _;
    let mut text = match &report.outcome {
        Outcome::Panicked(payload) => format!("panicked: {}", payload.message()),
        Outcome::Err(error) if !cancelled => format!("error: {error:?}"),
        Outcome::Cancelled(_) if !cancelled => "cancelled".to_owned(),
        _ => String::new(),
    };
    text = text.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
    while text.contains("##") {
        text = text.replace("##", "#");
    }
    for finding in &report.findings {
        let code = finding.code();
        // A panic that nobody joined shows in the outcome of some runs and here in others.
        let message = match finding {
            Finding::Panicked { message, .. } => message.as_deref().unwrap_or_default(),
            _ => "",
        };
        write!(text, "; {code} {message}").expect("strings take all");
    }
    for verdict in report.verdicts.iter().filter(|verdict| !verdict.is_ok()) {
        write!(text, "; {}", verdict.invariant()).expect("strings take all");
    }
    text
}
