//! How a cancellation spreads, and what shields from it.

use crate::case::Case;
use crate::log::{Cause, End};
use crate::program::Step::{
    Abandon, Cancel, CancelRegion, Join, Masked, Note, OnCancel, Reason, Receive, Send, Sleep,
    Yield,
};
use crate::program::{FOR_EVER, MOMENT, SHUTDOWN, Step, USER, region, spawn};
use std::time::Duration;

pub(crate) fn a_masked_section_with_three_awaits_completes_before_cancel_is_seen(
    name: &'static str,
) -> Case {
    let section = vec![Send("inside"), Receive("go"), Yield, Sleep(MOMENT), Note("section done")];
    let main = [region(
        "r",
        [
            spawn("shielded", [Masked(section), Note("before the next wait"), Sleep(FOR_EVER)]),
            Receive("inside"),
            Cancel("shielded", USER),
            Send("go"),
            Join("shielded"),
        ],
    )];
    Case::new(name, main, |seen| {
        let order = [
            seen.note("section done"),
            seen.note("before the next wait"),
            seen.dropped("shielded"),
            seen.joined("shielded"),
        ];
        seen.in_order(&order, "the section completes, and the wait after it does not");
        seen.joined_as("shielded", &End::Cancelled(Cause::User));
    })
}

fn nest_of_waiters() -> Step {
    // A cleanup that waits for its turn, so that both requests are in when it looks.
    let waiter =
        |ready| OnCancel(vec![Send(ready), Sleep(FOR_EVER)], vec![Sleep(MOMENT * 2), Reason]);
    let grandchild = region("inner", [spawn("grandchild", [waiter("one")]), Sleep(FOR_EVER)]);
    let body = [spawn("child", [grandchild]), spawn("other", [waiter("two")]), Sleep(FOR_EVER)];
    spawn("nest", [region("cancelled", body)])
}

pub(crate) fn concurrent_user_and_shutdown_cancels_leave_shutdown_everywhere(
    name: &'static str,
) -> Case {
    let main = [region(
        "r",
        [
            nest_of_waiters(),
            Receive("one"),
            Receive("two"),
            spawn("polite", [Cancel("nest", USER)]),
            spawn("firm", [Cancel("nest", SHUTDOWN)]),
            Join("polite"),
            Join("firm"),
            Join("nest"),
        ],
    )];
    Case::new(name, main, |seen| {
        for task in ["grandchild", "other"] {
            let shutdown = seen.was_told(task, Cause::Shutdown);
            seen.must(shutdown, "each descendant is told of the more severe request");
        }
        seen.closed_as("inner", &End::Cancelled(Cause::Shutdown));
        seen.closed_as("cancelled", &End::Cancelled(Cause::Shutdown));
        seen.joined_as("nest", &End::Cancelled(Cause::Shutdown));
    })
}

pub(crate) fn a_milder_cancel_does_not_replace_a_more_severe_one(name: &'static str) -> Case {
    let main = [region(
        "r",
        [
            nest_of_waiters(),
            Receive("one"),
            Receive("two"),
            Cancel("nest", SHUTDOWN),
            Cancel("nest", USER),
            Join("nest"),
        ],
    )];
    Case::new(name, main, |seen| {
        for task in ["grandchild", "other"] {
            let shutdown = seen.was_told(task, Cause::Shutdown);
            seen.must(shutdown, "the later, milder request changes nothing");
        }
        seen.joined_as("nest", &End::Cancelled(Cause::Shutdown));
    })
}

pub(crate) fn cancelling_a_region_reaches_its_grandchildren(name: &'static str) -> Case {
    let grandchild = OnCancel(vec![Send("ready"), Sleep(FOR_EVER)], vec![Reason]);
    let inner = region("inner", [spawn("grandchild", [grandchild])]);
    let main = [region(
        "r",
        [
            spawn("child", [inner]),
            Receive("ready"),
            Sleep(MOMENT),
            Note("cancelling"),
            CancelRegion(USER),
        ],
    )];
    Case::new(name, main, |seen| {
        seen.must(seen.was_told("grandchild", Cause::User), "the grandchild is told");
        let order = [seen.note("cancelling"), seen.dropped("grandchild"), seen.closed("r")];
        seen.in_order(&order, "the grandchild has ended when the region closes");
    })
}

pub(crate) fn a_cancelled_join_returns_while_the_child_goes_on(name: &'static str) -> Case {
    let main = [region(
        "r",
        [
            spawn("child", [Receive("go"), Note("child done")]),
            spawn("joiner", [Send("ready"), Join("child"), Note("joiner saw the child end")]),
            Receive("ready"),
            Sleep(MOMENT),
            Cancel("joiner", USER),
            Join("joiner"),
            Note("joiner is back"),
            Sleep(MOMENT),
            Send("go"),
        ],
    )];
    Case::new(name, main, |seen| {
        let order = [seen.note("joiner is back"), seen.note("child done"), seen.dropped("child")];
        seen.in_order(&order, "the child goes on after its joiner was cancelled");
        seen.joined_as("joiner", &End::Cancelled(Cause::User));
        seen.must(seen.note("joiner saw the child end").is_none(), "the join was cut short");
        seen.closed_as("r", &End::Ok);
    })
}

pub(crate) fn dropping_a_join_leaves_the_child_alone(name: &'static str) -> Case {
    let main = [region(
        "r",
        [
            spawn("child", [Send("ready"), Receive("go"), Note("child done")]),
            Abandon(vec![Join("child"), Note("joined")], "ready"),
            Sleep(MOMENT),
            Note("join dropped"),
            Send("go"),
        ],
    )];
    Case::new(name, main, |seen| {
        let order = [seen.note("join dropped"), seen.note("child done"), seen.dropped("child")];
        seen.in_order(&order, "the child goes on after the join of it was dropped");
        seen.must(seen.note("joined").is_none(), "the join was dropped before it answered");
        seen.closed_as("r", &End::Ok);
    })
}

pub(crate) fn a_wait_in_a_cancelled_scope_does_not_look_at_its_event(name: &'static str) -> Case {
    let main = [
        Send("full"),
        region("r", [CancelRegion(USER), Receive("full"), Note("received in vain")]),
        // A sleep of no length is due at once, in any other scope.
        region("s", [CancelRegion(USER), Sleep(Duration::ZERO), Note("slept in vain")]),
        Receive("full"),
        Note("still there"),
    ];
    Case::new(name, main, |seen| {
        seen.must(seen.note("received in vain").is_none(), "the cancelled receive takes nothing");
        seen.must(seen.note("slept in vain").is_none(), "the cancelled sleep is not due");
        seen.must(seen.note("still there").is_some(), "the message is there for the next");
        seen.closed_as("r", &End::Cancelled(Cause::User));
        seen.closed_as("s", &End::Cancelled(Cause::User));
    })
}
