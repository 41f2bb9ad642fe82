//! The lab as a runtime under test.

use crate::interpreter::{self, World};
use asupersync::lab::{Finding, Invariant, LabConfig, LabRuntime};
use asupersync::prelude::*;
use asupersync_conformance::log::Log;
use asupersync_conformance::program::Program;
use asupersync_conformance::{Run, Runtime};
use std::sync::Arc;
use std::time::Duration;

/// The lab, to be tried under so many seeds.
pub(crate) fn seeded(seeds: u64) -> Arc<dyn Runtime> {
    Arc::new(Lab { seeds })
}

struct Lab {
    seeds: u64,
}

impl Runtime for Lab {
    fn name(&self) -> &str {
        "lab"
    }

    fn seeds(&self) -> u64 {
        self.seeds
    }

    fn is_repeatable(&self) -> bool {
        true
    }

    fn run(&self, program: &Program, seed: u64, log: &Log) -> Result<Run, String> {
        let (world, program) = (Arc::new(World::new(log, nested_run_is_refused)), program.clone());
        let lab = LabRuntime::new(LabConfig::default().seed(seed).max_steps(200_000));
        let report = lab.run(async move |cx: &Cx| interpreter::main(cx, &world, &program).await);
        // A case may break a promise on purpose; no case may break anything else.
        let oracles = report.verdicts.iter();
        let mut broken = oracles
            .filter(|verdict| verdict.invariant() != Invariant::Obligations && !verdict.is_ok());
        if !report.findings.is_empty() || broken.next().is_some() {
            return Err(format!("the lab has no finding: {report}"));
        }
        let took = Duration::from_nanos(report.virtual_time.as_nanos());
        Ok(Run { end: interpreter::end(report.outcome), took })
    }
}

fn nested_run_is_refused() -> bool {
    let inner = LabRuntime::new(LabConfig::default());
    let report = inner.run(async |_: &Cx| Ok::<_, Error>(()));
    matches!(report.findings[..], [Finding::Nested])
}
