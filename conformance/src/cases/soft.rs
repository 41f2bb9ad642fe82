//! A wish to finish, and what becomes of it.

use crate::case::Case;
use crate::log::{Cause, End};
use crate::program::Step::{
    AskToFinish, Note, OnCancel, Reason, Receive, Send, Sleep, UntilAsked, Yield,
};
use crate::program::{FOR_EVER, MOMENT, region, spawn};

pub(crate) fn what_is_asked_to_finish_may_end_by_itself(name: &'static str) -> Case {
    let polite = [Send("ready"), UntilAsked, Reason, Yield, Sleep(MOMENT / 4), Note("finished")];
    // A wait that is none for the wish goes on.
    let busy = [Send("ready"), Receive("go"), Note("busy done")];
    let body = [
        spawn("polite", polite),
        spawn("busy", busy),
        Receive("ready"),
        Receive("ready"),
        AskToFinish(FOR_EVER),
        Sleep(MOMENT),
        Send("go"),
    ];
    Case::new(name, [region("r", body)], |seen| {
        let order = [seen.note("finished"), seen.dropped("polite"), seen.closed("r")];
        seen.in_order(&order, "who hears the wish has time to finish");
        let told = seen.told("polite").eq([None]);
        seen.must(told, "a wish is no cancellation");
        let order = [seen.note("busy done"), seen.closed("r")];
        seen.in_order(&order, "who does not hear it goes on within the grace");
        seen.closed_as("r", &End::Ok);
    })
}

pub(crate) fn a_wish_that_is_not_heard_is_a_cancellation_when_its_grace_is_over(
    name: &'static str,
) -> Case {
    let deaf = OnCancel(vec![Send("ready"), Sleep(FOR_EVER)], vec![Note("told")]);
    let body = [
        spawn("deaf", [deaf]),
        Receive("ready"),
        AskToFinish(MOMENT * 4),
        Sleep(MOMENT),
        Note("within the grace"),
    ];
    Case::new(name, [region("r", body)], |seen| {
        let order = [seen.note("within the grace"), seen.note("told"), seen.closed("r")];
        seen.in_order(&order, "the cancellation comes when the grace is over, and not before");
        seen.closed_as("r", &End::Cancelled(Cause::User));
    })
}
