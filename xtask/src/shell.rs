//! Running a program: its output kept (and echoed when asked), its time bounded.

#![expect(clippy::disallowed_methods, reason = "two pipes are read by two threads, in wall time")]

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::step::Failure;

/// How many lines of a failed program's output the report repeats.
const TAIL: usize = 60;
/// No program of a step runs longer than this unless the step says so.
const CEILING: Duration = Duration::from_secs(30 * 60);

/// A program to run, with what it is given.
#[derive(Clone)]
pub(crate) struct Cmd {
    program: OsString,
    args: Vec<OsString>,
    envs: Vec<(OsString, OsString)>,
    removed: Vec<&'static str>,
    dir: Option<PathBuf>,
    loud: bool,
    bare: bool,
    ceiling: Duration,
    interrupt_after: Option<Duration>,
}

/// What a program said.
pub(crate) struct Output {
    /// Whether it exited with zero inside its ceiling.
    pub(crate) ok: bool,
    /// Standard output alone.
    pub(crate) stdout: String,
    /// Both streams, in the order their lines arrived.
    pub(crate) text: String,
    /// How it ended, in words.
    pub(crate) ending: String,
    /// How long it ran.
    pub(crate) took: Duration,
}

impl Cmd {
    pub(crate) fn new(program: impl AsRef<OsStr>) -> Self {
        Cmd {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            envs: Vec::new(),
            removed: Vec::new(),
            dir: None,
            loud: false,
            bare: false,
            ceiling: CEILING,
            interrupt_after: None,
        }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    pub(crate) fn env(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.envs.push((key.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    pub(crate) fn env_remove(mut self, key: &'static str) -> Self {
        self.removed.push(key);
        self
    }

    pub(crate) fn dir(mut self, dir: impl AsRef<Path>) -> Self {
        self.dir = Some(dir.as_ref().to_owned());
        self
    }

    /// Echoes every line as it comes.
    pub(crate) fn loud(mut self) -> Self {
        self.loud = true;
        self
    }

    /// Gives the program none of our environment.
    pub(crate) fn bare(mut self) -> Self {
        self.bare = true;
        self
    }

    /// Ends the program and everything it started when it runs longer than this.
    pub(crate) fn ceiling(mut self, ceiling: Duration) -> Self {
        self.ceiling = ceiling;
        self
    }

    /// Sends the program an interrupt, as Ctrl-C does, after this long.
    pub(crate) fn interrupt_after(mut self, after: Option<Duration>) -> Self {
        self.interrupt_after = after;
        self
    }

    /// The call as one would type it.
    pub(crate) fn line(&self) -> String {
        let envs = self.envs.iter().map(|(key, value)| {
            format!("{}={} ", key.to_string_lossy(), quoted(&value.to_string_lossy()))
        });
        let words = std::iter::once(&self.program).chain(&self.args);
        let words: Vec<String> = words.map(|word| quoted(&word.to_string_lossy())).collect();
        format!("{}{}", envs.collect::<String>(), words.join(" "))
    }

    /// Runs the program to its end. `Err` only when it could not be started.
    pub(crate) fn run(&self) -> Result<Output, Failure> {
        let mut command = Command::new(&self.program);
        if self.bare {
            command.env_clear();
        }
        for key in &self.removed {
            command.env_remove(key);
        }
        command.args(&self.args).envs(self.envs.iter().map(|(key, value)| (key, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(dir) = &self.dir {
            command.current_dir(dir);
        }
        let mut child = command
            .spawn()
            .map_err(|error| Failure(format!("cannot start `{}`: {error}", self.line())))?;
        let (sender, lines) = mpsc::channel();
        read_lines(child.stdout.take(), true, sender.clone());
        read_lines(child.stderr.take(), false, sender);
        self.follow(&mut child, &lines)
    }

    fn follow(
        &self,
        child: &mut Child,
        lines: &mpsc::Receiver<(bool, String)>,
    ) -> Result<Output, Failure> {
        let start = Instant::now();
        let (mut stdout, mut text) = (String::new(), String::new());
        let mut interrupt_after = self.interrupt_after;
        let mut late = false;
        loop {
            match lines.recv_timeout(Duration::from_millis(20)) {
                Ok((is_stdout, line)) => {
                    if self.loud {
                        println!("{line}");
                    }
                    if is_stdout {
                        stdout.push_str(&line);
                        stdout.push('\n');
                    }
                    text.push_str(&line);
                    text.push('\n');
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if interrupt_after.is_some_and(|after| start.elapsed() >= after) {
                interrupt_after = None;
                signal("INT", &BTreeSet::from([child.id()]));
            }
            if start.elapsed() > self.ceiling {
                late = true;
                signal("KILL", &family(child.id()));
                break;
            }
        }
        // Both pipes may be closed while the program still runs.
        while !late && child.try_wait()?.is_none() {
            if start.elapsed() > self.ceiling {
                late = true;
                signal("KILL", &family(child.id()));
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let status = child.wait()?;
        let ending = if late {
            format!("was ended after {} s, its ceiling", self.ceiling.as_secs())
        } else {
            format!("ended with {status}")
        };
        Ok(Output { ok: status.success() && !late, stdout, text, ending, took: start.elapsed() })
    }

    /// Runs the program; anything but success is a failure that shows the end of its output (unless
    /// it was echoed already).
    pub(crate) fn check(&self) -> Result<Output, Failure> {
        let output = self.run()?;
        if output.ok {
            return Ok(output);
        }
        let shown = if self.loud { String::new() } else { tail(&output.text) };
        Err(Failure(format!("{shown}`{}` {}", self.line(), output.ending)))
    }
}

/// The last lines of a text.
pub(crate) fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(TAIL);
    let mut shown = String::new();
    if from > 0 {
        shown.push_str(&format!("  .. {from} lines above\n"));
    }
    for line in &lines[from..] {
        shown.push_str(&format!("  {line}\n"));
    }
    shown
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:+,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{word}'") }
}

fn read_lines(
    stream: Option<impl Read + Send + 'static>,
    is_stdout: bool,
    to: mpsc::Sender<(bool, String)>,
) {
    let Some(stream) = stream else { return };
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while matches!(reader.read_until(b'\n', &mut bytes), Ok(n) if n > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            if to.send((is_stdout, line)).is_err() {
                return;
            }
        }
    });
}

/// The process and everything below it, read from `/proc`. A process group would be simpler, but
/// would no longer hear the terminal's Ctrl-C.
fn family(pid: u32) -> BTreeSet<u32> {
    let mut members = BTreeSet::from([pid]);
    let mut grown = true;
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let child = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).ok()?;
            // The name in parentheses may itself hold spaces: count fields after the last one.
            let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
            Some((child, parent))
        })
        .collect();
    while grown {
        grown = false;
        for (child, parent) in &parents {
            grown |= members.contains(parent) && members.insert(*child);
        }
    }
    members
}

fn signal(name: &str, processes: &BTreeSet<u32>) {
    let list: Vec<String> = processes.iter().map(u32::to_string).collect();
    let call = format!("kill -{name} {}", list.join(" "));
    // A process that has just ended by itself makes `kill` complain; that is what was wanted.
    let _ = Command::new("sh").args(["-c", &call]).stderr(Stdio::null()).status();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A script of the shell's own words only: a newcomer's PATH may hold nothing else.
    fn sh(script: &str) -> Cmd {
        Cmd::new("sh").args(["-c", script])
    }

    #[test]
    fn a_program_that_never_ends_is_ended_with_its_children() {
        let start = Instant::now();
        let output = sh("while :; do :; done & while :; do :; done")
            .ceiling(Duration::from_millis(300))
            .run()
            .unwrap();
        assert!(!output.ok);
        assert!(output.ending.contains("ceiling"));
        assert!(start.elapsed() < Duration::from_secs(60));
    }

    /// Whether this process was started with SIGINT ignored, as a shell starts what it runs in the
    /// background. What it starts inherits that, and a shell cannot set a trap for it (POSIX, `trap`).
    fn interrupts_are_ignored() -> bool {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        let mask = mask.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
        // Bit n - 1 is signal n; SIGINT is 2.
        mask.is_some_and(|mask| mask & 0b10 != 0)
    }

    #[test]
    fn an_interrupt_reaches_the_program() {
        if interrupts_are_ignored() {
            eprintln!("SKIPPED: interrupts are ignored here, and the script inherits that");
            return;
        }
        let script = "trap 'echo stopped; exit 0' INT; while :; do :; done";
        let cmd = sh(script)
            .interrupt_after(Some(Duration::from_millis(200)))
            .ceiling(Duration::from_secs(60));
        let output = cmd.run().unwrap();
        assert!(output.ok, "{}", output.ending);
        assert_eq!(output.stdout, "stopped\n");
    }

    #[test]
    fn a_failure_shows_the_output_and_the_call() {
        let failure = sh("echo out; echo err >&2; exit 3").check().err().unwrap();
        assert!(failure.0.contains("out") && failure.0.contains("err"), "{failure}");
        assert!(failure.0.contains("exit status: 3"), "{failure}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let failure = Cmd::new("no-such-program").run().err().unwrap();
        assert!(failure.0.contains("no-such-program"));
    }
}
