//! `trace replay` and `trace shrink`: the recorded test's own command.

use crate::{Answer, read, spare};
use asupersync_trace::{Event, Recording, plain, shell_word};
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
    out: Option<&Path>,
    run: bool,
    json: bool,
) -> Result<Answer, String> {
    let call = Call::of(recording, file)?;
    let out = out.map_or_else(|| file.with_extension("small.pack"), PathBuf::from);
    spare(file, &out)?;
    let out = std::path::absolute(out).map_err(|error| error.to_string())?;
    let command = format!("{SHRINK}={} {}", shell_word(&out.display().to_string()), call.text);
    if !run {
        return Ok(Answer::Yes(told(&command, json, json!({ "command": command }))));
    }
    if !out.parent().is_some_and(Path::is_dir) {
        return Err(format!("cannot write {}: its folder is not there", out.display()));
    }
    // What is there from before must not pass for the answer.
    match std::fs::remove_file(&out) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(format!("cannot write {}: {error}", out.display()));
        }
        _ => {}
    }
    let status = call.run(Some(&out))?;
    if status.success() {
        let value = json!({ "command": command, "exit": status.code(), "out": null });
        let text = "the recorded failure did not come again, so there is nothing to shrink";
        return Ok(Answer::No(told(text, json, value)));
    }
    if !out.is_file() {
        let out = out.display();
        return Err(format!("the test failed without writing {out} ({status}); it says why above"));
    }
    let small = read(&out)?;
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
    words: Vec<String>,
}

impl Call {
    fn of(recording: &Recording, file: &Path) -> Result<Call, String> {
        let pack = recording.pack.as_ref();
        let pack = pack.ok_or(
            "a trace does not say which test it is of; replay it with ASUPERSYNC_LAB_REPLAY=FILE",
        )?;
        let file = std::path::absolute(file).map_err(|error| error.to_string())?;
        let words = call_of_a_test(&pack.command).ok_or_else(|| {
            let command = plain(&pack.command);
            format!("the pack's command is not a call of a test that the lab writes: `{command}`")
        })?;
        let shown = file.display().to_string();
        let text = format!("{REPLAY}={} cargo {}", shell_word(&shown), words.join(" "));
        Ok(Call { file, text, words })
    }

    fn run(&self, shrink_into: Option<&Path>) -> Result<ExitStatus, String> {
        let mut command = Command::new("cargo");
        command.args(&self.words).env(REPLAY, &self.file).env_remove(SHRINK);
        if let Some(out) = shrink_into {
            command.env(SHRINK, out);
        }
        // What cargo prints must not get among what this command answers.
        command.stdout(std::io::stderr());
        command.status().map_err(|error| format!("cannot run cargo: {error}"))
    }
}

/// What follows `cargo` in a command as the lab writes it: `test -p PACKAGE TEST -- --exact`, of which the package
/// and the test may be missing. A file from elsewhere may hold any command, and cargo has options that run others.
fn call_of_a_test(command: &str) -> Option<Vec<String>> {
    let rest = command.strip_prefix(REPLAY)?.strip_prefix("={} cargo test")?;
    let mut words: Vec<String> = vec!["test".to_owned()];
    words.extend(rest.split(' ').skip(1).map(str::to_owned));
    let is_name = |word: &str| {
        let of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | ':');
        !word.starts_with('-') && !word.is_empty() && word.chars().all(of_name)
    };
    let named = match words.get(1).map(String::as_str) {
        Some("-p") => words.get(2).filter(|name| is_name(name)).map(|_| 3)?,
        _ => 1,
    };
    let is_call = match &words[named..] {
        [] => rest.is_empty() || named > 1,
        [test, dashes, exact] => is_name(test) && dashes == "--" && exact == "--exact",
        _ => false,
    };
    is_call.then_some(words)
}
