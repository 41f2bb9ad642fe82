//! Finalizers: the last registered first, once each, masked, after the children.

use crate::case::Case;
use crate::program::Step::{
    Cancel, CancelRegion, Defer, Join, Note, OnCancel, Receive, Send, Sleep, Yield,
};
use crate::program::{Body, FOR_EVER, MOMENT, Step, USER, region, spawn};

fn finalizer(note: &'static str) -> Step {
    Defer(vec![Yield, Sleep(MOMENT / 4), Note(note)])
}

pub(crate) fn finalizers_run_last_first_and_once(name: &'static str) -> Case {
    let finalizers = [finalizer("first"), finalizer("second"), finalizer("third")];
    Case::new(name, [region("r", finalizers), Note("after")], |seen| {
        let order = ["third", "second", "first", "after"].map(|text| seen.note(text));
        seen.in_order(&order, "finalizers run in the reverse of their order, before the close");
        for text in ["first", "second", "third"] {
            seen.must(seen.notes(text) == 1, "each finalizer runs once");
        }
    })
}

pub(crate) fn finalizers_run_after_the_children_have_ended(name: &'static str) -> Case {
    let main = [region(
        "r",
        [finalizer("finalized"), spawn("child", [Sleep(MOMENT * 2), Note("child done")])],
    )];
    Case::new(name, main, |seen| {
        let order = [
            seen.note("child done"),
            seen.dropped("child"),
            seen.note("finalized"),
            seen.closed("r"),
        ];
        seen.in_order(&order, "the child ends, then the finalizer runs, then the region closes");
    })
}

pub(crate) fn a_cancellation_during_finalizing_is_not_seen_by_the_finalizers(
    name: &'static str,
) -> Case {
    let body = [finalizer("first"), Defer(vec![Send("finalizing"), Sleep(MOMENT), Note("second")])];
    let main = [region(
        "outer",
        [
            spawn("holder", [region("r", body)]),
            Receive("finalizing"),
            Cancel("holder", USER),
            Join("holder"),
        ],
    )];
    Case::new(name, main, |seen| {
        let order = [seen.note("second"), seen.note("first"), seen.closed("r")];
        seen.in_order(&order, "the finalizers run to their end");
    })
}

pub(crate) fn a_cancelled_regions_finalizers_run_to_their_end(name: &'static str) -> Case {
    let cleanup = OnCancel(vec![Send("ready"), Sleep(FOR_EVER)], vec![Note("child told")]);
    let body: Body = vec![
        finalizer("first"),
        finalizer("second"),
        spawn("child", [cleanup]),
        Receive("ready"),
        CancelRegion(USER),
    ];
    Case::new(name, [region("r", body)], |seen| {
        let order = ["child told", "second", "first"].map(|text| seen.note(text));
        seen.in_order(&order, "a cancelled region's finalizers wait as if nothing had happened");
    })
}
