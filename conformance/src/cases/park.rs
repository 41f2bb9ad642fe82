//! Cancellation reaches a task wherever it is parked.

use crate::case::Case;
use crate::log::{Cause, End};
use crate::program::Step::{Cancel, Join, Lock, Note, ReadExact, Receive, Send, Sleep};
use crate::program::{Body, FOR_EVER, MOMENT, Step, USER, region, spawn};

fn parked(name: &'static str, wait: Step, around: fn(Body) -> Step) -> Case {
    let body = vec![
        spawn("parked", [Send("ready"), wait, Note("the wait ended by itself")]),
        Receive("ready"),
        Sleep(MOMENT),
        Note("cancelling"),
        Cancel("parked", USER),
        Join("parked"),
        Note("joined"),
    ];
    Case::new(name, [around(body)], |seen| {
        let order = [seen.note("cancelling"), seen.dropped("parked"), seen.note("joined")];
        seen.in_order(&order, "the task ends after the request, and its joiner hears of it");
        seen.joined_as("parked", &End::Cancelled(Cause::User));
        seen.must(
            seen.note("the wait ended by itself").is_none(),
            "the wait did not end by itself",
        );
        // A task cancelled by name does not lower its region's outcome.
        seen.closed_as("r", &End::Ok);
    })
}

pub(crate) fn cancel_reaches_a_task_parked_in_sleep(name: &'static str) -> Case {
    parked(name, Sleep(FOR_EVER), |body| region("r", body))
}

pub(crate) fn cancel_reaches_a_task_parked_in_read_exact(name: &'static str) -> Case {
    parked(name, ReadExact, |body| region("r", body))
}

pub(crate) fn cancel_reaches_a_task_parked_in_lock(name: &'static str) -> Case {
    parked(name, Lock("m", vec![Note("locked")]), |body| region("r", [Lock("m", body)]))
}

pub(crate) fn cancel_reaches_a_task_parked_in_recv(name: &'static str) -> Case {
    parked(name, Receive("never"), |body| region("r", body))
}
