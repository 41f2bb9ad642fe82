//! The `asupersync` command: looks at recorded runs, and explains error codes.
//!
//! `asupersync trace inspect|view|diff|replay|shrink|export FILE` reads trace files and crash packs as the lab
//! leaves them; `asupersync explain CODE` prints an error code's page. `--json` gives output for machines.
//! Exit codes: 0 done, 1 the answer is no (traces differ, a replayed test failed), 2 the call was wrong or
//! a file could not be read.
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

mod diff;
mod explain;
mod export;
mod inspect;
mod model;
mod replay;
mod tla;
mod view;

use asupersync_trace::{Limits, Recording};
use std::io::{Read, Write};
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "\
usage: asupersync trace inspect FILE [--json] [--events]
       asupersync trace view FILE [-o PAGE.html] [--from STEP] [--steps COUNT]
       asupersync trace diff LEFT [RIGHT] [--json]      a pack alone is compared with its passing twin
       asupersync trace replay FILE [--run] [--json]    prints the command that replays it, or runs it
       asupersync trace shrink FILE [-o SMALL.pack] [--run] [--json]
                                                        prints the command that shrinks it, or runs it
       asupersync trace export FILE --format perfetto|folded|dot|text|tla [-o OUT]
       asupersync explain CODE [--json]";

/// What a command came to.
enum Answer {
    Yes(String),
    /// The same, with exit code 1.
    No(String),
}

/// The words of a call, options apart.
#[derive(Default)]
struct Words {
    plain: Vec<String>,
    flags: Vec<String>,
    out: Option<String>,
    format: Option<String>,
    from: Option<usize>,
    steps: Option<usize>,
}

impl Words {
    fn parse(words: impl Iterator<Item = String>) -> Result<Words, String> {
        let mut parsed = Words::default();
        let mut words = words;
        while let Some(word) = words.next() {
            let mut value = |of: &str| words.next().ok_or(format!("`{of}` wants a value"));
            match word.as_str() {
                "-o" | "--output" => parsed.out = Some(value("-o")?),
                "--format" => parsed.format = Some(value("--format")?),
                "--from" => parsed.from = Some(number("--from", &value("--from")?)?),
                "--steps" => parsed.steps = Some(number("--steps", &value("--steps")?)?),
                "--json" | "--events" | "--run" | "--help" => parsed.flags.push(word),
                option if option.starts_with('-') && option.len() > 1 => {
                    return Err(format!("`{option}` is no option of this command"));
                }
                _ => parsed.plain.push(word),
            }
        }
        Ok(parsed)
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }
}

fn number(option: &str, text: &str) -> Result<usize, String> {
    text.parse().map_err(|_| format!("`{option}` wants a number, and was given `{text}`"))
}

fn main() -> ExitCode {
    let answer = Words::parse(std::env::args().skip(1)).and_then(|words| run(&words));
    let (text, code) = match answer {
        Ok(Answer::Yes(text)) => (text, ExitCode::SUCCESS),
        Ok(Answer::No(text)) => (text, ExitCode::from(1)),
        Err(message) => {
            eprintln!("asupersync: {message}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    // A reader that has seen enough closes the pipe; that is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

fn run(words: &Words) -> Result<Answer, String> {
    let plain: Vec<&str> = words.plain.iter().map(String::as_str).collect();
    let json = words.has("--json");
    match plain[..] {
        _ if words.has("--help") => Ok(Answer::Yes(format!("{USAGE}\n"))),
        ["trace", "inspect", file] => {
            inspect::inspect(&read(file)?, json, words.has("--events")).map(Answer::Yes)
        }
        ["trace", "view", file] => {
            let window = view::Window { from: words.from, steps: words.steps };
            keep(words, view::page(&read(file)?, window))
        }
        ["trace", "diff", file] => diff::with_twin(&read(file)?, json),
        ["trace", "diff", left, right] => {
            Ok(diff::diff(&read(left)?.trace, &read(right)?.trace, json))
        }
        ["trace", "replay", file] => {
            replay::replay(&read(file)?, Path::new(file), words.has("--run"), json)
        }
        ["trace", "shrink", file] => {
            let out = words.out.as_deref();
            replay::shrink(&read(file)?, Path::new(file), out, words.has("--run"), json)
        }
        ["trace", "export", file] => {
            let recording = read(file)?;
            let text = match words.format.as_deref() {
                Some("perfetto") => export::perfetto(&recording.trace),
                Some("folded") => export::folded(&recording.trace),
                Some("dot") => export::dot(&recording.trace),
                Some("tla") => {
                    let module =
                        tla::module(&recording.trace, &tla::name_of(words.out.as_deref()))?;
                    if let Some(out) = &words.out {
                        write(&Path::new(out).with_extension("cfg"), tla::CONFIGURATION)?;
                    }
                    module
                }
                Some("text") => recording.trace.to_text(),
                Some(other) => return Err(format!("`{other}` is no format")),
                None => return Err("`--format` is missing".to_owned()),
            };
            keep(words, text)
        }
        ["explain", code] => explain::explain(code, json).map(Answer::Yes),
        [] => Err("what is to be done?".to_owned()),
        _ => Err(format!("`{}` is no command", plain.join(" "))),
    }
}

/// Writes the text where `-o` says, or answers it.
fn keep(words: &Words, text: String) -> Result<Answer, String> {
    let Some(out) = &words.out else { return Ok(Answer::Yes(text)) };
    write(Path::new(out), &text)?;
    let value = serde_json::json!({ "written": out });
    Ok(Answer::Yes(if words.has("--json") { format!("{value}\n") } else { format!("{out}\n") }))
}

fn write(out: &Path, text: &str) -> Result<(), String> {
    std::fs::write(out, text).map_err(|error| format!("cannot write {}: {error}", out.display()))
}

fn read(path: &str) -> Result<Recording, String> {
    let limits = Limits::default();
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(limits.file_bytes as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("cannot read {path}: {error}"))?;
    Recording::parse(&bytes, &limits).map_err(|error| format!("{path}: {error}"))
}
