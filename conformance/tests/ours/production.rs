//! The production host, in its two flavours, as a runtime under test.

use crate::interpreter::{self, World};
use asupersync::prelude::*;
use asupersync::runtime::RuntimeBuilder;
use asupersync::{ErrorKind, RegionOptions};
use asupersync_conformance::log::Log;
use asupersync_conformance::program::Program;
use asupersync_conformance::{Run, Runtime};
use std::sync::Arc;
use std::time::Duration;

/// Four workers.
#[allow(dead_code, reason = "each test file uses one of the flavours")]
pub(crate) fn multi_thread() -> Arc<dyn Runtime> {
    let builder = || RuntimeBuilder::multi_thread().worker_threads(4);
    Arc::new(Production { name: "production", builder })
}

/// No thread but the caller's.
#[allow(dead_code, reason = "each test file uses one of the flavours")]
pub(crate) fn current_thread() -> Arc<dyn Runtime> {
    Arc::new(Production { name: "current_thread", builder: RuntimeBuilder::current_thread })
}

struct Production {
    name: &'static str,
    builder: fn() -> RuntimeBuilder,
}

impl Runtime for Production {
    fn name(&self) -> &str {
        self.name
    }

    // The schedule is the machine's, so a few tries are worth more than one.
    fn seeds(&self) -> u64 {
        3
    }

    fn run(&self, program: &Program, _: u64, log: &Log) -> Result<Run, String> {
        let (world, program) = (Arc::new(World::new(log, nested_run_is_refused)), program.clone());
        let runtime = (self.builder)().build().map_err(|error| error.to_string())?;
        let body = async move |cx: &Cx| interpreter::main(cx, &world, &program).await;
        let (outcome, _) = runtime
            .block_on_reported(RegionOptions::new().name("main"), body)
            .map_err(|error| error.to_string())?;
        let took = match &outcome {
            Outcome::Ok(took) => *took,
            _ => Duration::ZERO,
        };
        Ok(Run { end: interpreter::end(outcome), took })
    }
}

fn nested_run_is_refused() -> bool {
    let inner = RuntimeBuilder::current_thread().build().expect("a second runtime can be built");
    let outcome = inner.block_on(async |_: &Cx| Ok::<_, Error>(()));
    matches!(outcome, Outcome::Err(error) if error.kind() == ErrorKind::NestedBlockOn)
}
