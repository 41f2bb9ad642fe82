//! Kinds of children: services, those that get ready, so many at a time, groups.

use crate::case::Case;
use crate::log::{End, Event};
use crate::program::Step::{
    CancelRegion, Fail, Group, Limited, Note, OnCancel, Receive, Send, Service, Sleep, SpawnReady,
    Yield,
};
use crate::program::{
    Body, FOR_EVER, Limits, MOMENT, Name, Policy, Region, Step, Task, USER, region, spawn,
};

fn task(name: Name, body: impl Into<Body>) -> Task {
    Task { name, limits: Limits::default(), body: body.into() }
}

fn server() -> Step {
    Service(task("server", [OnCancel(vec![Sleep(FOR_EVER)], vec![Note("server told")])]))
}

pub(crate) fn services_are_cancelled_after_the_others_have_ended(name: &'static str) -> Case {
    let cleanup = vec![Yield, Sleep(MOMENT), Note("worker done")];
    let worker = OnCancel(vec![Send("ready"), Sleep(FOR_EVER)], cleanup);
    let body = [server(), spawn("worker", [worker]), Receive("ready"), CancelRegion(USER)];
    Case::new(name, [region("r", body)], |seen| {
        let order = [
            seen.note("worker done"),
            seen.dropped("worker"),
            seen.note("server told"),
            seen.dropped("server"),
            seen.closed("r"),
        ];
        seen.in_order(&order, "the service goes on until the worker has ended");
    })
}

pub(crate) fn a_service_keeps_no_region_open(name: &'static str) -> Case {
    let worker = spawn("worker", [Sleep(MOMENT), Note("worker done")]);
    Case::new(name, [region("r", [server(), worker]), Note("after")], |seen| {
        let order = [
            seen.note("worker done"),
            seen.dropped("worker"),
            seen.note("server told"),
            seen.closed("r"),
            seen.note("after"),
        ];
        seen.in_order(&order, "the service is dismissed when the last of the others has ended");
        // Its dismissal is nobody's failure.
        seen.closed_as("r", &End::Ok);
    })
}

pub(crate) fn who_waits_for_a_task_to_get_ready_hears_of_it(name: &'static str) -> Case {
    let server = SpawnReady("server", vec![Yield, Note("bound")], vec![Sleep(FOR_EVER)]);
    Case::new(name, [region("r", [server, Note("started")])], |seen| {
        seen.must(seen.answers().eq(["ready"]), "the task gets ready");
        let order = [seen.note("bound"), seen.note("started"), seen.closed("r")];
        seen.in_order(&order, "what waits for it goes on after it is ready, and the region closes");
    })
}

pub(crate) fn who_waits_for_a_task_to_get_ready_hears_that_it_never_will(
    name: &'static str,
) -> Case {
    let body = vec![SpawnReady("server", vec![Yield, Fail("no port")], vec![]), Note("went on")];
    let (policy, limits) = (Policy::CollectAll, Limits::default());
    let main = [Step::Region(Region { name: "r", policy, limits, body })];
    Case::new(name, main, |seen| {
        seen.must(seen.answers().eq(["never ready"]), "the task ends before it is ready");
        seen.must(seen.note("went on").is_some(), "what waited for it goes on");
        seen.closed_as("r", &End::Failed("no port".to_owned()));
    })
}

pub(crate) fn no_more_children_run_than_the_limit_allows(name: &'static str) -> Case {
    let child = || task("child", [Note("in"), Yield, Sleep(MOMENT / 4), Note("out")]);
    let children = (0..6).map(|_| child()).collect();
    Case::new(name, [region("r", [Limited(2, children)]), Note("after")], |seen| {
        let (mut inside, mut most) = (0_i32, 0);
        for entry in &seen.entries {
            match entry.event {
                Event::Note("in") => inside += 1,
                Event::Note("out") => inside -= 1,
                _ => {}
            }
            most = most.max(inside);
        }
        seen.must(most <= 2, "there are never more than two at once");
        seen.must(seen.notes("in") == 6 && seen.notes("out") == 6, "each of the six has its turn");
    })
}

pub(crate) fn a_group_hands_out_its_children_as_they_end(name: &'static str) -> Case {
    let slow = task("slow", [Receive("go"), Note("slow done")]);
    let broken = task("broken", [Fail("disk full")]);
    let quick = task("quick", [Sleep(MOMENT), Send("go")]);
    let body = [Group(vec![slow, broken, quick]), Note("all taken")];
    Case::new(name, [region("r", body), Note("after")], |seen| {
        let order = [seen.joined("broken"), seen.joined("slow"), seen.note("all taken")];
        seen.in_order(&order, "what ends first is handed out first");
        let order = [seen.joined("quick"), seen.note("all taken")];
        seen.in_order(&order, "each is handed out");
        seen.joined_as("broken", &End::Failed("disk full".to_owned()));
        seen.must(seen.note("slow done").is_some(), "a failure in a group cancels nobody");
        seen.closed_as("r", &End::Ok);
    })
}
