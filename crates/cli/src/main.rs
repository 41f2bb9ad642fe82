//! The `asupersync` command: looks at recorded runs, and explains error codes.
//!
//! `asupersync trace inspect|view|diff|replay|shrink|export FILE` reads trace files and crash packs as the lab
//! leaves them; `asupersync explain CODE` prints an error code's page. `--json` gives output for machines.
//! Exit codes: 0 done, 1 the answer is no (traces differ, a replayed test failed), 2 the call was wrong or
//! a file could not be read or written.
//!
//! What this crate does not know: how programs are run. A replay, and a shrinking one, is the recorded test's own
//! command.
//!
//! # Example
//! ```text
//! asupersync trace inspect failure.pack
//! asupersync trace view failure.pack -o failure.html
//! ```
//!
//! # Limitations
//! Files are read whole. A trace without a pack does not say which test it is of, so it cannot be replayed or
//! shrunk from here.

#![forbid(unsafe_code)]

mod call;
mod diff;
mod explain;
mod export;
mod inspect;
mod model;
mod replay;
mod tla;
mod view;

use asupersync_trace::{Limits, Recording};
use call::{Call, Format, USAGE, Words};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;

/// What a command came to.
enum Answer {
    Yes(String),
    /// The same, with exit code 1.
    No(String),
}

fn main() -> ExitCode {
    let call = match Call::parse(std::env::args_os().skip(1)) {
        Ok(call) => call,
        Err(message) => return failed(&format!("{message}\n{USAGE}")),
    };
    let (text, code) = match run(&call) {
        Ok(Answer::Yes(text)) => (text, ExitCode::SUCCESS),
        Ok(Answer::No(text)) => (text, ExitCode::from(1)),
        Err(message) => return failed(&message),
    };
    let mut out = io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        // A reader that has seen enough closes the pipe; that is no failure.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            failed(&format!("cannot write the answer: {error}"))
        }
        _ => code,
    }
}

fn failed(message: &str) -> ExitCode {
    // With nobody to tell, the exit code tells.
    let _ = writeln!(io::stderr(), "asupersync: {message}");
    ExitCode::from(2)
}

fn run(call: &Call) -> Result<Answer, String> {
    let (words, json) = (call.words(), call.words().json);
    match call {
        Call::Help => Ok(Answer::Yes(format!("{USAGE}\n"))),
        Call::Version => Ok(Answer::Yes(format!("asupersync {}\n", env!("CARGO_PKG_VERSION")))),
        Call::Inspect(file, _) => {
            inspect::inspect(&read(file)?, json, words.events).map(Answer::Yes)
        }
        Call::View(file, _) => {
            let window = view::Window { from: words.from, steps: words.steps };
            keep(words, file, || Ok(view::page(&read(file)?, window)))
        }
        Call::Diff(file, None, _) => diff::with_twin(&read(file)?, json),
        Call::Diff(left, Some(right), _) => {
            Ok(diff::diff(&read(left)?.trace, &read(right)?.trace, json))
        }
        Call::Replay(file, _) => replay::replay(&read(file)?, file, words.run, json),
        Call::Shrink(file, _) => {
            replay::shrink(&read(file)?, file, words.out.as_deref(), words.run, json)
        }
        Call::Export(file, format, _) => keep(words, file, || {
            let trace = read(file)?.trace;
            Ok(match format {
                Format::Perfetto => export::perfetto(&trace),
                Format::Folded => export::folded(&trace),
                Format::Dot => export::dot(&trace),
                Format::Text => trace.to_text(),
                Format::Tla => {
                    let name = tla::name_of(words.out.as_deref())?;
                    let module = tla::module(&trace, &name)?;
                    if let Some(out) = &words.out {
                        write(&out.with_extension("cfg"), tla::CONFIGURATION)?;
                    }
                    module
                }
            })
        }),
        Call::Explain(code, _) => explain::explain(code, json).map(Answer::Yes),
    }
}

/// Writes the text where `-o` says, or answers it.
fn keep(
    words: &Words,
    file: &Path,
    text: impl FnOnce() -> Result<String, String>,
) -> Result<Answer, String> {
    let Some(out) = &words.out else { return text().map(Answer::Yes) };
    spare(file, out)?;
    write(out, &text()?)?;
    let out = out.display().to_string();
    let value = serde_json::json!({ "written": out });
    Ok(Answer::Yes(if words.json { format!("{value}\n") } else { format!("{out}\n") }))
}

/// Refuses an answer in the place of the recording that is asked about: there may be no other.
fn spare(file: &Path, out: &Path) -> Result<(), String> {
    let place = |path: &Path| path.canonicalize().ok();
    if place(out).is_some() && place(out) == place(file) {
        return Err(format!("cannot write {}: it is the recording itself", out.display()));
    }
    Ok(())
}

fn write(out: &Path, text: &str) -> Result<(), String> {
    std::fs::write(out, text).map_err(|error| format!("cannot write {}: {error}", out.display()))
}

fn read(path: &Path) -> Result<Recording, String> {
    let shown = path.display();
    let limits = Limits::default();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limits.file_bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {shown}: {error}"))?;
    Recording::parse(&bytes, &limits).map_err(|error| format!("{shown}: {error}"))
}
