//! `trace export`: the run in other tools' formats.

use crate::model::Model;
use asupersync_trace::{Trace, plain};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Trace events as Chrome and Perfetto read them. A step takes one microsecond, so that order shows where
/// virtual time stands still; the virtual time is among the arguments.
pub(crate) fn perfetto(trace: &Trace) -> String {
    let model = Model::of(trace);
    let steps = model.steps_of_tasks();
    let mut events: Vec<Value> = Vec::new();
    for (tid, task) in model.tasks.iter().enumerate() {
        let name = format!("{} ({})", task.name, model.path(task.region));
        events.push(json!({ "ph": "M", "pid": 1, "tid": tid, "name": "thread_name",
                            "args": { "name": name } }));
    }
    for (before, text) in model.between() {
        events.push(json!({ "ph": "i", "pid": 1, "tid": 0, "s": "g", "ts": before, "name": text }));
    }
    for (step, poll) in model.polls.iter().enumerate() {
        let name = poll.parked.as_deref().unwrap_or(poll.phase.name());
        events.push(
            json!({ "ph": "X", "pid": 1, "tid": poll.task, "ts": step, "dur": 1, "name": name,
                            "cat": poll.phase.name(),
                            "args": { "step": step, "virtual_ns": poll.at.as_nanos(),
                                      "did": poll.deeds } }),
        );
        for woken in &poll.wakes {
            let Some(next) = next_poll(&steps[*woken], step) else { continue };
            let id = format!("{step}-{woken}");
            events.push(json!({ "ph": "s", "pid": 1, "tid": poll.task, "ts": step, "id": id,
                                "name": "wake", "cat": "wake" }));
            events
                .push(json!({ "ph": "f", "bp": "e", "pid": 1, "tid": woken, "ts": next, "id": id,
                                "name": "wake", "cat": "wake" }));
        }
    }
    format!("{}\n", json!({ "displayTimeUnit": "ns", "traceEvents": events }))
}

/// The first of a task's steps after this one.
fn next_poll(steps: &[usize], after: usize) -> Option<usize> {
    steps.get(steps.partition_point(|step| *step <= after)).copied()
}

/// Polls by region path, task and what they parked on, as flame graph tools read them.
pub(crate) fn folded(trace: &Trace) -> String {
    let model = Model::of(trace);
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for poll in &model.polls {
        let task = &model.tasks[poll.task];
        let mut frames = model.names(task.region);
        frames.push(task.name.clone());
        frames.extend(poll.parked.clone());
        let frames: Vec<String> = frames.iter().map(|name| plain(name).replace(';', ",")).collect();
        *counts.entry(frames.join(";")).or_default() += 1;
    }
    let lines = counts.into_iter().map(|(stack, count)| format!("{stack} {count}\n"));
    lines.collect()
}

/// The steps, each task's in a column, and who woke whom.
pub(crate) fn dot(trace: &Trace) -> String {
    let model = Model::of(trace);
    let steps = model.steps_of_tasks();
    let quote = |text: &str| plain(text).replace('\\', "\\\\").replace('"', "\\\"");
    let mut text = String::from("digraph run {\n  node [shape=box, fontname=monospace];\n");
    let mut last: BTreeMap<usize, usize> = BTreeMap::new();
    let mut between: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (before, what) in model.between() {
        between.entry(before.max(1)).or_default().push(format!("({what})"));
    }
    for (step, poll) in model.polls.iter().enumerate() {
        let name = quote(&model.tasks[poll.task].name);
        // What came before a step stands with the one that it came after, if there is one.
        let after = between.remove(&(step + 1)).unwrap_or_default();
        let deeds = quote(&[&poll.deeds[..], &after].concat().join(", "));
        writeln!(text, "  s{step} [label=\"{step} {name}\\n{deeds}\"];").expect("strings take all");
        if let Some(before) = last.insert(poll.task, step) {
            writeln!(text, "  s{before} -> s{step};").expect("strings take all");
        }
        for woken in &poll.wakes {
            if let Some(next) = next_poll(&steps[*woken], step) {
                writeln!(text, "  s{step} -> s{next} [style=dashed];").expect("strings take all");
            }
        }
    }
    text.push_str("}\n");
    text
}
