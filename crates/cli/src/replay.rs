//! `trace replay` and `trace shrink`: the recorded test's own command.

use crate::{Answer, read};
use asupersync_trace::{Event, Recording};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

const REPLAY: &str = "ASUPERSYNC_LAB_REPLAY";
const SHRINK: &str = "ASUPERSYNC_LAB_SHRINK";

pub(crate) fn replay(
    recording: &Recording,
    file: &Path,
    run: bool,
    json: bool,
) -> Result<Answer, String> {
    let call = Call::of(recording, file)?;
    if !run {
        return Ok(Answer::Yes(told(&call.text, json, json!({ "command": call.text }))));
    }
    let status = call.run(None)?;
    let value = json!({ "command": call.text, "exit": status.code() });
    let text = told(&format!("{}\n{status}", call.text), json, value);
    Ok(if status.success() { Answer::Yes(text) } else { Answer::No(text) })
}

/// Has the recorded test shrink its failure into `out`.
pub(crate) fn shrink(
    recording: &Recording,
    file: &Path,
    out: Option<&str>,
    run: bool,
    json: bool,
) -> Result<Answer, String> {
    let call = Call::of(recording, file)?;
    let out = out.map_or_else(|| file.with_extension("small.pack"), PathBuf::from);
    let out = std::path::absolute(out).map_err(|error| error.to_string())?;
    let command = format!("{SHRINK}={} {}", out.display(), call.text);
    if !run {
        return Ok(Answer::Yes(told(&command, json, json!({ "command": command }))));
    }
    // What is there from before must not pass for the answer.
    match std::fs::remove_file(&out) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("cannot write {}: {error}", out.display()));
        }
        _ => {}
    }
    let status = call.run(Some(&out))?;
    if status.success() || !out.is_file() {
        let value = json!({ "command": command, "exit": status.code(), "out": null });
        let text = "the recorded failure did not come again, so there is nothing to shrink";
        return Ok(Answer::No(told(text, json, value)));
    }
    let small = read(&out.display().to_string())?;
    let (before, after) = (polls(recording), polls(&small));
    let value = json!({ "command": command, "exit": status.code(), "out": out,
                        "steps_before": before, "steps_after": after });
    let text = format!("{}: {before} steps became {after}", out.display());
    Ok(Answer::Yes(told(&text, json, value)))
}

fn polls(recording: &Recording) -> usize {
    let events = recording.trace.events().iter();
    let begins =
        |event: &&Event| matches!(event, Event::PollBegin { .. } | Event::TimePasses { .. });
    events.filter(begins).count()
}

fn told(text: &str, json: bool, value: serde_json::Value) -> String {
    if json { format!("{value}\n") } else { format!("{text}\n") }
}

/// The command that a pack says it is replayed with.
struct Call {
    file: PathBuf,
    /// As a shell reads it.
    text: String,
    /// What follows `cargo`.
    words: Result<Vec<String>, String>,
}

impl Call {
    fn of(recording: &Recording, file: &Path) -> Result<Call, String> {
        let pack = recording.pack.as_ref();
        let pack = pack.ok_or(
            "a trace does not say which test it is of; replay it with ASUPERSYNC_LAB_REPLAY=FILE",
        )?;
        let file = std::path::absolute(file).map_err(|error| error.to_string())?;
        let text = pack.command.replace("{}", &file.display().to_string());
        // A file from elsewhere may name any command; only a call of cargo is run, and without a shell.
        let (_, words) = pack.command.split_once(' ').ok_or("the pack holds no command")?;
        let mut words = words.split_whitespace().map(str::to_owned);
        let is_test = words.next().is_some_and(|word| word == "cargo");
        let words: Vec<String> = words.collect();
        let is_test = is_test && words.first().is_some_and(|word| word == "test");
        let refused = || format!("the pack's command is not a `cargo test`: {text}");
        let words = if is_test { Ok(words) } else { Err(refused()) };
        Ok(Call { file, text, words })
    }

    fn run(&self, shrink_into: Option<&Path>) -> Result<ExitStatus, String> {
        let mut command = Command::new("cargo");
        command.args(self.words.clone()?).env(REPLAY, &self.file).env_remove(SHRINK);
        if let Some(out) = shrink_into {
            command.env(SHRINK, out);
        }
        // What cargo prints must not get among what this command answers.
        command.stdout(std::io::stderr());
        command.status().map_err(|error| format!("cannot run cargo: {error}"))
    }
}
