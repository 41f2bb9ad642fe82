//! Random programs, one after the other, until the kernel and the model differ.

use crate::compare::{Lab, Tally};
use asupersync_conformance::manifest::{Manifest, Subject};
use asupersync_conformance::model::generate::{Random, Shape, program, shrink};
use asupersync_conformance::program::Body;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Of what size the programs are.
pub(crate) const SHAPE: Shape = Shape { steps: 30, timed: true };

/// Programs panic on purpose, and often: those messages are nobody's business.
pub(crate) fn hush() {
    std::panic::set_hook(Box::new(|info| {
        if info.payload().downcast_ref::<&str>() != Some(&"panicked") {
            eprintln!("{info}");
        }
    }));
}

/// Where the kernel and the model differ.
pub(crate) struct Difference {
    /// The program's number in the campaign.
    pub(crate) number: u64,
    /// What the program and its schedule are made from.
    pub(crate) seed: u64,
    pub(crate) main: Body,
    pub(crate) why: String,
}

/// Runs so many programs, or until one differs.
#[allow(dead_code, reason = "one of the test files runs one program only")]
pub(crate) fn campaign(seed: u64, count: u64) -> Result<Tally, Difference> {
    hush();
    let mut tally = Tally::default();
    let lab = Lab::new(seed);
    for number in 0..count {
        match one(&lab, seed.wrapping_add(number)) {
            Ok(one) => tally.add(&one),
            Err(difference) => return Err(Difference { number, ..difference }),
        }
    }
    Ok(tally)
}

/// Runs one program: this and its schedule follow from the seed, whatever ran before.
pub(crate) fn one(lab: &Lab, seed: u64) -> Result<Tally, Difference> {
    let main = program(&mut Random::new(seed), SHAPE);
    // Of two streams, so that the choices do not repeat the numbers that made the program.
    lab.restart(Random::new(!seed).number());
    judge(lab, &main).map_err(|why| Difference { number: 0, seed, main, why })
}

fn judge(lab: &Lab, main: &Body) -> Result<Tally, String> {
    catch_unwind(AssertUnwindSafe(|| lab.compare(main)))
        .unwrap_or_else(|_| Err("the lab or the model panicked".to_owned()))
}

impl Difference {
    /// The smallest program that differs under some schedule, and how.
    #[allow(dead_code, reason = "the mutants' table needs no program")]
    pub(crate) fn report(&self) -> String {
        let differs = |body: &Body| (0..30).find_map(|seed| judge(&Lab::new(seed), body).err());
        let small = shrink(&self.main, |body| differs(body).is_some());
        let why = differs(&small).unwrap_or_default();
        let Difference { number, why: first, .. } = self;
        format!("program {number}: {first}\nthe smallest program that differs:\n{small:#?}\n{why}")
    }

    /// All that it takes to see it again.
    #[allow(dead_code, reason = "one of the test files only sees it again")]
    pub(crate) fn manifest(&self) -> Manifest {
        let failed = vec![self.why.clone()];
        Manifest::new(Subject::Program, "lab", self.seed, Duration::ZERO, failed)
    }
}
