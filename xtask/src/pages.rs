//! The page of a run in a browser, and the module of a run in TLC.
//!
//! `asupersync trace view` writes a page whose script draws it; what it draws shows only in a browser. Its tests
//! leave pages of runs of each sort, which are opened in headless Chromium: failing ones with their twins, one in which
//! time races, one with faults, one of a hundred tasks in regions within regions, one of ten thousand events, and one of a million. Most of
//! them, and one of names that mean something to a browser, are used by their keyboard, too. `--bless` keeps a picture for the
//! documentation.
//!
//! `asupersync trace export --format tla` writes a module that TLC checks against its own rules.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::context::Context;
use crate::formal;
use crate::shell::{Cmd, Output, tail};
use crate::step::{Done, Failure, Outcome, Step, passed};
use crate::test::{counted, fresh_folder};
use crate::tools;

pub(crate) static STEP: Step = Step {
    name: "pages",
    about: "the page of a run opens in a browser, with its lanes",
    rerun: "pages",
    run: open_pages,
};

pub(crate) static MODULES: Step = Step {
    name: "modules",
    about: "the modules that recorded runs are exported as pass TLC",
    rerun: "modules",
    run: check_modules,
};

const PACKAGE: &str = "asupersync-cli";
/// Pages that are used, and what uses them.
const DRIVEN: &[&str] = &[
    "failing",
    "hostile",
    "locks",
    "gates",
    "messages",
    "bands",
    "time",
    "deep",
    "network",
    "cancelled",
];
/// Of which a picture is kept, and its size.
const PICTURED: (&str, &str) = ("locks", "--window-size=1200,1010");
const DRIVER: &str = include_str!("pages/drive.js");
const PICTURE: &str = "docs/images/trace.png";

/// A page, and the least of lanes and of drawn steps that must be there.
const PAGES: &[(&str, usize, usize)] =
    &[("failing", 6, 18), ("crowd", 21, 60), ("multitude", 20, 60), ("empty", 0, 0)];

fn open_pages(context: &Context, arguments: &[String]) -> Outcome {
    if let Err(skip) = tools::CHROMIUM.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let folder = context.target.join("pages");
    fresh_folder(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let call = ["test", "-p", PACKAGE, "--test", "commands", "--test", "hostile", "--"];
    let tests = ["view", "events_are_on", "names_stay_in_the_pages_data", "--include-ignored"];
    counted(&context.cargo(&call).args(tests).env("ASUPERSYNC_PAGES_DIR", &folder))?;
    let call = ["test", "-p", PACKAGE, "--test", "pages"];
    counted(&context.cargo(&call).env("ASUPERSYNC_PAGES_DIR", &folder))?;
    let mut notes = Vec::new();
    for (name, lanes, steps) in PAGES {
        let page = folder.join(format!("{name}.html"));
        let output = browse(context, &page, &["--dump-dom"])?;
        let seen = Seen::of(&output);
        seen.judge(*lanes, *steps)
            .map_err(|why| Failure(format!("{}{}: {why}", tail(&output.text), page.display())))?;
        notes.push(format!("{name}: {} lanes, {} steps drawn", seen.lanes, seen.steps));
    }
    for name in DRIVEN {
        let page = std::fs::read_to_string(folder.join(format!("{name}.html")))?;
        let driven = folder.join(format!("{name}-driven.html"));
        std::fs::write(
            &driven,
            page.replace("</html>", &format!("<script>{DRIVER}</script></html>")),
        )?;
        let output = browse(context, &driven, &["--dump-dom"])?;
        let seen = Seen::of(&output);
        let told = output.stdout.split("<pre id=\"driven\">").nth(1).unwrap_or("nothing was done");
        let told = told.split('<').next().unwrap_or_default();
        if !seen.complaints.is_empty() || !told.starts_with("driven: 0 wrong") {
            let complaints = seen.complaints.join("; ");
            return Err(Failure(format!("{}: {told} {complaints}", driven.display())));
        }
        notes.push(format!("{name}: used by its keyboard"));
    }
    let picture = folder.join("trace.png");
    let shot = format!("--screenshot={}", picture.display());
    let (pictured, size) = PICTURED;
    browse(context, &folder.join(format!("{pictured}.html")), &[&shot, size])?;
    let bytes = std::fs::read(&picture)?;
    if !bytes.starts_with(b"\x89PNG") || bytes.len() < 10_000 {
        return Err(Failure(format!("{}: no picture of a page", picture.display())));
    }
    if arguments.iter().any(|word| word == "--bless") {
        let kept = context.root.join(PICTURE);
        std::fs::create_dir_all(kept.parent().expect("it is in a folder"))?;
        std::fs::write(kept, &bytes)?;
        notes.push(format!("the picture is kept in {PICTURE}"));
    }
    passed(notes.join("; "))
}

fn browse(context: &Context, page: &Path, what: &[&str]) -> Result<Output, Failure> {
    let profile = format!("--user-data-dir={}", context.target.join("pages/profile").display());
    // Root in a container has no sandbox; the page is ours.
    let plain = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"];
    let quiet =
        ["--disable-dev-shm-usage", "--enable-logging=stderr", "--virtual-time-budget=10000"];
    let cmd = context.tool("chromium", &plain).args(quiet).arg(profile).args(what);
    cmd.arg(format!("file://{}", page.display())).ceiling(Duration::from_secs(300)).check()
}

/// What a browser made of a page.
struct Seen {
    lanes: usize,
    steps: usize,
    /// What the page's script complained of.
    complaints: Vec<String>,
}

impl Seen {
    fn of(output: &Output) -> Seen {
        // What the script drew, and not the script that draws it.
        let drawn: String = output
            .stdout
            .split("<script>")
            .map(|part| part.split_once("</script>").map_or(part, |(_, rest)| rest))
            .collect();
        let complaints = output.text.lines().filter(|line| line.contains(":CONSOLE"));
        Seen {
            lanes: drawn.matches("class=\"lane\"").count(),
            steps: drawn.matches("class=\"poll ").count(),
            complaints: complaints.map(str::to_owned).collect(),
        }
    }

    fn judge(&self, lanes: usize, steps: usize) -> Result<(), String> {
        if !self.complaints.is_empty() {
            return Err(format!("the page complains: {}", self.complaints.join("; ")));
        }
        if self.lanes < lanes || self.steps < steps {
            let (has, drawn) = (self.lanes, self.steps);
            return Err(format!("{has} lanes of {lanes}, {drawn} steps of {steps} are drawn"));
        }
        Ok(())
    }
}

/// What the exported runs must come to together.
const LEAST_MODULES: usize = 15;

fn check_modules(context: &Context, _: &[String]) -> Outcome {
    let jar = match formal::tlc(context) {
        Ok(jar) => jar,
        Err(skip) => return Ok(Done::Skipped(skip)),
    };
    let folder = context.target.join("modules");
    fresh_folder(&folder)?;
    std::fs::create_dir_all(&folder)?;
    let call = ["test", "-p", PACKAGE, "--test", "modules"];
    counted(&context.cargo(&call).env("ASUPERSYNC_TRACE_DIR", &folder))?;
    let program = context.target.join("debug/asupersync");
    let mut traces: Vec<PathBuf> = std::fs::read_dir(&folder)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_, Failure>>()?;
    traces.retain(|path| path.extension().is_some_and(|end| end == "trace"));
    traces.sort();
    let mut states = 0;
    for (at, trace) in traces.iter().enumerate() {
        let own = folder.join(format!("{at}"));
        std::fs::create_dir_all(&own)?;
        let export = Cmd::new(&program).args(["trace", "export"]).arg(trace);
        export.args(["--format", "tla", "-o"]).arg(own.join("Run.tla")).check()?;
        let text = model_check(&jar, &own)?;
        let Some(found) =
            formal::states(&text).filter(|_| text.contains("No error has been found"))
        else {
            let shown = trace.display();
            return Err(Failure(format!("{}TLC refuses the module of {shown}", tail(&text))));
        };
        states += found;
    }
    if traces.len() < LEAST_MODULES {
        return Err(Failure(format!("{} runs were exported, of {LEAST_MODULES}", traces.len())));
    }
    let broken = break_one(&folder.join("0"))?;
    let text = model_check(&jar, &broken)?;
    if text.contains("No error has been found") {
        return Err(Failure("TLC takes a run in which a task ends twice".to_owned()));
    }
    passed(format!("{} runs, {states} states; one with a step doubled is refused", traces.len()))
}

fn model_check(jar: &Path, folder: &Path) -> Result<String, Failure> {
    let jar = jar.display().to_string();
    let cmd = Cmd::new("java").args(["-XX:+UseSerialGC", "-cp", &jar, "tlc2.TLC", "-deadlock"]);
    let output = cmd.args(["-config", "Run.cfg", "Run.tla"]).dir(folder).run()?;
    Ok(output.text)
}

/// The module with its first end of a task said twice.
fn break_one(from: &Path) -> Result<PathBuf, Failure> {
    let to = from.with_extension("broken");
    std::fs::create_dir_all(&to)?;
    let module = std::fs::read_to_string(from.join("Run.tla"))?;
    let (before, after) =
        module.split_once("<<\"complete\",").ok_or("no task ends in the first run")?;
    let (task, rest) = after.split_once(">>").ok_or("the module is cut")?;
    let twice = format!("{before}<<\"complete\",{task}>>,\n  <<\"complete\",{task}>>{rest}");
    std::fs::write(to.join("Run.tla"), twice)?;
    std::fs::copy(from.join("Run.cfg"), to.join("Run.cfg"))?;
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(stdout: &str, errors: &str) -> Seen {
        Seen::of(&Output {
            ok: true,
            stdout: stdout.to_owned(),
            text: format!("{stdout}\n{errors}"),
            ending: String::new(),
            took: Duration::ZERO,
        })
    }

    #[test]
    fn lanes_count_where_they_are_drawn_and_not_in_the_script() {
        let drawn = "<text class=\"lane\"></text><rect class=\"poll running\">";
        let script = "<script>el({ class: \"lane\" }) <rect class=\"poll running\"></script>";
        assert!(seen(&format!("{script}{drawn}"), "").judge(1, 1).is_ok());
        assert!(seen(script, "").judge(1, 1).unwrap_err().contains("0 lanes of 1"));
    }

    #[test]
    fn an_error_in_the_script_is_a_complaint() {
        let line = "[1:2:ERROR:CONSOLE(9)] \"Uncaught TypeError\"";
        assert!(seen("", line).judge(0, 0).unwrap_err().contains("Uncaught"));
    }
}
