//! What holds for every run of every program.

use crate::Run;
use crate::log::{Event, Log, MAIN};
use crate::program::FOR_EVER;

/// The laws that a finished run broke, one sentence each.
#[must_use]
pub fn broken(log: &Log, run: &Run) -> Vec<String> {
    let entries = log.entries();
    let mut findings = Vec::new();
    for entry in &entries {
        let Event::Spawned(who) = entry.event else { continue };
        let drops = entries.iter().filter(|e| e.who == who && e.event == Event::Dropped).count();
        if drops != 1 {
            findings.push(format!(
                "every spawned body is dropped exactly once: {}#{} was dropped {drops} times",
                who.name, who.number
            ));
        }
    }
    for (at, entry) in entries.iter().enumerate() {
        let Event::Closed { region, .. } = &entry.event else { continue };
        let late = entries[at..].iter().find(|e| log.is_within(e.who.region, *region));
        if let Some(late) = late {
            findings.push(format!(
                "nothing of a region is heard after it has closed: {} closed, then {late}",
                region.name
            ));
        }
    }
    let returned = entries.iter().position(|e| e.who == MAIN && e.event == Event::Returned);
    let late = returned.and_then(|at| entries.get(at + 1));
    if let Some(late) = late {
        findings.push(format!("nothing is heard after the run has returned: {late}"));
    }
    if run.took >= FOR_EVER {
        findings.push(format!(
            "a run takes seconds by the runtime's own clock: it took {} s, the time of a wait that \
             was to be cut short",
            run.took.as_secs()
        ));
    }
    findings
}

/// What each task was answered, in the order of their names. The numbers of the log are left out:
/// they tell in which order tasks came, and with several workers that is another one every time.
fn answers(log: &Log) -> Vec<String> {
    let mut lines: Vec<String> = log
        .entries()
        .iter()
        .filter_map(|entry| {
            let Event::Answer(answer) = &entry.event else { return None };
            Some(format!("{} {}: {answer:?}", entry.who.region.name, entry.who.name))
        })
        .collect();
    lines.sort_unstable();
    lines
}

/// What two runs that should be alike do not share: every entry, or what each task was answered.
#[must_use]
pub fn differs(first: &Log, second: &Log, in_all: bool) -> Option<String> {
    let every = |log: &Log| log.entries().iter().map(ToString::to_string).collect();
    let entries = if in_all { every } else { answers };
    let (ours, theirs) = (entries(first), entries(second));
    let differing = ours.iter().zip(&theirs).find(|(ours, theirs)| ours != theirs);
    let what = if in_all { "the same seed gives the same run" } else { "every run answers alike" };
    match differing {
        Some((ours, theirs)) => Some(format!("{what}: first {ours}, then {theirs}")),
        None if ours.len() != theirs.len() => {
            Some(format!("{what}: first {} entries, then {}", ours.len(), theirs.len()))
        }
        None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{End, ROOT, Who};
    use std::time::Duration;

    fn laws(write: impl FnOnce(&Log)) -> Vec<String> {
        let log = Log::default();
        write(&log);
        log.write(MAIN, Event::Returned);
        broken(&log, &Run { end: End::Ok, took: Duration::ZERO })
    }

    #[test]
    fn a_tidy_run_breaks_no_law() {
        let findings = laws(|log| {
            let region = log.open(MAIN, "r", ROOT);
            drop(log.spawn(MAIN, "t", region));
            log.closed(MAIN, region, End::Ok, vec![], 0);
            log.write(MAIN, Event::Note("after"));
        });
        assert!(findings.is_empty(), "{findings:?}");
    }

    #[test]
    fn a_body_that_is_kept_is_found() {
        let findings = laws(|log| std::mem::forget(log.spawn(MAIN, "t", ROOT)));
        assert!(findings[0].contains("t#1 was dropped 0 times"), "{findings:?}");
    }

    #[test]
    fn a_grandchild_heard_after_the_close_is_found() {
        let findings = laws(|log| {
            let outer = log.open(MAIN, "outer", ROOT);
            let inner = log.open(MAIN, "inner", outer);
            let grandchild = log.spawn(MAIN, "grandchild", inner);
            log.closed(MAIN, outer, End::Ok, vec![], 0);
            drop(grandchild);
        });
        assert!(findings[0].contains("outer closed, then inner#2 grandchild#1"), "{findings:?}");
    }

    #[test]
    fn an_entry_after_the_return_is_found() {
        let log = Log::default();
        log.write(MAIN, Event::Returned);
        log.write(Who { name: "t", number: 1, region: ROOT }, Event::Note("late"));
        let findings = broken(&log, &Run { end: End::Ok, took: Duration::ZERO });
        assert!(findings[0].contains("root#0 t#1: \"late\""), "{findings:?}");
    }

    #[test]
    fn runs_that_differ_are_told_apart() {
        let log = |order: [&'static str; 2], answer: &str| {
            let log = Log::default();
            for note in order {
                log.write(MAIN, Event::Note(note));
            }
            log.write(MAIN, Event::Answer(answer.to_owned()));
            log
        };
        let one = log(["a", "b"], "yes");
        assert_eq!(differs(&one, &log(["a", "b"], "yes"), true), None);
        assert!(differs(&one, &log(["b", "a"], "yes"), true).is_some());
        assert_eq!(differs(&one, &log(["b", "a"], "yes"), false), None);
        assert!(differs(&one, &log(["a", "b"], "no"), false).is_some());
    }

    #[test]
    fn answers_are_alike_whichever_of_two_tasks_comes_first() {
        let log = |order: [&'static str; 2]| {
            let log = Log::default();
            for name in order {
                let body = log.spawn(MAIN, name, ROOT);
                log.write(body.who, Event::Answer(format!("the answer of {name}")));
            }
            log
        };
        let (one, other) = (log(["left", "right"]), log(["right", "left"]));
        assert_eq!(differs(&one, &other, false), None);
        assert!(differs(&one, &other, true).is_some());
    }

    #[test]
    fn a_wait_that_was_sat_out_on_a_virtual_clock_is_found() {
        let run = Run { end: End::Ok, took: FOR_EVER };
        assert_eq!(broken(&Log::default(), &run).len(), 1);
    }
}
