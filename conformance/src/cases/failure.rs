//! What one child's failure means for the others.

use crate::case::Case;
use crate::log::{Cause, End};
use crate::program::Step::{Fail, Note, OnCancel, Panic, Reason, Receive, Send, Sleep, Yield};
use crate::program::{FOR_EVER, Limits, MOMENT, Policy, Region, Step, region, spawn};

fn sibling() -> Step {
    let cleanup = vec![Reason, Yield, Sleep(MOMENT), Note("sibling drained")];
    spawn("sibling", [OnCancel(vec![Send("ready"), Sleep(FOR_EVER)], cleanup)])
}

pub(crate) fn a_panic_in_a_body_cancels_and_drains_its_siblings(name: &'static str) -> Case {
    let main = [
        region("r", [sibling(), spawn("culprit", [Receive("ready"), Panic("boom")])]),
        Note("after"),
    ];
    Case::new(name, main, |seen| {
        let order = [
            seen.dropped("culprit"),
            seen.note("sibling drained"),
            seen.dropped("sibling"),
            seen.closed("r"),
            seen.note("after"),
        ];
        seen.in_order(&order, "the sibling is drained after the panic and before the close");
        seen.must(seen.was_told("sibling", Cause::FailFast), "the sibling is told why");
        seen.closed_as("r", &End::Panicked("boom".to_owned()));
    })
}

pub(crate) fn fail_fast_yields_the_error_that_caused_it(name: &'static str) -> Case {
    // The second fails because it was cancelled; that is not what went wrong.
    let second = [OnCancel(vec![Send("ready"), Sleep(FOR_EVER)], vec![]), Note("not reached")];
    let failing = [spawn("culprit", [Receive("ready"), Receive("ready"), Fail("disk full")])];
    let mut body = vec![spawn("second", second), sibling()];
    body.extend(failing);
    // The body is cancelled too, and that is not what went wrong either.
    body.push(Sleep(FOR_EVER));
    Case::new(name, [region("r", body), Note("after")], |seen| {
        seen.closed_as("r", &End::Failed("disk full".to_owned()));
        let order = [seen.dropped("culprit"), seen.note("sibling drained"), seen.closed("r")];
        seen.in_order(&order, "the siblings are drained before the close");
        seen.must(seen.note("after").is_some(), "the task around the region goes on");
    })
}

pub(crate) fn collect_all_lets_the_siblings_finish(name: &'static str) -> Case {
    let body = vec![
        spawn("culprit", [Fail("disk full")]),
        spawn("sibling", [Sleep(MOMENT), Note("sibling done")]),
    ];
    let limits = Limits::default();
    let main = [Step::Region(Region { name: "r", policy: Policy::CollectAll, limits, body })];
    Case::new(name, main, |seen| {
        let order = [seen.dropped("culprit"), seen.note("sibling done"), seen.closed("r")];
        seen.in_order(&order, "the sibling finishes although the other has failed");
        seen.closed_as("r", &End::Failed("disk full".to_owned()));
    })
}
