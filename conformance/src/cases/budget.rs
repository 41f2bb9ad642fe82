//! Budgets: what has no limit of its own is ended by the one it was given.

use crate::case::Case;
use crate::log::{Cause, End};
use crate::program::Step::{
    Cancel, Charge, Forever, Join, Masked, Note, Receive, Send, Sleep, Times, Yield,
};
use crate::program::{
    FOR_EVER, Limits, MOMENT, Policy, Region, Request, Step, region, spawn, spawn_limited,
};
use std::time::Duration;

pub(crate) fn a_deadline_fires_in_a_task_parked_on_a_channel_never_sent_to(
    name: &'static str,
) -> Case {
    let limits = Limits { time: Some(MOMENT), ..Limits::default() };
    let main = [region(
        "r",
        [
            spawn_limited("parked", limits, [Receive("never"), Note("received")]),
            // The limit of the task that waits is nobody else's.
            spawn("free", [Sleep(MOMENT * 3), Note("free done")]),
            Join("parked"),
        ],
    )];
    Case::new(name, main, |seen| {
        seen.joined_as("parked", &End::Cancelled(Cause::Timeout));
        seen.must(seen.note("received").is_none(), "nothing was received");
        seen.must(seen.note("free done").is_some(), "the sibling is left alone");
    })
}

pub(crate) fn a_deadline_of_a_task_that_is_joined_is_the_joiners_matter(
    name: &'static str,
) -> Case {
    let limits = Limits { time: Some(MOMENT), ..Limits::default() };
    let late = |name| spawn_limited(name, limits, [Sleep(FOR_EVER)]);
    let main = [
        region("heard", [late("first"), Join("first")]),
        region("unheard", [late("second"), late("third"), Join("second")]),
    ];
    Case::new(name, main, |seen| {
        seen.closed_as("heard", &End::Ok);
        seen.closed_as("unheard", &End::Cancelled(Cause::Timeout));
    })
}

pub(crate) fn a_poll_quota_stops_a_task_that_yields_for_ever(name: &'static str) -> Case {
    let limits = Limits { polls: Some(50), ..Limits::default() };
    let body = [Times(10, vec![Yield]), Note("ten polls"), Forever(vec![Yield])];
    let main = [region("r", [spawn_limited("spinner", limits, body), Join("spinner")])];
    Case::new(name, main, |seen| {
        seen.joined_as("spinner", &End::Cancelled(Cause::Quota));
        seen.must(seen.note("ten polls").is_some(), "the quota lets the task use what it has");
    })
}

pub(crate) fn a_cost_quota_stops_the_task_that_overdraws_it(name: &'static str) -> Case {
    let body = vec![
        spawn(
            "spender",
            [Charge(6), Note("six"), Charge(3), Note("nine"), Charge(2), Note("eleven")],
        ),
        Join("spender"),
    ];
    let limits = Limits { cost: Some(10), ..Limits::default() };
    let main = [Step::Region(Region { name: "r", policy: Policy::FailFast, limits, body })];
    Case::new(name, main, |seen| {
        let order = [seen.note("six"), seen.note("nine"), seen.closed("r")];
        seen.in_order(&order, "what the budget holds may be spent");
        seen.must(seen.note("eleven").is_none(), "what it does not hold may not");
        seen.closed_as("r", &End::Cancelled(Cause::Quota));
    })
}

pub(crate) fn a_spent_cleanup_budget_escalates_and_names_the_straggler(name: &'static str) -> Case {
    let request = Request { cause: Cause::User, cleanup: Some(MOMENT) };
    let main = [
        region(
            "r",
            [
                // Under a mask nothing but the end of its cleanup time can reach it.
                spawn("wedge", [Masked(vec![Send("ready"), Sleep(FOR_EVER)])]),
                spawn("tidy", [Sleep(Duration::from_millis(1))]),
                Receive("ready"),
                Sleep(MOMENT),
                Cancel("wedge", request),
                Join("wedge"),
            ],
        ),
        Note("after"),
    ];
    Case::new(name, main, |seen| {
        seen.joined_as("wedge", &End::Cancelled(Cause::User));
        let named = seen.report_of("r").is_some_and(|(stragglers, _)| stragglers == ["wedge"]);
        seen.must(named, "the region's report names the one straggler");
    })
}
