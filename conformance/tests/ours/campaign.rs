//! Random programs, one after the other, until the kernel and the model differ.

use crate::compare::{Lab, Tally};
use asupersync_conformance::model::generate::{Random, Shape, program, shrink};
use asupersync_conformance::program::Body;
use std::panic::{AssertUnwindSafe, catch_unwind};

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
    pub(crate) main: Body,
    pub(crate) why: String,
}

/// Runs so many programs, or until one differs.
pub(crate) fn campaign(seed: u64, count: u64) -> Result<Tally, Difference> {
    hush();
    let mut tally = Tally::default();
    let lab = Lab::new(seed);
    for number in 0..count {
        let main = program(&mut Random::new(seed.wrapping_add(number)), SHAPE);
        match judge(&lab, &main) {
            Ok(one) => tally.add(&one),
            Err(why) => return Err(Difference { number, main, why }),
        }
    }
    Ok(tally)
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
}
