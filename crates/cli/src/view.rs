//! `trace view`: one page that needs nothing else.

use crate::model::{Model, Phase, Task};
use asupersync_core::TaskId;
use asupersync_trace::{Actor, Limits, Recording, Share, Trace, plain};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const PAGE: &str = include_str!("view/page.html");
const STYLE: &str = include_str!("view/style.css");
/// What draws the runs, and what answers to whoever looks at them.
const SCRIPTS: [&str; 2] = [include_str!("view/draw.js"), include_str!("view/page.js")];

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
    let mut runs = vec![run(title, &recording.trace, &failing, window, first, &marked)];
    // The same two steps, where the other comes first.
    runs.extend(
        twin.map(|twin| run("the passing twin", &twin, &Model::of(&twin), window, first, &marked)),
    );
    let share = |share: &Share| json!([share.steps, share.failed, share.classes]);
    let data = json!({
        "seed": recording.trace.header().seed,
        "failure": pack.map(|pack| plain(&pack.failure)),
        "shrunk": pack.map(|pack| plain(&pack.shrunk)),
        "command": pack.map(|pack| plain(&pack.command).replace("{}", "FILE")),
        "marks": pack.map(|pack| json!([pack.first, pack.second])),
        "shares": pack.map_or(Vec::new(), |pack| pack.shares.iter().map(share).collect()),
        "runs": runs,
    });
    // Inside a script element nothing may look like its end.
    let data = data.to_string().replace('<', "\\u003c");
    // The data last, for it may hold anything.
    let page = PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &SCRIPTS.concat());
    page.replacen("/*DATA*/null", &data, 1)
}

fn run(
    title: &str,
    trace: &Trace,
    model: &Model,
    window: Window,
    wanted: Option<usize>,
    marked: &[(TaskId, usize)],
) -> Value {
    let marks: Vec<usize> =
        marked.iter().filter_map(|(task, nth)| model.step(*task, *nth)).collect();
    let steps = window.of(model.polls.len(), wanted);
    let is_shown =
        |from: usize, to: Option<usize>| from < steps.end && to.is_none_or(|to| to >= steps.start);
    let lanes = Lanes::of(model, &steps, is_shown);
    let holds = model.holds.iter().filter(|hold| is_shown(hold.from, hold.to)).map(|hold| {
        json!({ "l": lanes.of_task[hold.task], "a": hold.from, "z": hold.to, "n": plain(&hold.name),
                "s": plain(&hold.site) })
    });
    let waits = model.waits.iter().filter(|wait| is_shown(wait.from, wait.to)).map(|wait| {
        let hold = &model.holds[wait.hold];
        json!({ "l": lanes.of_task[wait.task], "a": wait.from, "z": wait.to, "n": plain(&hold.name),
                "h": plain(&model.tasks[hold.task].name) })
    });
    let cuts = model.cuts.iter().filter(|cut| is_shown(cut.before, Some(cut.before))).map(|cut| {
        let reached = cut.tasks.iter().filter(|task| lanes.seen[**task]);
        let reached: Vec<usize> = reached.map(|task| lanes.of_task[*task]).collect();
        json!({ "b": cut.before, "n": plain(&cut.of), "l": reached, "i": cut.injected })
    });
    let signs = model.signs.iter().filter(|sign| is_shown(sign.before, Some(sign.before)));
    let signs = signs.map(|sign| json!({ "b": sign.before, "n": sign.text, "end": sign.is_end }));
    let tasks = model.tasks.iter().filter(|task| task.id != Actor::TIME).count();
    json!({ "title": title, "first": steps.start, "all": model.polls.len(), "tasks": tasks,
            "marks": marks, "lanes": lanes.values(model), "polls": polls(trace, model, &steps, &lanes),
            "holds": holds.collect::<Vec<_>>(), "waits": waits.collect::<Vec<_>>(),
            "cuts": cuts.collect::<Vec<_>>(), "signs": signs.collect::<Vec<_>>() })
}

/// The tasks that are shown, each at its place.
struct Lanes {
    seen: Vec<bool>,
    order: Vec<usize>,
    of_task: Vec<usize>,
}

impl Lanes {
    /// Those of one region stand together, and time before all. A task without a step in the window has no lane, unless
    /// it is woken or holds something.
    fn of(
        model: &Model,
        steps: &std::ops::Range<usize>,
        is_shown: impl Fn(usize, Option<usize>) -> bool,
    ) -> Lanes {
        let mut seen = vec![steps.len() == model.polls.len(); model.tasks.len()];
        for poll in &model.polls[steps.clone()] {
            seen[poll.task] = true;
            poll.wakes.iter().for_each(|task| seen[*task] = true);
        }
        for hold in model.holds.iter().filter(|hold| is_shown(hold.from, hold.to)) {
            seen[hold.task] = true;
        }
        for wait in model.waits.iter().filter(|wait| is_shown(wait.from, wait.to)) {
            seen[wait.task] = true;
        }
        // A region stands after the one that it is in, with what that one has in it.
        let path = |task: usize| model.places(model.tasks[task].region);
        let mut order: Vec<usize> = (0..model.tasks.len()).filter(|task| seen[*task]).collect();
        let is_time = |task: usize| model.tasks[task].id == Actor::TIME;
        order.sort_by_cached_key(|task| (!is_time(*task), path(*task), *task));
        let mut of_task = vec![0; model.tasks.len()];
        for (lane, task) in order.iter().enumerate() {
            of_task[*task] = lane;
        }
        Lanes { seen, order, of_task }
    }

    fn values(&self, model: &Model) -> Vec<Value> {
        let mut paths = BTreeMap::new();
        let of = |task: &usize| {
            let task = &model.tasks[*task];
            let end = task.end.map(|end| format!("{end:?}"));
            let region = paths.entry(task.region).or_insert_with(|| {
                let names = model.names(task.region);
                names.iter().map(|name| plain(name).into_owned()).collect::<Vec<_>>()
            });
            json!({ "name": plain(&task.name), "region": region, "site": if task.by_host { "".into() } else { plain(&task.site) }, "end": end, "id": id(task),
                    "a": task.spawned, "z": task.ended, "time": task.id == Actor::TIME })
        };
        self.order.iter().map(of).collect()
    }
}

/// The id of a task that has no name of its own.
fn id(task: &Task) -> Option<String> {
    let id = task.id.to_string();
    task.name.starts_with(&format!("{id} ")).then_some(id)
}

/// The steps, without what is empty: most of a large page is these.
fn polls(
    trace: &Trace,
    model: &Model,
    steps: &std::ops::Range<usize>,
    lanes: &Lanes,
) -> Vec<Value> {
    let levels = model.levels(trace);
    let levels = levels.get(steps.clone()).unwrap_or_default();
    let mut bands = levels.to_vec();
    bands.sort_unstable();
    bands.dedup();
    let of = |(at, poll): (usize, &crate::model::Poll)| {
        let mut value = Map::new();
        value.insert("l".to_owned(), json!(lanes.of_task[poll.task]));
        value.insert("t".to_owned(), json!(poll.at.as_nanos()));
        if poll.phase != Phase::Running {
            value.insert("p".to_owned(), json!(poll.phase as u8));
        }
        if let Some(level) = levels.get(at) {
            value.insert("b".to_owned(), json!(bands.partition_point(|band| band < level)));
        }
        if !poll.deeds.is_empty() {
            let deeds: Vec<_> = poll.deeds.iter().map(|deed| plain(deed)).collect();
            value.insert("d".to_owned(), json!(deeds));
        }
        if let Some(parked) = &poll.parked {
            value.insert("k".to_owned(), json!(plain(parked)));
        }
        if !poll.wakes.is_empty() {
            let wakes: Vec<usize> = poll.wakes.iter().map(|task| lanes.of_task[*task]).collect();
            value.insert("w".to_owned(), json!(wakes));
        }
        if !poll.meets.is_empty() {
            let meets: Vec<_> =
                poll.meets.iter().map(|(from, name)| json!([from, plain(name)])).collect();
            value.insert("m".to_owned(), json!(meets));
        }
        Value::Object(value)
    };
    model.polls[steps.clone()].iter().enumerate().map(of).collect()
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
