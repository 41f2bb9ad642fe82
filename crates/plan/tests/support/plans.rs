//! Random plans whose leaves sleep, and their outcomes in the lab.

#![allow(dead_code, reason = "each test file uses its part")]

use asupersync_core::{Cancelled, Cx, Outcome, SplitMix64};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_plan::{Failure, Leaf, NodeId, Plan, PlanBuilder, Safety, execute};
use std::time::Duration;

pub(crate) const MS: Duration = Duration::from_millis(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Oops {
    Told,
    Failed,
}

impl From<Cancelled> for Oops {
    fn from(_: Cancelled) -> Oops {
        Oops::Told
    }
}

/// A leaf called "name" or "name!" (which fails), that takes so long.
pub(crate) fn leaf(name: &str, time: Duration) -> Leaf {
    let leaf = Leaf::new(name).takes(time..=time).on_cancel(Safety::Lossless);
    if name.ends_with('!') { leaf } else { leaf.infallible() }
}

pub(crate) type End = (Result<Vec<String>, Failure<Oops>>, Duration);

/// Sleeps as long as the leaf promises, then returns its name or fails.
pub(crate) async fn behave(cx: &Cx, leaf: Leaf) -> Result<String, Oops> {
    let (time, _) = leaf.time().unwrap_or_default();
    if !time.is_zero() {
        cx.sleep(time).await?;
    }
    if leaf.name().ends_with('!') { Err(Oops::Failed) } else { Ok(leaf.name().to_owned()) }
}

/// What a plan of sleepers yields, and after which virtual time.
pub(crate) fn end(lab: &LabRuntime, plan: &Plan) -> End {
    let plan = plan.clone();
    let report = lab.run(async move |cx: &Cx| {
        let begun = cx.now();
        let outcome = execute(cx, &plan, |leaf| {
            let leaf = leaf.clone();
            async move |cx: &Cx| behave(cx, leaf).await
        })
        .await;
        let result = match outcome {
            Outcome::Ok(values) => Ok(values),
            Outcome::Err(failure) => Err(failure),
            other => panic!("neither values nor a failure: {other:?}"),
        };
        Ok::<_, Oops>((result, cx.now() - begun))
    });
    assert!(report.is_ok(), "{report:?}");
    report.outcome.into_result().unwrap()
}

pub(crate) fn lab(seed: u64) -> LabRuntime {
    LabRuntime::new(LabConfig::default().seed(seed))
}

/// Makes random plans. Every leaf and every limit is a power of two of its own, so no two
/// different sets of them take the same time: branches that share nothing never finish together.
pub(crate) struct Maker {
    pub(crate) builder: PlanBuilder,
    pub(crate) dice: SplitMix64,
    powers: Vec<u32>,
    made: Vec<NodeId>,
    pub(crate) sharing: bool,
}

impl Maker {
    pub(crate) fn new(seed: u64, sharing: bool) -> Maker {
        let mut dice = SplitMix64::new(seed);
        let mut powers: Vec<u32> = (0..24).collect();
        for index in (1..powers.len()).rev() {
            powers.swap(index, dice.below(index as u64 + 1) as usize);
        }
        Maker { builder: PlanBuilder::new(), dice, powers, made: Vec::new(), sharing }
    }

    /// A time that nothing else in the plan takes.
    pub(crate) fn time(&mut self) -> Duration {
        MS * 2_u32.pow(self.powers.pop().expect("24 times are enough for these sizes"))
    }

    pub(crate) fn leaf(&mut self, may_fail: bool) -> NodeId {
        let fails = may_fail && self.dice.below(5) == 0;
        let time = self.time();
        let name = format!("l{}{}", self.powers.len(), if fails { "!" } else { "" });
        self.builder.leaf(leaf(&name, time))
    }

    pub(crate) fn any(&mut self, depth: u32) -> NodeId {
        if self.sharing && !self.made.is_empty() && self.dice.below(6) == 0 {
            let index = self.dice.below(self.made.len() as u64) as usize;
            return self.made[index];
        }
        let kinds = if depth == 0 || self.powers.len() < 12 { 1 } else { 9 };
        let node = match self.dice.below(kinds) {
            0 => self.leaf(true),
            1..=3 => {
                let parts = self.some(depth - 1, 0);
                self.builder.join(parts)
            }
            4..=5 => {
                let parts = self.some(depth - 1, 1);
                self.builder.race(parts)
            }
            6..=7 => {
                let parts = self.some(depth - 1, 0);
                self.builder.sequence(parts)
            }
            _ => {
                let part = self.any(depth - 1);
                let limit = self.time();
                self.builder.timeout(limit, part)
            }
        };
        self.made.push(node);
        node
    }

    pub(crate) fn some(&mut self, depth: u32, least: u64) -> Vec<NodeId> {
        let count = least + self.dice.below(4 - least);
        (0..count).map(|_| self.any(depth)).collect()
    }

    pub(crate) fn plan(&self, root: NodeId) -> Plan {
        self.builder.build(root).unwrap()
    }
}
