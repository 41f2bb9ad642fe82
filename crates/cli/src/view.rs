//! `trace view`: one page that needs nothing else.

use crate::model::Model;
use asupersync_core::TaskId;
use asupersync_trace::{Limits, Recording, plain};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PAGE: &str = include_str!("view.html");

/// Steps that a page holds unless told otherwise: some megabytes, which any browser takes.
const MOST: usize = 20_000;

/// Which steps of a run the page holds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// The first; by default such that the marked steps, or else the last, are there.
    pub(crate) from: Option<usize>,
    /// How many.
    pub(crate) steps: Option<usize>,
}

impl Window {
    /// The steps of a run of so many, of which these are to be seen.
    fn of(self, all: usize, wanted: Option<usize>) -> std::ops::Range<usize> {
        let most = self.steps.unwrap_or(MOST).max(1);
        let last = all.saturating_sub(most);
        // A quarter of the window before what is wanted.
        let around = wanted.map_or(last, |wanted| wanted.saturating_sub(most / 4));
        let from = self.from.map_or(around.min(last), |from| from.min(all));
        from..all.min(from.saturating_add(most))
    }
}

/// The page of a recording, with its twin beside it if it has one.
pub(crate) fn page(recording: &Recording, window: Window) -> String {
    let pack = recording.pack.as_ref();
    let first = pack.and_then(|pack| usize::try_from(pack.first?).ok());
    let twin = recording.twin(&Limits::default());
    let title = if twin.is_some() { "the failing run" } else { "the run" };
    let failing = Model::of(&recording.trace);
    let marked = pack.into_iter().flat_map(|pack| [pack.first, pack.second]).flatten();
    let marked: Vec<(TaskId, usize)> =
        marked.filter_map(|step| failing.nth(usize::try_from(step).ok()?)).collect();
    let mut runs = vec![run(title, &failing, window, first, &marked)];
    // The same two steps, where the other comes first.
    runs.extend(
        twin.map(|twin| run("the passing twin", &Model::of(&twin), window, first, &marked)),
    );
    let data = json!({
        "seed": recording.trace.header().seed,
        "failure": pack.map(|pack| plain(&pack.failure)),
        "shrunk": pack.map(|pack| plain(&pack.shrunk)),
        "command": pack.map(|pack| plain(&pack.command).replace("{}", "FILE")),
        "marks": pack.map(|pack| json!([pack.first, pack.second])),
        "runs": runs,
    });
    // Inside a script element nothing may look like its end.
    let data = data.to_string().replace('<', "\\u003c");
    PAGE.replace("/*DATA*/null", &data)
}

fn run(
    title: &str,
    model: &Model,
    window: Window,
    wanted: Option<usize>,
    marked: &[(TaskId, usize)],
) -> Value {
    let marks: Vec<usize> =
        marked.iter().filter_map(|(task, nth)| model.step(*task, *nth)).collect();
    let steps = window.of(model.polls.len(), wanted);
    let shown = &model.polls[steps.clone()];
    // Lanes of one region stand together; a task without a step in the window has none, unless it is woken.
    let mut seen = vec![steps.len() == model.polls.len(); model.tasks.len()];
    for poll in shown {
        seen[poll.task] = true;
        poll.wakes.iter().for_each(|task| seen[*task] = true);
    }
    let places: BTreeMap<_, _> =
        model.regions.iter().enumerate().map(|(place, region)| (region.id, place)).collect();
    let mut order: Vec<usize> = (0..model.tasks.len()).filter(|task| seen[*task]).collect();
    order.sort_by_key(|task| (places.get(&model.tasks[*task].region), *task));
    let mut lane_of = vec![0; model.tasks.len()];
    for (lane, task) in order.iter().enumerate() {
        lane_of[*task] = lane;
    }
    let lanes: Vec<Value> = order
        .iter()
        .map(|task| {
            let task = &model.tasks[*task];
            let end = task.end.map(|end| format!("{end:?}"));
            json!({ "name": plain(&task.name), "region": plain(&model.path(task.region)),
                    "site": plain(&task.site), "end": end })
        })
        .collect();
    let polls: Vec<Value> = shown
        .iter()
        .map(|poll| {
            let wakes: Vec<usize> = poll.wakes.iter().map(|task| lane_of[*task]).collect();
            let deeds: Vec<_> = poll.deeds.iter().map(|deed| plain(deed)).collect();
            json!({ "l": lane_of[poll.task], "t": poll.at.as_nanos(), "p": poll.phase.name(),
                    "d": deeds, "k": poll.parked.as_deref().map(plain), "w": wakes })
        })
        .collect();
    json!({ "title": title, "first": steps.start, "all": model.polls.len(),
            "tasks": model.tasks.len(), "marks": marks, "lanes": lanes, "polls": polls })
}

#[cfg(test)]
mod tests {
    use super::Window;

    #[test]
    fn a_window_is_bounded_and_holds_what_is_wanted() {
        let window = Window::default();
        assert_eq!(window.of(1_000, None), 0..1_000);
        assert_eq!(window.of(1_000_000, None), 980_000..1_000_000);
        assert_eq!(window.of(1_000_000, Some(500_000)), 495_000..515_000);
        assert_eq!(window.of(1_000_000, Some(3)), 0..20_000);
        let chosen = Window { from: Some(70), steps: Some(10) };
        assert_eq!(
            (chosen.of(100, None), chosen.of(75, None), chosen.of(5, None)),
            (70..80, 70..75, 5..5)
        );
    }
}
