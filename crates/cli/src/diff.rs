//! `trace diff`: where two runs part.

use crate::Answer;
use crate::model::Model;
use asupersync_core::{ObjectId, TaskId};
use asupersync_trace::{
    Actor, Causality, Difference, Effort, Event, Fingerprint, Limits, Recording, Step, Target,
    Touch, Trace, first_difference, geodesic, plain,
};
use serde_json::json;
use std::collections::BTreeMap;

/// Steps of a run beyond which only its events are compared.
const LONGEST: usize = 2_000;

/// Compares a pack's run with its passing twin.
pub(crate) fn with_twin(recording: &Recording, json: bool) -> Result<Answer, String> {
    let twin = recording.twin(&Limits::default());
    let twin = twin.ok_or("there is no passing twin in this file; name two files")?;
    Ok(diff(&recording.trace, &twin, json))
}

pub(crate) fn diff(left: &Trace, right: &Trace, json: bool) -> Answer {
    let same_class = Fingerprint::of_trace(left) == Fingerprint::of_trace(right);
    let Some(difference) = first_difference(left, right) else {
        let text = if json {
            format!("{}\n", json!({ "same": true, "same_class": true }))
        } else {
            "the traces are the same\n".to_owned()
        };
        return Answer::Yes(text);
    };
    let parting = if same_class { None } else { Parting::of(left, right) };
    if json {
        let event = match &difference {
            Difference::Event { index, left, right } => {
                json!({ "index": index, "left": left, "right": right })
            }
            _ => json!(null),
        };
        let step = parting.map(
            |parting| json!({ "step": parting.step, "left": parting.left, "right": parting.right }),
        );
        let value =
            json!({ "same": false, "same_class": same_class, "event": event, "step": step });
        return Answer::No(format!("{value}\n"));
    }
    let class = match &parting {
        _ if same_class => {
            "they are of one class: only the order of independent steps differs".to_owned()
        }
        None => "they are of different classes".to_owned(),
        Some(Parting { step, left, right }) => format!(
            "they are of different classes. The first step of which that can be told: {}\n  left:  it \
             {}\n  right: it {}",
            plain(step),
            plain(left),
            plain(right)
        ),
    };
    Answer::No(format!("{difference}\n{class}\n"))
}

/// The first step, in the left run's equivalent order with the fewest switches of task, that is not in the right
/// run, does another thing there, or comes after other steps there.
struct Parting {
    step: String,
    /// What is different about it, in words, in the left run and in the right.
    left: String,
    right: String,
}

impl Parting {
    fn of(left: &Trace, right: &Trace) -> Option<Parting> {
        let (one, other) = (Run::of(left)?, Run::of(right)?);
        let places: BTreeMap<_, _> =
            other.keys.iter().enumerate().map(|(at, k)| (*k, at)).collect();
        for at in geodesic(&one.steps, Effort::default()).order {
            let step = tell(left, &one.steps[at]);
            let Some(same) = places.get(&one.keys[at]).copied() else {
                return Some(Parting { step, left: "is there".into(), right: "is not".into() });
            };
            let there = &other.steps[same];
            if there.touches != one.steps[at].touches {
                let right = tell(right, there);
                return Some(Parting {
                    step,
                    left: "is there".into(),
                    right: format!("is {right}"),
                });
            }
            let (mine, theirs) = (one.past(at), other.past(same));
            // The last of them is the nearest.
            let only_left =
                mine.iter().rev().find(|(key, _)| !theirs.iter().any(|(k, _)| k == key));
            let only_right =
                theirs.iter().rev().find(|(key, _)| !mine.iter().any(|(k, _)| k == key));
            let side = |extra: Option<&(Key, usize)>, trace: &Trace, run: &Run, other| match extra {
                Some((_, at)) => format!("comes after {}", tell(trace, &run.steps[*at])),
                None => format!("does not come after {other}"),
            };
            let name = |extra: Option<&(Key, usize)>, trace: &Trace, run: &Run| {
                extra.map(|(_, at)| tell(trace, &run.steps[*at])).unwrap_or_default()
            };
            if only_left.is_some() || only_right.is_some() {
                let (l, r) = (name(only_left, left, &one), name(only_right, right, &other));
                return Some(Parting {
                    step,
                    left: side(only_left, left, &one, r),
                    right: side(only_right, right, &other, l),
                });
            }
        }
        None
    }
}

/// Whose step it is, and which of these.
type Key = (Actor, usize);

struct Run {
    steps: Vec<Step>,
    keys: Vec<Key>,
    causality: Causality,
}

impl Run {
    fn of(trace: &Trace) -> Option<Run> {
        let steps = trace.steps();
        if steps.len() > LONGEST {
            return None;
        }
        let mut counts: BTreeMap<Actor, usize> = BTreeMap::new();
        let keys = steps.iter().map(|step| {
            let count = counts.entry(step.actor).or_insert(0);
            *count += 1;
            (step.actor, *count)
        });
        let keys = keys.collect();
        let causality = Causality::of(&steps);
        Some(Run { steps, keys, causality })
    }

    /// What happens before a step, in order.
    fn past(&self, at: usize) -> Vec<(Key, usize)> {
        let past = self.causality.past(at).filter(|before| *before != at);
        past.map(|before| (self.keys[before], before)).collect()
    }
}

/// Who takes a step, and what it writes and reads.
fn tell(trace: &Trace, step: &Step) -> String {
    let model = Model::of(trace);
    let task = |task: TaskId| {
        let known = model.tasks.iter().find(|known| known.id == task);
        known.map_or_else(|| task.to_string(), |known| known.name.clone())
    };
    let who = match step.actor {
        Actor::Task(id) => task(id),
        Actor::Region(region) => format!("region {}", model.path(region)),
        Actor::Timer(at) => format!("the timer for {at}"),
        Actor::Host => "the clock or a fault".to_owned(),
        Actor::Outside => "the host".to_owned(),
        Actor::Clock => "time passing".to_owned(),
    };
    let what = |target: Target| match target {
        Target::Object(id) => format!("{} {id}", label(trace, id)),
        Target::Readiness(id) => format!("the readiness of {}", task(id)),
        Target::Door(region) => format!("the door of {}", model.path(region)),
        Target::Children(region) => format!("the children of {}", model.path(region)),
        Target::Turn(region) => format!("the turn of {}", model.path(region)),
        Target::Clock => "the clock".to_owned(),
    };
    // What the kernel keeps of a task goes along with nearly every step.
    let is_object = |touch: &Touch| matches!(touch.target, Target::Object(_));
    let any = step.touches.iter().any(is_object);
    let mut text = who;
    for (verb, write) in [("writes", true), ("reads", false)] {
        let touches = step.touches.iter().filter(|touch| touch.write == write);
        let touches = touches.filter(|touch| !any || is_object(touch));
        let names: Vec<String> = touches.map(|touch| what(touch.target)).collect();
        if !names.is_empty() {
            text.push_str(&format!(", {verb} {}", names.join(" and ")));
        }
    }
    text
}

fn label(trace: &Trace, id: ObjectId) -> &str {
    let mut accesses = trace.events().iter().filter_map(|event| match event {
        Event::Access { object, label, .. } if *object == id => Some(trace.tables().text(*label)),
        _ => None,
    });
    accesses.next().unwrap_or_default()
}
