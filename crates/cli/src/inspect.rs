//! `trace inspect`: what a file holds.

use crate::model::Model;
use asupersync_trace::{Fingerprint, Recording, plain};
use serde_json::json;
use std::fmt::Write as _;

pub(crate) fn inspect(recording: &Recording, json: bool, events: bool) -> Result<String, String> {
    let trace = &recording.trace;
    let model = Model::of(trace);
    let fingerprint = Fingerprint::of_trace(trace);
    let choices = trace.choices().count();
    let end = model.polls.last().map(|poll| poll.at).unwrap_or_default();
    let steps = model.steps_of_tasks();
    let tasks = model.tasks.iter().zip(&steps).map(|(task, steps)| {
        let end = task.end.map_or("not ended".to_owned(), |end| format!("{end:?}"));
        (task, end, steps.len())
    });
    let pack = recording.pack.as_ref();
    if json {
        let tasks: Vec<_> = tasks
            .map(|(task, end, polls)| {
                json!({ "id": task.id.to_string(), "name": task.name, "spawned_at": task.site,
                        "region": model.path(task.region), "end": end, "polls": polls })
            })
            .collect();
        let mut value = json!({
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
            "shrunk": pack.map(|pack| &pack.shrunk),
            "command": pack.map(|pack| &pack.command),
        });
        if events {
            let lines = trace.events().iter().map(|event| trace.line(event).to_string());
            value["log"] = lines.collect();
        }
        return serde_json::to_string_pretty(&value)
            .map(|text| text + "\n")
            .map_err(|error| error.to_string());
    }
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        writeln!(text, "{:<13} {}", plain(name), plain(&value)).expect("strings take all");
    };
    if let Some(pack) = pack {
        line("failure", pack.failure.clone());
        if let Some(first) = pack.first {
            let second = pack.second.map(|second| format!(" before step {second}"));
            line("order", format!("step {first}{}", second.unwrap_or_default()));
        }
        if !pack.shrunk.is_empty() {
            line("shrunk to", pack.shrunk.clone());
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
