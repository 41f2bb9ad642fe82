//! Each oracle is shown event sequences that a broken kernel or primitive would emit.

use super::*;
use asupersync_core::event::{Access, Resolution};
use asupersync_core::{
    CancelKind, ObjectId, ObligationId, RegionId, Severity as Ended, TaskId, Time,
};
use std::panic::Location;

const ROOT: RegionId = RegionId::from_bits(1 << 24);
const INNER: RegionId = RegionId::from_bits(2 << 24);
const MAIN: TaskId = TaskId::from_bits(3 << 24);
const CHILD: TaskId = TaskId::from_bits(4 << 24);
const PERMIT: ObligationId = ObligationId::from_bits(5 << 24);

fn opened(region: RegionId, parent: Option<RegionId>) -> Event<'static> {
    Event::RegionOpened { region, parent, by: None, name: None, site: Location::caller() }
}

fn closed(region: RegionId) -> Event<'static> {
    Event::RegionClosed { region, live: 0, unresolved: 0 }
}

fn spawned(task: TaskId, region: RegionId) -> Event<'static> {
    let site = Location::caller();
    Event::TaskSpawned { task, region, by: None, name: Some("worker"), site, finalizer: false }
}

fn finalizer(task: TaskId, region: RegionId) -> Event<'static> {
    let site = Location::caller();
    Event::TaskSpawned { task, region, by: None, name: None, site, finalizer: true }
}

fn poll(task: TaskId) -> Event<'static> {
    Event::PollBegin { task, at: Time::ZERO }
}

fn completed(task: TaskId, region: RegionId) -> Event<'static> {
    Event::TaskCompleted { task, region, severity: Ended::Ok }
}

fn reserved(kind: &'static str) -> Event<'static> {
    Event::ObligationReserved { obligation: PERMIT, task: MAIN, kind, site: Location::caller() }
}

fn resolved(how: Resolution) -> Event<'static> {
    Event::ObligationResolved { obligation: PERMIT, by: Some(MAIN), how }
}

fn deferred(ordinal: u32) -> Event<'static> {
    Event::FinalizerDeferred { region: ROOT, ordinal }
}

fn started(ordinal: u32, task: TaskId) -> Event<'static> {
    Event::FinalizerStarted { region: ROOT, ordinal, task }
}

fn cancelled(severity: CancelKind) -> Event<'static> {
    Event::RegionCancelRequested { region: ROOT, kind: severity, severity }
}

/// The root region opens and `main` is polled in it.
fn start() -> Vec<Event<'static>> {
    vec![opened(ROOT, None), spawned(MAIN, ROOT), poll(MAIN)]
}

/// `main` ends and the root closes.
fn stop() -> Vec<Event<'static>> {
    vec![completed(MAIN, ROOT), closed(ROOT)]
}

fn wrote(task: TaskId) -> Event<'static> {
    let object = ObjectId::from_bits(6 << 24);
    Event::Access { task: Some(task), object, access: Access::Write, label: "Lock" }
}

#[track_caller]
fn parked(task: TaskId) -> Event<'static> {
    Event::WaitParked { task, label: "lock", site: Location::caller() }
}

fn told(task: TaskId) -> Event<'static> {
    let kind = CancelKind::User;
    Event::TaskCancelRequested { task, kind, severity: kind }
}

fn judge(events: impl IntoIterator<Item = Event<'static>>, ending: Ending) -> Vec<Verdict> {
    judge_all(events, &[], ending)
}

fn judge_all(
    events: impl IntoIterator<Item = Event<'static>>,
    facts: &[Fact<'_>],
    ending: Ending,
) -> Vec<Verdict> {
    let mut oracles = Oracles::default();
    oracles.set_max_idle_steps(8);
    oracles.set_max_overtakes(1);
    for event in events {
        oracles.observe(&event);
    }
    for fact in facts {
        oracles.fact(fact.clone());
    }
    oracles.end(ending);
    oracles.verdicts(|_| true)
}

/// Checks that of all oracles exactly this one objects to `middle` within a run, in these words.
#[track_caller]
fn catches(invariant: Invariant, middle: &[Event<'static>], words: &str) {
    catches_in(invariant, [&start()[..], middle, &stop()].concat(), words);
}

#[track_caller]
fn catches_in(invariant: Invariant, events: Vec<Event<'static>>, words: &str) {
    let verdicts = judge(events, Ending::Quiescent);
    let objecting = verdicts.iter().filter(|verdict| !verdict.violations().is_empty());
    let objecting: Vec<_> = objecting.collect();
    let [verdict] = objecting[..] else { panic!("one oracle should object: {verdicts:#?}") };
    assert_eq!(verdict.invariant(), invariant, "{verdict}");
    assert!(!verdict.is_ok());
    let text = verdict.to_string();
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_correct_run_satisfies_every_oracle_and_each_has_seen_something() {
    let middle = [
        opened(INNER, Some(ROOT)),
        spawned(CHILD, INNER),
        Event::BranchOpened { task: MAIN, branch: 0 },
        Event::BranchClosed { task: MAIN, branch: 0, dropped: true },
        Event::BranchesLeft { task: MAIN, open: 0 },
        wrote(MAIN),
        parked(MAIN),
        Event::WaitEnded { task: MAIN, label: "lock", cancelled: false },
        reserved("mpsc::Permit"),
        resolved(Resolution::Committed),
        cancelled(CancelKind::User),
        cancelled(CancelKind::Shutdown),
        told(CHILD),
        poll(CHILD),
        completed(CHILD, INNER),
        closed(INNER),
        deferred(0),
        deferred(1),
        completed(MAIN, ROOT),
        finalizer(CHILD, ROOT),
        started(1, CHILD),
        completed(CHILD, ROOT),
        started(0, CHILD),
        finalizer(CHILD, ROOT),
        completed(CHILD, ROOT),
        closed(ROOT),
    ];
    let facts = [
        Fact::Issued,
        Fact::Arrived { name: "a letter".into(), before: false },
        Fact::Effect { name: "the launch".into() },
        Fact::FrameBegun { stream: "the line".into() },
        Fact::FrameEnded,
    ];
    for verdict in judge_all(start().into_iter().chain(middle), &facts, Ending::Quiescent) {
        assert!(verdict.is_ok(), "{verdict}");
        assert!(verdict.seen() > 0, "{verdict}");
    }
}

#[test]
fn an_oracle_that_saw_nothing_is_not_content() {
    for verdict in judge([], Ending::Quiescent) {
        assert!(verdict.is_vacuous() && !verdict.is_ok(), "{verdict}");
        assert!(verdict.to_string().ends_with("no event was seen, so nothing was shown"));
    }
}

#[test]
fn ownership_catches_tasks_with_no_owner_or_two() {
    let catches = |middle: &[Event<'static>], words| catches(Invariant::Ownership, middle, words);
    catches(&[poll(CHILD)], "polled but no region owns it");
    catches(&[completed(CHILD, ROOT)], "completed but was not alive");
    let twice = [spawned(CHILD, ROOT), completed(CHILD, ROOT), poll(CHILD)];
    catches(&twice, "polled but no region owns it");
    let nowhere = [spawned(CHILD, INNER), completed(CHILD, INNER)];
    catches(&nowhere, "which never opened");
    let elsewhere =
        [opened(INNER, Some(ROOT)), spawned(CHILD, ROOT), completed(CHILD, INNER), closed(INNER)];
    catches(&elsewhere, "is owned by r0000000001");
}

#[test]
fn ownership_catches_a_task_admitted_to_a_closed_region() {
    let late = [
        opened(INNER, Some(ROOT)),
        closed(INNER),
        spawned(CHILD, INNER),
        poll(CHILD),
        completed(CHILD, INNER),
    ];
    catches(Invariant::Ownership, &late, "which is closed");
}

#[test]
fn quiescence_catches_a_region_that_closes_over_its_children() {
    let task =
        [opened(INNER, Some(ROOT)), spawned(CHILD, INNER), closed(INNER), completed(CHILD, INNER)];
    catches(Invariant::Quiescence, &task, "closed over task t0000000004 \"worker\"");
    let region = [start(), vec![opened(INNER, Some(ROOT))], stop(), vec![closed(INNER)]].concat();
    catches_in(Invariant::Quiescence, region, "closed over 1 open regions");
    let admitted = [opened(INNER, Some(ROOT)), closed(INNER), closed(INNER)];
    catches(Invariant::Quiescence, &admitted, "closed twice");
    let counted =
        [opened(INNER, Some(ROOT)), Event::RegionClosed { region: INNER, live: 3, unresolved: 0 }];
    catches(Invariant::Quiescence, &counted, "counting 3 live");
}

#[test]
fn quiescence_catches_a_region_left_open() {
    let left = [&start()[..], &[completed(MAIN, ROOT)]].concat();
    catches_in(Invariant::Quiescence, left, "still open at the end");
}

#[test]
fn the_obligation_oracle_catches_every_way_to_leak() {
    let catches = |middle: &[Event<'static>], words| catches(Invariant::Obligations, middle, words);
    catches(&[reserved("reply"), resolved(Resolution::Leaked)], "leaked reply");
    catches(&[reserved("mpsc::Permit")], "never settled (forgotten?)");
    catches(&[resolved(Resolution::Committed)], "settled, but not open");
    let twice = [
        reserved("mpsc::Permit"),
        resolved(Resolution::Committed),
        resolved(Resolution::Committed),
    ];
    catches(&twice, "settled, but not open");
    let counted =
        [opened(INNER, Some(ROOT)), Event::RegionClosed { region: INNER, live: 0, unresolved: 2 }];
    catches(&counted, "2 unresolved");
}

#[test]
fn a_send_permit_dropped_by_a_task_that_ends_well_is_a_leak_unless_something_was_cancelled() {
    let drop_it = [reserved("mpsc::Permit"), resolved(Resolution::Dropped)];
    catches(Invariant::Obligations, &drop_it, "dropped without `send` or `abort`");

    let good = |middle: &[Event<'static>]| {
        let verdicts = judge([&start()[..], middle, &stop()].concat(), Ending::Quiescent);
        verdicts[2].violations().is_empty()
    };
    assert!(good(&[reserved("Mutex::Guard"), resolved(Resolution::Dropped)]));
    assert!(good(&[reserved("Semaphore::Permit"), resolved(Resolution::Dropped)]));
    assert!(good(&[reserved("mpsc::Permit"), resolved(Resolution::Aborted)]));
    let told = Event::TaskCancelTold { task: MAIN };
    assert!(good(&[&drop_it[..], &[told]].concat()));
}

#[test]
fn severity_that_falls_is_caught() {
    let fall = [cancelled(CancelKind::Shutdown), cancelled(CancelKind::Timeout)];
    catches(Invariant::Severity, &fall, "fell from \"shutdown\" to \"deadline passed\"");
    let request = |severity| Event::TaskCancelRequested { task: MAIN, kind: severity, severity };
    let fall = [request(CancelKind::FailFast), request(CancelKind::User)];
    catches(Invariant::Severity, &fall, "task t0000000003 \"worker\"");
}

#[test]
fn losers_that_outlive_their_combinator_are_caught() {
    let open = |branch| Event::BranchOpened { task: MAIN, branch };
    let close = |branch| Event::BranchClosed { task: MAIN, branch, dropped: false };
    let left = [open(0), open(1), close(0), Event::BranchesLeft { task: MAIN, open: 1 }, close(1)];
    catches(Invariant::Branches, &left, "while 1 branches were open");
    catches(Invariant::Branches, &[open(0)], "completed with open branches [0]");
    catches(Invariant::Branches, &[open(0), close(0), close(0)], "ended, but not open");
}

#[test]
fn finalizers_out_of_order_missing_repeated_or_early_are_caught() {
    let run = |ordinal| {
        [finalizer(CHILD, ROOT), started(ordinal, CHILD), poll(CHILD), completed(CHILD, ROOT)]
    };
    let check = |runs: &[u32], words| {
        let runs = runs.iter().flat_map(|ordinal| run(*ordinal));
        let mut events =
            [&start()[..], &[deferred(0), deferred(1), completed(MAIN, ROOT)]].concat();
        events.extend(runs);
        events.push(closed(ROOT));
        catches_in(Invariant::Finalizers, events, words);
    };
    check(&[0, 1], "finalizer 0 of region r0000000001 started before finalizer 1");
    check(&[1], "without running finalizers [0]");
    check(&[1, 0, 0], "but none waits");
    let early = [&[deferred(0)][..], &run(0)].concat();
    catches(Invariant::Finalizers, &early, "started beside 1 tasks");
}

#[test]
fn a_holder_that_is_not_polled_is_a_futurelock() {
    let park = Event::WaitParked { task: MAIN, label: "sleep", site: Location::caller() };
    let others = |polls| vec![poll(CHILD); polls];
    let events = |polls| {
        [
            start(),
            vec![spawned(CHILD, ROOT), reserved("Mutex::Guard"), park],
            others(polls),
            vec![completed(CHILD, ROOT), poll(MAIN), resolved(Resolution::Committed)],
            stop(),
        ]
        .concat()
    };
    catches_in(Invariant::Futurelock, events(20), "it waits in sleep at ");
    assert!(judge(events(6), Ending::Quiescent).iter().all(|v| v.violations().is_empty()));
}

#[test]
fn a_deadlock_is_a_region_that_will_never_be_quiescent() {
    let mut oracles = Oracles::default();
    for event in [start(), vec![wrote(MAIN), parked(MAIN)]].concat() {
        oracles.observe(&event);
    }
    oracles.tree.stand_still();
    oracles.end(Ending::Deadlock);
    let text = oracles.verdicts(|_| true)[1].to_string();
    assert!(text.contains("will never be quiescent: 1 of its tasks"), "{text}");
}

#[test]
fn completion_catches_a_cancelled_task_that_stays_or_goes_on() {
    let stays = [start(), vec![told(MAIN), closed(ROOT)]].concat();
    let verdicts = judge(stays, Ending::Quiescent);
    let verdict = verdicts.iter().find(|v| v.invariant() == Invariant::Completion).unwrap();
    assert!(verdict.to_string().contains("was cancelled and never ended"), "{verdict}");
    let escalated = Event::TaskEscalated { task: MAIN };
    let goes_on = [told(MAIN), escalated, poll(MAIN), poll(MAIN)];
    catches(Invariant::Completion, &goes_on, "is polled on after its cleanup budget");
    let dropped = [start(), vec![told(MAIN), escalated, poll(MAIN)], stop()].concat();
    assert!(judge(dropped, Ending::Quiescent).iter().all(|v| v.violations().is_empty()));
}

#[test]
fn completion_catches_a_wish_to_finish_that_nobody_hears() {
    let at = Time::from_nanos;
    let later = Event::PollBegin { task: MAIN, at: at(11) };
    let asked = Event::TaskSoftCancelled { task: MAIN, until: Some(at(10)) };
    catches(Invariant::Completion, &[asked, later], "was asked to finish until ");
    let region = Event::RegionSoftCancelled { region: INNER, until: Some(at(10)) };
    let inner = [opened(INNER, Some(ROOT)), region, later, closed(INNER)];
    catches(Invariant::Completion, &inner, "region ");
    let heard = [start(), vec![asked, told(MAIN), later], stop()].concat();
    assert!(judge(heard, Ending::Quiescent).iter().all(|v| v.violations().is_empty()));
}

#[test]
fn authority_catches_a_context_used_by_another_task() {
    let lent = [spawned(CHILD, ROOT), poll(CHILD), parked(MAIN), completed(CHILD, ROOT)];
    catches(Invariant::Authority, &lent, "lock through the context of task t0000000003");
    let end = Event::PollEnd { task: MAIN, ready: false };
    let outside = [end, Event::User { task: MAIN, message: "hello" }];
    catches(Invariant::Authority, &outside, "by outside every step");
}

/// `main` waits for the lock while `child` takes it this many times.
fn barging(times: u64) -> Vec<Event<'static>> {
    let permit = |n| ObligationId::from_bits((100 + n) << 24);
    let mut events = vec![wrote(MAIN), parked(MAIN), spawned(CHILD, ROOT)];
    for n in 0..times {
        let site = Location::caller();
        let (obligation, by) = (permit(n), Some(CHILD));
        events.extend([
            poll(CHILD),
            wrote(CHILD),
            Event::ObligationReserved { obligation, task: CHILD, kind: "Guard", site },
            Event::ObligationResolved { obligation, by, how: Resolution::Dropped },
        ]);
    }
    let ended = Event::WaitEnded { task: MAIN, label: "lock", cancelled: false };
    events.extend([completed(CHILD, ROOT), poll(MAIN), ended]);
    events
}

#[test]
fn overtaking_catches_who_is_passed_too_often() {
    catches(Invariant::Overtaking, &barging(2), "while 2 that came later were served; 1 may be");
    let once = [start(), barging(1), stop()].concat();
    assert!(judge(once, Ending::Quiescent).iter().all(|v| v.violations().is_empty()));
}

#[test]
fn deadlines_catch_time_that_goes_back_and_timers_that_fire_early() {
    let late = Event::PollBegin { task: MAIN, at: Time::from_millis(5) };
    catches(Invariant::Deadlines, &[late, poll(MAIN)], "time went back from 5ms to 0ns");
    let mut oracles = Oracles::default();
    let at = Time::from_millis(7);
    oracles.host(&asupersync_trace::Event::ClockAdvanced { to: Time::from_millis(6) });
    oracles.host(&asupersync_trace::Event::TimerFired { at });
    let verdicts = oracles.verdicts(|_| true);
    let verdict = verdicts.iter().find(|v| v.invariant() == Invariant::Deadlines).unwrap();
    assert!(verdict.to_string().contains("a timer for 7ms fired at 6ms"), "{verdict}");
}

#[test]
fn what_a_program_says_is_judged() {
    let judged = |facts: &[Fact<'_>], invariant: Invariant, words: &str| {
        let verdicts = judge_all([start(), stop()].concat(), facts, Ending::Quiescent);
        for verdict in verdicts {
            let broken = !verdict.violations().is_empty();
            assert_eq!(broken, verdict.invariant() == invariant, "{verdict}");
            assert!(!broken || verdict.to_string().contains(words), "{verdict}");
        }
    };
    let lost = [Fact::Issued, Fact::Lost { name: "a letter".into() }];
    judged(&lost, Invariant::Delivery, "a letter neither arrived nor was handed back");
    let arrived = |before| Fact::Arrived { name: "a letter".into(), before };
    let twice = [Fact::Issued, arrived(false), arrived(true)];
    judged(&twice, Invariant::Delivery, "a letter arrived twice");
    let launch = || Fact::Effect { name: "the launch".into() };
    let effects = [launch(), launch()];
    judged(&effects, Invariant::Effects, "the launch happened 2 times");
    let begun = || Fact::FrameBegun { stream: "the line".into() };
    let cut = Fact::FrameCut { stream: "the line".into(), at: "after its header".into() };
    let words = "a frame is read from the middle of one given up after its header";
    judged(&[begun(), cut, begun()], Invariant::Framing, words);
}

#[test]
fn violations_beyond_the_limit_are_counted() {
    let many = vec![poll(CHILD); 100];
    let verdicts = judge([start(), many, stop()].concat(), Ending::Quiescent);
    assert_eq!(verdicts[0].violations().len(), Verdict::KEPT);
    assert!(verdicts[0].to_string().ends_with("and 84 more"));
}
