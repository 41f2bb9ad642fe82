//! What the command is asked to do, and with which options.

use asupersync_trace::plain;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::LazyLock;

pub(crate) const USAGE: &str = "\
usage: asupersync trace inspect FILE [--events] [--json]
       asupersync trace view FILE [-o PAGE.html [--json]] [--from STEP] [--steps COUNT]
       asupersync trace diff LEFT [RIGHT] [--json]      a pack alone is compared with its passing twin
       asupersync trace replay FILE [--run] [--json]    prints the command that replays it, or runs it
       asupersync trace shrink FILE [-o SMALL.pack] [--run] [--json]
                                                        prints the command that shrinks it, or runs it
       asupersync trace export FILE --format perfetto|folded|dot|text|tla [-o OUT [--json]]
       asupersync explain CODE [--json]
       asupersync --help | --version
exit codes: 0 done; 1 the answer is no: traces differ, a replayed test failed, nothing to shrink;
            2 the call was wrong, or a file could not be read or written";

/// What to do.
#[derive(Debug)]
pub(crate) enum Call {
    Help,
    Version,
    Inspect(PathBuf, Words),
    View(PathBuf, Words),
    Diff(PathBuf, Option<PathBuf>, Words),
    Replay(PathBuf, Words),
    Shrink(PathBuf, Words),
    Export(PathBuf, Format, Words),
    Explain(String, Words),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Perfetto,
    Folded,
    Dot,
    Text,
    Tla,
}

/// The words of a call: its options, and the others.
#[derive(Debug, Default)]
pub(crate) struct Words {
    plain: Vec<OsString>,
    /// The options that were given, by their first names.
    given: Vec<&'static str>,
    pub(crate) json: bool,
    pub(crate) events: bool,
    pub(crate) run: bool,
    pub(crate) out: Option<PathBuf>,
    pub(crate) from: Option<usize>,
    pub(crate) steps: Option<usize>,
    format: Option<String>,
    help: bool,
    version: bool,
}

static NO_WORDS: LazyLock<Words> = LazyLock::new(Words::default);

impl Call {
    /// # Errors
    /// What is wrong with the call, in a line.
    pub(crate) fn parse(words: impl Iterator<Item = OsString>) -> Result<Call, String> {
        let mut words = Words::parse(words)?;
        if words.help || words.plain.first().is_some_and(|word| word == "help") {
            return Ok(Call::Help);
        }
        if words.version {
            return Ok(Call::Version);
        }
        let plain = std::mem::take(&mut words.plain);
        let first: Vec<&str> = plain.iter().map(|word| word.to_str().unwrap_or("")).collect();
        let path = |at: usize| PathBuf::from(&plain[at]);
        let call = match first[..] {
            ["trace", "inspect", _] => {
                words.allow("trace inspect", &["--json", "--events"])?;
                Call::Inspect(path(2), words)
            }
            ["trace", "view", _] => {
                words.allow("trace view", &["-o", "--from", "--steps", "--json"])?;
                words.json_with_out()?;
                Call::View(path(2), words)
            }
            ["trace", "diff", _] | ["trace", "diff", _, _] => {
                words.allow("trace diff", &["--json"])?;
                Call::Diff(path(2), plain.get(3).map(PathBuf::from), words)
            }
            ["trace", "replay", _] => {
                words.allow("trace replay", &["--run", "--json"])?;
                Call::Replay(path(2), words)
            }
            ["trace", "shrink", _] => {
                words.allow("trace shrink", &["-o", "--run", "--json"])?;
                Call::Shrink(path(2), words)
            }
            ["trace", "export", _] => {
                words.allow("trace export", &["--format", "-o", "--json"])?;
                words.json_with_out()?;
                let format = words.format.as_deref().ok_or("`--format` is missing")?;
                Call::Export(path(2), Format::of(format)?, words)
            }
            ["explain", _] => {
                words.allow("explain", &["--json"])?;
                Call::Explain(plain[1].to_string_lossy().into_owned(), words)
            }
            [] => return Err("what is to be done?".to_owned()),
            ["trace", "inspect" | "view" | "diff" | "replay" | "shrink" | "export"] => {
                return Err(format!("`{}` wants a file", first.join(" ")));
            }
            ["trace", "inspect" | "view" | "diff" | "replay" | "shrink" | "export", ..] => {
                return Err(format!("`{}` was given too many files", first[..2].join(" ")));
            }
            ["explain", ..] => return Err("`explain` wants one code".to_owned()),
            _ => {
                let shown = plain.join(OsStr::new(" "));
                return Err(format!("`{}` is no command", plain_text(&shown)));
            }
        };
        Ok(call)
    }

    pub(crate) fn words(&self) -> &Words {
        match self {
            Call::Help | Call::Version => &NO_WORDS,
            Call::Inspect(_, words)
            | Call::View(_, words)
            | Call::Diff(_, _, words)
            | Call::Replay(_, words)
            | Call::Shrink(_, words)
            | Call::Export(_, _, words)
            | Call::Explain(_, words) => words,
        }
    }
}

impl Format {
    fn of(word: &str) -> Result<Format, String> {
        Ok(match word {
            "perfetto" => Format::Perfetto,
            "folded" => Format::Folded,
            "dot" => Format::Dot,
            "text" => Format::Text,
            "tla" => Format::Tla,
            other => return Err(format!("`{other}` is no format")),
        })
    }
}

impl Words {
    fn parse(mut words: impl Iterator<Item = OsString>) -> Result<Words, String> {
        let mut parsed = Words::default();
        while let Some(word) = words.next() {
            let name = match word.to_str() {
                Some("-o" | "--output") => "-o",
                Some("-h" | "--help") => "--help",
                Some("-V" | "--version") => "--version",
                Some("--format") => "--format",
                Some("--from") => "--from",
                Some("--steps") => "--steps",
                Some("--json") => "--json",
                Some("--events") => "--events",
                Some("--run") => "--run",
                Some(option) if option.starts_with('-') && option.len() > 1 => {
                    return Err(format!("`{option}` is no option of this command"));
                }
                _ => {
                    parsed.plain.push(word);
                    continue;
                }
            };
            if parsed.given.contains(&name) {
                return Err(format!("`{name}` is given twice"));
            }
            parsed.given.push(name);
            let mut value = || words.next().ok_or(format!("`{name}` wants a value"));
            match name {
                "-o" => parsed.out = Some(value()?.into()),
                "--format" => parsed.format = Some(value()?.to_string_lossy().into_owned()),
                "--from" => parsed.from = Some(number(name, &value()?)?),
                "--steps" => parsed.steps = Some(number(name, &value()?)?),
                "--json" => parsed.json = true,
                "--events" => parsed.events = true,
                "--run" => parsed.run = true,
                "--version" => parsed.version = true,
                _ => parsed.help = true,
            }
        }
        if parsed.steps == Some(0) {
            return Err("`--steps` wants at least 1".to_owned());
        }
        Ok(parsed)
    }

    fn allow(&self, command: &str, options: &[&str]) -> Result<(), String> {
        match self.given.iter().find(|given| !options.contains(given)) {
            Some(given) => Err(format!("`{given}` is no option of `{command}`")),
            None => Ok(()),
        }
    }

    /// Without a file to write, what is written goes to where the answer would.
    fn json_with_out(&self) -> Result<(), String> {
        if self.json && self.out.is_none() {
            return Err("`--json` wants `-o` here: it says what was written".to_owned());
        }
        Ok(())
    }
}

fn number(option: &str, word: &OsStr) -> Result<usize, String> {
    let parsed = word.to_str().and_then(|text| text.parse().ok());
    parsed.ok_or(format!("`{option}` wants a number, and was given `{}`", plain_text(word)))
}

/// A word of the call in a message about it.
fn plain_text(word: &OsStr) -> String {
    plain(&word.to_string_lossy()).into_owned()
}
