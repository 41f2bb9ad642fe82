//! `trace replay`: the recorded test's own command.

use crate::Answer;
use asupersync_trace::Recording;
use std::path::Path;
use std::process::Command;

pub(crate) fn replay(recording: &Recording, file: &Path, run: bool) -> Result<Answer, String> {
    let pack = recording.pack.as_ref();
    let pack = pack.ok_or(
        "a trace does not say which test it is of; replay it with ASUPERSYNC_LAB_REPLAY=FILE",
    )?;
    let file = std::path::absolute(file).map_err(|error| error.to_string())?;
    let text = pack.command.replace("{}", &file.display().to_string());
    if !run {
        return Ok(Answer::Yes(format!("{text}\n")));
    }
    // A file from elsewhere may name any command; only a call of cargo is run, and without a shell.
    let (_, words) = pack.command.split_once(' ').ok_or("the pack holds no command")?;
    let mut words = words.split_whitespace();
    if words.next() != Some("cargo") || words.clone().next() != Some("test") {
        return Err(format!("the pack's command is not a `cargo test`: {text}"));
    }
    let status = Command::new("cargo").args(words).env("ASUPERSYNC_LAB_REPLAY", &file).status();
    let status = status.map_err(|error| format!("cannot run cargo: {error}"))?;
    let (text, failed) = (format!("{text}\n{status}\n"), !status.success());
    Ok(if failed { Answer::No(text) } else { Answer::Yes(text) })
}
