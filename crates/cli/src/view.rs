//! `trace view`: one page that needs nothing else.

use crate::model::Model;
use asupersync_trace::{Limits, Recording, Trace};
use serde_json::{Value, json};

const PAGE: &str = include_str!("view.html");

/// The page of a recording, with its twin beside it if it has one.
pub(crate) fn page(recording: &Recording) -> String {
    let pack = recording.pack.as_ref();
    let mut runs = vec![run("the run", &recording.trace)];
    if let Some(twin) = recording.twin(&Limits::default()) {
        runs[0] = run("the failing run", &recording.trace);
        runs.push(run("the passing twin", &twin));
    }
    let data = json!({
        "seed": recording.trace.header().seed,
        "failure": pack.map(|pack| &pack.failure),
        "command": pack.map(|pack| &pack.command),
        "marks": pack.map(|pack| json!([pack.first, pack.second])),
        "runs": runs,
    });
    // Inside a script element nothing may look like its end.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replace("/*DATA*/null", &data)
}

fn run(title: &str, trace: &Trace) -> Value {
    let model = Model::of(trace);
    // Lanes of one region stand together.
    let place = |region| model.regions.iter().position(|known| known.id == region);
    let mut order: Vec<usize> = (0..model.tasks.len()).collect();
    order.sort_by_key(|task| (place(model.tasks[*task].region), *task));
    let mut lane_of = vec![0; order.len()];
    for (lane, task) in order.iter().enumerate() {
        lane_of[*task] = lane;
    }
    let lanes: Vec<Value> = order
        .iter()
        .map(|task| {
            let task = &model.tasks[*task];
            let end = task.end.map(|end| format!("{end:?}"));
            json!({ "name": task.name, "region": model.path(task.region), "site": task.site, "end": end })
        })
        .collect();
    let polls: Vec<Value> = model
        .polls
        .iter()
        .map(|poll| {
            let wakes: Vec<usize> = poll.wakes.iter().map(|task| lane_of[*task]).collect();
            json!({ "l": lane_of[poll.task], "t": poll.at.as_nanos(), "p": poll.phase.name(),
                    "d": poll.deeds, "k": poll.parked, "w": wakes })
        })
        .collect();
    json!({ "title": title, "lanes": lanes, "polls": polls })
}
