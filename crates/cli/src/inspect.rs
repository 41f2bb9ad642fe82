//! `trace inspect`: what a file holds.

use crate::model::Model;
use asupersync_trace::{Fingerprint, Recording};
use serde_json::json;
use std::fmt::Write as _;

pub(crate) fn inspect(recording: &Recording, json: bool, events: bool) -> Result<String, String> {
    let trace = &recording.trace;
    let model = Model::of(trace);
    let fingerprint = Fingerprint::of_trace(trace);
    let choices = trace.choices().count();
    let end = model.polls.last().map(|poll| poll.at).unwrap_or_default();
    let tasks = model.tasks.iter().map(|task| {
        let end = task.end.map_or("not ended".to_owned(), |end| format!("{end:?}"));
        let polls = model.polls.iter().filter(|poll| model.tasks[poll.task].id == task.id).count();
        (task, end, polls)
    });
    let pack = recording.pack.as_ref();
    if json {
        let tasks: Vec<_> = tasks
            .map(|(task, end, polls)| {
                json!({ "id": task.id.to_string(), "name": task.name, "spawned_at": task.site,
                        "region": model.path(task.region), "end": end, "polls": polls })
            })
            .collect();
        let value = json!({
            "seed": trace.header().seed,
            "options": trace.header().options,
            "events": trace.events().len(),
            "steps": model.polls.len(),
            "choices": choices,
            "virtual_time_ns": end.as_nanos(),
            "fingerprint": fingerprint.to_string(),
            "tasks": tasks,
            "failure": pack.map(|pack| &pack.failure),
            "order": pack.map(|pack| json!([pack.first, pack.second])),
            "command": pack.map(|pack| &pack.command),
        });
        return serde_json::to_string_pretty(&value)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string());
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{name:<13} {value}").expect("strings take all");
    };
    if let Some(pack) = pack {
        line("failure", pack.failure.clone());
        if let Some(first) = pack.first {
            let second = pack.second.map(|second| format!(" before step {second}"));
            line("order", format!("step {first}{}", second.unwrap_or_default()));
        }
        line("replay", pack.command.clone());
        line("twin", if pack.twin.is_empty() { "none" } else { "in the pack" }.to_owned());
    }
    line("seed", trace.header().seed.to_string());
    for (name, value) in &trace.header().options {
        line(name, value.clone());
    }
    line("steps", format!("{} ({} events)", model.polls.len(), trace.events().len()));
    line("choices", choices.to_string());
    line("virtual time", end.to_string());
    line("class", fingerprint.to_string());
    for (task, end, polls) in tasks {
        let region = model.path(task.region);
        line("task", format!("{} in {region}, {polls} polls, {end}", task.name));
    }
    if events {
        text.push_str(&trace.to_text());
    }
    Ok(text)
}
