//! A line that says how far a long exploration has come.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};

/// Runs between two lines.
const EVERY: u64 = 5_000;

/// Written past the test harness, which would keep it until the end: to a terminal over and over in one line,
/// elsewhere only if `ASUPERSYNC_LAB_PROGRESS` is set, line after line.
pub(crate) struct Progress<'a> {
    name: &'a str,
    most: u64,
    how: How,
    /// Runs told of.
    told: u64,
}

#[derive(Clone, Copy, PartialEq)]
enum How {
    Never,
    InPlace,
    Lines,
}

impl<'a> Progress<'a> {
    pub(crate) fn of(name: &'a str, most: u64) -> Progress<'a> {
        let how = match std::env::var_os("ASUPERSYNC_LAB_PROGRESS") {
            Some(no) if no == "0" => How::Never,
            Some(_) => How::Lines,
            None if std::io::stderr().is_terminal() => How::InPlace,
            None => How::Never,
        };
        Progress { name, most, how, told: 0 }
    }

    /// The exploration has come to so many runs, of so many classes.
    pub(crate) fn at(&mut self, runs: u64, classes: usize, failures: u64) {
        if self.how == How::Never || runs / EVERY == self.told / EVERY {
            return;
        }
        let (name, most) = (self.name, self.most);
        let mut line = format!("{name}: {runs} runs of at most {most}, {classes} classes");
        if failures > 0 {
            write!(line, ", {failures} failures").expect("strings take all");
        }
        self.told = runs;
        let end = if self.how == How::InPlace { "\r" } else { "\n" };
        // Whoever does not read it does not need it.
        let _ = std::io::stderr().write_all(format!("{line}{end}").as_bytes());
    }
}

impl Drop for Progress<'_> {
    fn drop(&mut self) {
        if self.told > 0 && self.how == How::InPlace {
            let _ = std::io::stderr().write_all(b"\x1b[K");
        }
    }
}
