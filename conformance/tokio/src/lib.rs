//! The conformance cases on Tokio: a thin interpreter of programs by what Tokio and tokio-util offer for structure.
//!
//! A region is a [`TaskTracker`] and a [`CancellationToken`]: it waits for its tasks, and each of their waits is a
//! `select!` with the token. A failing or panicking child cancels its region's token, where the program wants that.
//! What neither of them has (finalizers, obligations, quotas, cleanup time, services, soft cancellation) this
//! adapter does not build: such a program is answered by [`NO_COUNTERPART`], and the table says so.
//!
//! What this crate does not know: our own runtime. Nothing but the table of `cargo xtask conformance --peer tokio`
//! is made with it.
//!
//! # Limitations
//! Thin means that the adapter keeps no books of its own: where an idiom of Tokio's loses something, it is lost here.

#![forbid(unsafe_code)]
#![expect(
    clippy::disallowed_methods,
    reason = "this is the other runtime, with its own clock and threads"
)]

mod interpreter;

use asupersync_conformance::log::{End, Log};
use asupersync_conformance::program::{Body, Limits, Program, Step};
use asupersync_conformance::{Run, Runtime};
use interpreter::{Stop, World};
use std::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How an answer begins that says what Tokio has nothing for.
pub const NO_COUNTERPART: &str = "no counterpart: ";

/// Tokio with four workers.
#[derive(Debug)]
pub struct Tokio {
    /// Whether the cases may ask what a cancellation was for. A token does not know; the adapter then says `Parent`.
    pub asked_for_reasons: bool,
}

impl Runtime for Tokio {
    fn name(&self) -> &str {
        "tokio"
    }

    fn knows_reasons(&self) -> bool {
        self.asked_for_reasons
    }

    fn run(&self, program: &Program, _: u64, log: &Log) -> Result<Run, String> {
        if let Some(what) = missing_in(&program.main) {
            return Err(format!("{NO_COUNTERPART}{what}"));
        }
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(4)
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let (world, start) = (World::new(log), Instant::now());
        let end = runtime.block_on(async {
            let (tracker, token) = (TaskTracker::new(), CancellationToken::new());
            let end = interpreter::main(&world, program, &tracker, &token).await;
            tracker.close();
            tracker.wait().await;
            end
        });
        let end = match end {
            Ok(()) => End::Ok,
            Err(stop) => Stop::end(stop),
        };
        Ok(Run { end, took: start.elapsed() })
    }
}

/// What the program needs that there is nothing for.
fn missing_in(body: &Body) -> Option<&'static str> {
    body.iter().find_map(missing)
}

fn missing(step: &Step) -> Option<&'static str> {
    let limits = |limits: &Limits| match limits {
        Limits { polls: Some(_), .. } => Some("poll quotas"),
        Limits { cost: Some(_), .. } => Some("cost quotas"),
        _ => None,
    };
    match step {
        Step::Lock(_, body)
        | Step::Masked(body)
        | Step::Times(_, body)
        | Step::Forever(body)
        | Step::Timeout(_, body)
        | Step::SendParcel(_, body)
        | Step::Abandon(body, _) => missing_in(body),
        Step::OnCancel(body, cleanup) => missing_in(body).or_else(|| missing_in(cleanup)),
        Step::SpawnReady(_, before, after) => missing_in(before).or_else(|| missing_in(after)),
        Step::Race(bodies) => bodies.iter().find_map(missing_in),
        Step::Spawn(task) => limits(&task.limits).or_else(|| missing_in(&task.body)),
        Step::Limited(_, tasks) | Step::Group(tasks) => {
            tasks.iter().find_map(|task| missing_in(&task.body))
        }
        Step::Region(region) => limits(&region.limits).or_else(|| missing_in(&region.body)),
        Step::Cancel(_, request) | Step::CancelRegion(request) => {
            request.cleanup.map(|_| "a time for cleanup, and who exceeds it")
        }
        Step::Service(_) => Some("services, cancelled last"),
        Step::AskToFinish(_) | Step::UntilAsked => Some("a wish to finish before the cancellation"),
        Step::Narrowed => Some("capabilities"),
        Step::Defer(_) => Some("finalizers"),
        Step::Charge(_) => Some("cost quotas"),
        Step::BreakPromise | Step::ForgetPromise | Step::Permit(..) | Step::Duty(..) => {
            Some("a ledger of obligations")
        }
        _ => None,
    }
}
