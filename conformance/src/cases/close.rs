//! Closing: a region that has closed has nothing left inside.

use crate::case::Case;
use crate::log::{End, Event};
use crate::program::Step::{
    Abandon, BreakPromise, Cancel, CancelRegion, Defer, ForgetPromise, Join, Linger, Masked,
    NestedRun, Note, OnCancel, Receive, Send, Sleep, Spawn, Times, Yield,
};
use crate::program::{FOR_EVER, Limits, MOMENT, Step, Task, USER, region, spawn};

pub(crate) fn region_close_waits_for_three_live_children(name: &'static str) -> Case {
    let grandchild = spawn("grandchild", [Sleep(MOMENT * 2), Note("grandchild done")]);
    let main = [
        region(
            "r",
            [
                spawn("sleeper", [Sleep(MOMENT), Note("sleeper done")]),
                spawn(
                    "lingerer",
                    [Send("ready"), OnCancel(vec![Linger(3)], vec![Note("lingerer done")])],
                ),
                spawn("nest", [region("inner", [grandchild])]),
                Receive("ready"),
                Sleep(MOMENT),
                Cancel("lingerer", USER),
            ],
        ),
        Note("after"),
    ];
    Case::new(name, main, |seen| {
        for child in ["sleeper done", "lingerer done", "grandchild done"] {
            let order = [seen.note(child), seen.closed("r"), seen.note("after")];
            seen.in_order(&order, "the region closes after each of its children is done");
        }
        let nested = [seen.closed("inner"), seen.dropped("nest"), seen.closed("r")];
        seen.in_order(
            &nested,
            "the inner region closes, then its task ends, then the outer closes",
        );
    })
}

pub(crate) fn a_spawn_racing_with_close_ends_before_it_or_is_refused_and_dropped_once(
    name: &'static str,
) -> Case {
    let leaf = Task { name: "leaf", limits: Limits::default(), body: vec![Note("leaf ran")] };
    let spawner = vec![Send("ready"), Times(200, vec![Spawn(leaf), Yield])];
    let main = [region(
        "r",
        [
            spawn("left", spawner.clone()),
            spawn("right", spawner),
            Receive("ready"),
            Times(20, vec![Yield]),
            CancelRegion(USER),
        ],
    )];
    // That each leaf is dropped exactly once, and before the close, is a law of every run.
    Case::new(name, main, |seen| {
        let spawned = |event: &Event| matches!(event, Event::Spawned(who) if who.name == "leaf");
        let leaves = seen.entries.iter().filter(|entry| spawned(&entry.event)).count();
        seen.must(leaves > 0, "the spawners were running when the region was cancelled");
        seen.must(seen.notes("leaf ran") <= leaves, "no leaf runs twice");
        seen.must(seen.closed("r").is_some(), "the region closes");
    })
}

pub(crate) fn a_refused_task_answers_its_join(name: &'static str) -> Case {
    let refused = [spawn("late", [Note("late ran")]), Masked(vec![Join("late")])];
    let mut body = vec![CancelRegion(USER)];
    body.extend(refused);
    Case::new(name, [region("r", body)], |seen| {
        seen.must(seen.note("late ran").is_none(), "a cancelled region runs no new task");
        seen.must(seen.dropped("late").is_some(), "the refused body is dropped");
        seen.joined_as("late", &End::Cancelled(crate::log::Cause::User));
    })
}

pub(crate) fn main_returning_early_still_drains_and_finalizes_its_children(
    name: &'static str,
) -> Case {
    let inner = region(
        "inner",
        [
            Defer(vec![Sleep(MOMENT), Note("finalized")]),
            Send("ready"),
            OnCancel(vec![Sleep(MOMENT)], vec![Note("told")]),
            Note("inner done"),
        ],
    );
    let main = [spawn("child", [inner, Note("child done")]), Receive("ready")];
    // That the child is dropped before the run returns is a law.
    Case::new(name, main, |seen| {
        let returned = seen.entries.iter().position(|entry| entry.event == Event::Returned);
        let order = [seen.note("finalized"), seen.closed("inner"), seen.dropped("child"), returned];
        seen.in_order(&order, "the child's region is finalized and closed before the run returns");
        let ended = seen.note("inner done").or(seen.note("told"));
        seen.must(ended.is_some(), "the child is waited for, or told to stop");
        seen.must(seen.run.end == End::Ok, "the main task's own end is kept");
    })
}

pub(crate) fn dropping_a_regions_future_orphans_nothing(name: &'static str) -> Case {
    let child = OnCancel(
        vec![Send("ready"), Sleep(FOR_EVER)],
        vec![Sleep(MOMENT), Note("child cleaned up")],
    );
    let dropped = region("dropped", [spawn("child", [child]), Sleep(FOR_EVER)]);
    let main =
        [region("outer", [Abandon(vec![dropped], "ready"), Note("abandoned")]), Note("after")];
    Case::new(name, main, |seen| {
        let order = [
            seen.note("abandoned"),
            seen.note("child cleaned up"),
            seen.dropped("child"),
            seen.closed("outer"),
        ];
        seen.in_order(&order, "the parent region waits for the dropped region's child");
    })
}

pub(crate) fn a_run_inside_a_run_is_refused_at_once(name: &'static str) -> Case {
    Case::new(name, [NestedRun, Note("after")], |seen| {
        seen.must(seen.answers().eq(["refused"]), "a run inside a run answers with an error");
        seen.must(seen.note("after").is_some(), "the program goes on after the refusal");
    })
}

pub(crate) fn a_dropped_promise_is_in_the_regions_report(name: &'static str) -> Case {
    broken_promise(name, BreakPromise)
}

pub(crate) fn a_forgotten_promise_is_in_the_regions_report(name: &'static str) -> Case {
    broken_promise(name, ForgetPromise)
}

fn broken_promise(name: &'static str, how: Step) -> Case {
    let main = [
        region("careless", [spawn("child", [how]), Join("child")]),
        region("tidy", [spawn("other", [Note("kept")]), Join("other")]),
    ];
    Case::new(name, main, |seen| {
        let leaks = |region| seen.report_of(region).map(|(_, leaks)| leaks);
        let (careless, tidy) = (leaks("careless"), leaks("tidy"));
        seen.must(careless == Some(1), "the region of the one who broke it reports one leak");
        seen.must(tidy == Some(0), "a region without leaks reports none");
    })
}
