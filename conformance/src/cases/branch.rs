//! Branches within a task: time limits and races.

use crate::case::Case;
use crate::log::End;
use crate::program::Step::{Foreign, Masked, Note, OnCancel, Race, Reason, Sleep, Timeout, Yield};
use crate::program::{FOR_EVER, MOMENT};
use std::time::Duration;

pub(crate) fn timeout_around_a_foreign_future_that_never_wakes_returns(name: &'static str) -> Case {
    let main = [Timeout(MOMENT, vec![Foreign]), Note("after"), Yield, Note("unharmed")];
    Case::new(name, main, |seen| {
        seen.must(seen.answers().eq(["elapsed"]), "the time limit passes");
        let order = [seen.note("after"), seen.note("unharmed")];
        seen.in_order(&order, "the task goes on");
        seen.must(seen.run.end == End::Ok, "the main task ends in success");
        let at_once = seen.run.took < Duration::from_secs(2);
        seen.must(at_once, "the future is dropped at its limit, not when a cleanup time is over");
    })
}

pub(crate) fn a_loser_has_been_cleaned_up_when_its_race_returns(name: &'static str) -> Case {
    let cleanup = vec![Sleep(MOMENT), Yield, Note("loser cleaned up")];
    let loser = vec![OnCancel(vec![Sleep(FOR_EVER)], cleanup), Note("loser won")];
    let winner = vec![Sleep(MOMENT), Note("winner done")];
    let main = [Race(vec![loser, winner, vec![Foreign]]), Note("after")];
    Case::new(name, main, |seen| {
        seen.must(seen.answers().eq(["1"]), "the second branch wins");
        let order = ["winner done", "loser cleaned up", "after"].map(|text| seen.note(text));
        seen.in_order(&order, "the race returns after its losers have ended");
        seen.must(seen.note("loser won").is_none(), "the loser does not go on");
    })
}

pub(crate) fn a_time_limit_leaves_the_task_around_it_alone(name: &'static str) -> Case {
    let slow = vec![OnCancel(vec![Sleep(FOR_EVER)], vec![Note("told")])];
    let shielded = vec![Masked(vec![Sleep(MOMENT * 2), Note("section done")])];
    let main = [
        Timeout(MOMENT, slow),
        Timeout(MOMENT, shielded),
        Timeout(FOR_EVER, vec![Sleep(MOMENT)]),
        Reason,
        Sleep(MOMENT),
        Note("after"),
    ];
    Case::new(name, main, |seen| {
        let answers: Vec<_> = seen.answers().collect();
        let expected = ["elapsed", "finished", "finished"];
        seen.must(answers == expected, "a limit ends what waits, and no mask");
        let order = ["told", "section done", "after"].map(|text| seen.note(text));
        seen.in_order(&order, "what is inside is told, what is around goes on");
        seen.must(seen.told("main").eq([None]), "the task itself was never cancelled");
    })
}
