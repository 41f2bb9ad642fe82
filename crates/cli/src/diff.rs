//! `trace diff`: where two runs part.

use crate::Answer;
use asupersync_trace::{Difference, Fingerprint, Limits, Recording, Trace, first_difference};
use serde_json::json;

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
    if json {
        let event = match &difference {
            Difference::Event { index, left, right } => {
                json!({ "index": index, "left": left, "right": right })
            }
            _ => json!(null),
        };
        let value = json!({ "same": false, "same_class": same_class, "event": event });
        return Answer::No(format!("{value}\n"));
    }
    let class = if same_class {
        "they are of one class: only the order of independent steps differs"
    } else {
        "they are of different classes"
    };
    Answer::No(format!("{difference}\n{class}\n"))
}
