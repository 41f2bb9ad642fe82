//! The command under a careless or hostile hand: names that mean something to another tool, files that are
//! damaged, streams that are closed, and calls that contradict themselves.

use asupersync_core::{Cx, Error, RegionOptions};
use asupersync_lab::{LabConfig, LabRuntime, Shared};
use asupersync_trace::{Header, Pack, Writer};
use std::ffi::{OsStr, OsString};
use std::io::Read as _;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Means something to HTML, to a script, to a terminal, to DOT, to folded stacks, to TLA+, or in a line of text.
const HOSTILE: &str = "</script><script>alert(1)</script>&lt;\"'\\N\\n;a/b|{}<r> (* === *) ---- MODULE X ----\n\
                       \u{1b}[2J\r\t\u{0}\u{202e}rtl\u{2066}\u{2028}\u{200b} 名前 \u{1f600} $x`id`";

fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_asupersync"))
}

fn asupersync<S: AsRef<OsStr>>(words: &[S]) -> Output {
    command().args(words).output().expect("it runs")
}

/// What went wrong, and that it is told and not a panic.
#[track_caller]
fn refused<S: AsRef<OsStr>>(words: &[S]) -> String {
    let output = asupersync(words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(output.stdout.is_empty() && said.starts_with("asupersync: "), "{said}");
    said
}

fn accepted<S: AsRef<OsStr>>(words: &[S]) -> String {
    let output = asupersync(words);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    String::from_utf8(output.stdout).expect("it prints text")
}

/// A run in which everything that a program can name has this name.
fn run_of(name: &'static str) -> Vec<u8> {
    let config = LabConfig::default().capture_trace(true);
    let report = LabRuntime::new(config).run(async move |cx: &Cx| {
        let shared = Shared::new(0);
        let other = shared.clone();
        cx.region_with(RegionOptions::new().name(name), async move |scope| {
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                shared.update(cx, |value| *value += 1).await?;
                cx.trace(name);
                Ok::<_, Error>(())
            });
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        assert_eq!(other.get(cx).await?, 2, "{name}");
        Ok::<_, Error>(())
    });
    report.trace.expect("it was captured").into_bytes()
}

/// A folder with a pack of such a run, its twin beside it.
fn hostile(name: &'static str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().expect("a folder");
    let trace = run_of(name);
    let pack = Pack {
        failure: name.to_owned(),
        shrunk: name.to_owned(),
        command: "ASUPERSYNC_LAB_REPLAY={} cargo test -p bank suite::test -- --exact".to_owned(),
        first: Some(1),
        second: Some(2),
        twin: trace.clone(),
        trace,
        ..Pack::default()
    };
    let path = dir.path().join("hostile.pack");
    std::fs::write(&path, pack.to_bytes()).expect("the folder is ours");
    (dir, path)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[test]
fn names_drive_no_terminal_and_end_no_line() {
    let (_dir, file) = hostile(HOSTILE);
    let file = text(&file);
    let calls: [&[&str]; 6] = [
        &["trace", "inspect", file, "--events"],
        &["trace", "diff", file],
        &["trace", "export", file, "--format", "text"],
        &["trace", "export", file, "--format", "folded"],
        &["trace", "export", file, "--format", "dot"],
        &["trace", "export", file, "--format", "tla"],
    ];
    for call in calls {
        let said = accepted(call);
        let bad = |c: char| c != '\n' && (c.is_control() || "\u{202e}\u{2066}\u{2028}".contains(c));
        assert!(!said.contains(bad), "{call:?}: {said}");
        assert!(!said.lines().any(|line| line.starts_with('\u{1b}')), "{call:?}: {said}");
    }
}

#[test]
fn names_stay_in_their_frames() {
    let (_dir, file) = hostile(HOSTILE);
    let folded = accepted(&["trace", "export", text(&file), "--format", "folded"]);
    for line in folded.lines() {
        let (stack, count) = line.rsplit_once(' ').expect("a stack and its count");
        assert!(count.parse::<u64>().is_ok(), "{line}");
        // The root, the region, the task and what it waits for at most.
        assert!(stack.split(';').count() <= 4, "{line}");
    }
    assert!(folded.lines().any(|line| line.starts_with("root;</script>")), "{folded}");
}

#[test]
fn names_stay_in_the_pages_data() {
    let (_dir, file) = hostile(HOSTILE);
    let page = accepted(&["trace", "view", text(&file)]);
    // For the browser's test.
    if let Some(dir) = std::env::var_os("ASUPERSYNC_PAGES_DIR") {
        std::fs::write(Path::new(&dir).join("hostile.html"), &page).expect("the folder is there");
    }
    assert_eq!(page.matches("</script").count(), 1, "the page's own");
    let data = page.lines().find_map(|line| line.strip_prefix("const data = ")).expect("data");
    let value: serde_json::Value =
        serde_json::from_str(data.trim_end_matches(';')).expect("it is JSON");
    assert!(value["failure"].as_str().expect("text").starts_with("</script>"));
    assert!(
        !data.contains(['\u{202e}', '\u{2028}', '\u{1b}']),
        "marks of direction are shown as such"
    );
}

#[test]
fn every_answer_for_machines_is_json() {
    let (dir, file) = hostile(HOSTILE);
    let (file, out) = (text(&file), dir.path().join("out"));
    let out = text(&out);
    let calls: [&[&str]; 8] = [
        &["trace", "inspect", file, "--json"],
        &["trace", "inspect", file, "--json", "--events"],
        &["trace", "diff", file, file, "--json"],
        &["trace", "replay", file, "--json"],
        &["trace", "shrink", file, "--json"],
        &["trace", "view", file, "--json", "-o", out],
        &["trace", "export", file, "--format", "perfetto"],
        &["explain", "0601", "--json"],
    ];
    for call in calls {
        let said = accepted(call);
        serde_json::from_str::<serde_json::Value>(&said)
            .unwrap_or_else(|e| panic!("{call:?}: {e}"));
    }
    let said = accepted(&["trace", "inspect", file, "--json", "--events"]);
    let value: serde_json::Value = serde_json::from_str(&said).expect("it is JSON");
    assert_eq!(value["events"], value["log"].as_array().expect("a list").len());
}

#[test]
fn an_option_that_a_command_does_not_have_is_refused() {
    let (dir, file) = hostile("plain");
    let (file, out) = (text(&file), dir.path().join("out"));
    let out = text(&out);
    let calls: [(&[&str], &str); 10] = [
        (&["trace", "inspect", file, "-o", out], "`-o` is no option of `trace inspect`"),
        (&["trace", "inspect", file, "--run"], "`--run` is no option"),
        (&["trace", "view", file, "--format", "dot"], "`--format` is no option"),
        (&["trace", "view", file, "--json"], "`--json` wants `-o`"),
        (&["trace", "export", file, "--format", "dot", "--json"], "`--json` wants `-o`"),
        (&["trace", "diff", file, "--events"], "`--events` is no option"),
        (&["explain", "6", "--run"], "`--run` is no option"),
        (&["trace", "view", file, "--steps", "0"], "`--steps` wants at least 1"),
        (&["trace", "view", file, "--steps", "1", "--steps", "2"], "`--steps` is given twice"),
        (&["trace", "view", file, "-o"], "`-o` wants a value"),
    ];
    for (call, words) in calls {
        let said = refused(call);
        assert!(said.contains(words), "{call:?}: {said}");
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn a_file_that_is_no_recording_is_refused_by_its_code_and_without_the_usage() {
    let (dir, good) = hostile("plain");
    let bytes = std::fs::read(&good).expect("it is there");
    let newer = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] += 1;
        bytes
    };
    let mut trace = Writer::new(Header::new(0)).finish();
    trace[8] += 1;
    let cases: [(&str, Vec<u8>, &str); 7] = [
        ("empty", Vec::new(), "ASY-0610"),
        ("text", b"hello".to_vec(), "ASY-0610"),
        ("cut", bytes[..bytes.len() - 1].to_vec(), "ASY-0615"),
        ("head", bytes[..7].to_vec(), "ASY-0612"),
        ("changed", newer(30), "ASY-0615"),
        ("newer pack", newer(7), "ASY-0611"),
        ("newer trace", trace, "ASY-0611"),
    ];
    for (name, bytes, code) in cases {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("the folder is ours");
        for command in ["inspect", "view", "diff", "replay", "shrink"] {
            let said = refused(&["trace", command, text(&path)]);
            assert!(said.contains(code) && !said.contains("usage:"), "{name}, {command}: {said}");
        }
    }
    for nothing in [dir.path(), Path::new("/nowhere/at/all"), Path::new("")] {
        let said = refused(&["trace", "inspect", text(nothing)]);
        assert!(said.contains("cannot read") && !said.contains("usage:"), "{said}");
    }
}

#[test]
fn arguments_need_not_be_text() {
    let (dir, good) = hostile("plain");
    let odd = dir.path().join(OsString::from_vec(b"odd\xff.pack".to_vec()));
    std::fs::copy(good, &odd).expect("the folder is ours");
    let words = [OsStr::new("trace"), OsStr::new("inspect"), odd.as_os_str()];
    assert!(accepted(&words).contains("failure"));
    let words = [OsStr::new("explain"), OsStr::new("6\u{fffd}"), odd.as_os_str()];
    refused(&words);
    refused(&[OsString::from_vec(b"\xff".to_vec())]);
}

#[test]
fn an_answer_never_takes_the_recordings_place() {
    let (dir, file) = hostile("plain");
    let before = std::fs::read(&file).expect("it is there");
    let link = dir.path().join("link.pack");
    std::os::unix::fs::symlink(&file, &link).expect("the folder is ours");
    for out in [&file, &link] {
        for call in [&["view"][..], &["export", "--format", "text"], &["shrink", "--run"]] {
            let mut words = vec!["trace", call[0], text(&file)];
            words.extend(&call[1..]);
            words.extend(["-o", text(out)]);
            let said = refused(&words);
            assert!(said.contains("is the recording itself"), "{said}");
            assert_eq!(std::fs::read(&file).expect("it is still there"), before);
        }
    }
    let said = refused(&["trace", "view", text(&file), "-o", text(dir.path())]);
    assert!(said.contains("cannot write"), "{said}");
}

#[test]
fn shrinking_that_cannot_come_to_an_answer_says_so() {
    let (dir, file) = hostile("plain");
    let out = dir.path().join("nowhere/small.pack");
    let said = refused(&["trace", "shrink", text(&file), "--run", "-o", text(&out)]);
    assert!(said.contains("its folder is not there"), "{said}");
    // A program that does not build, say.
    let cargo = dir.path().join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\nexit 101\n").expect("the folder is ours");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755))
        .expect("so is the file");
    let output = command()
        .args(["trace", "shrink", text(&file), "--run"])
        .env("PATH", dir.path())
        .output()
        .expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the test failed without writing"), "{said}");
}

#[test]
fn a_module_has_a_name_that_tlc_takes() {
    let (dir, file) = hostile("plain");
    for name in
        ["IF.tla", "my-run.tla", "1.tla", "Sequences.tla", "WF_x.tla", "Tasks.tla", "Run.cfg"]
    {
        let out = dir.path().join(name);
        let said = refused(&["trace", "export", text(&file), "--format", "tla", "-o", text(&out)]);
        assert!(said.contains("module"), "{name}: {said}");
        assert!(!out.exists());
    }
    let out = dir.path().join("Good_1.tla");
    accepted(&["trace", "export", text(&file), "--format", "tla", "-o", text(&out)]);
    let module = std::fs::read_to_string(out).expect("it is there");
    assert!(module.starts_with("---- MODULE Good_1 ----"), "{module}");
    assert!(dir.path().join("Good_1.cfg").exists());
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure_and_a_full_disk_is() {
    let (_dir, file) = hostile("plain");
    let mut child = command()
        .args(["trace", "view", text(&file)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it runs");
    let mut pipe = child.stdout.take().expect("it is piped");
    pipe.read_exact(&mut [0; 10]).expect("it begins");
    drop(pipe);
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("a full disk");
    let output = command().args(["trace", "inspect", text(&file)]).stdout(full).output();
    let output = output.expect("it runs");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write"));
}

#[test]
fn only_a_call_that_the_lab_writes_is_shown_or_run() {
    let (dir, file) = hostile("plain");
    let pack = Pack::parse(&std::fs::read(&file).expect("it is there"), &Default::default());
    let pack = pack.expect("it is one");
    for command in [
        "rm -rf /",
        "X={} cargo test",
        "ASUPERSYNC_LAB_REPLAY={} cargo run",
        "ASUPERSYNC_LAB_REPLAY={} cargo test --config target.x.runner='sh'",
        "ASUPERSYNC_LAB_REPLAY={} cargo test -p a ; id",
        "ASUPERSYNC_LAB_REPLAY={} cargo test $(id)",
        "",
    ] {
        let path = dir.path().join("other.pack");
        let other = Pack { command: command.to_owned(), ..pack.clone() };
        std::fs::write(&path, other.to_bytes()).expect("the folder is ours");
        for words in
            [&["trace", "replay", text(&path)][..], &["trace", "shrink", text(&path), "--run"]]
        {
            let said = refused(words);
            assert!(said.contains("not a call of a test that the lab writes"), "{command}: {said}");
        }
    }
}

#[test]
fn a_path_is_one_word_of_the_printed_command() {
    let (dir, file) = hostile("plain");
    let odd = dir.path().join("it's a file.pack");
    std::fs::rename(file, &odd).expect("the folder is ours");
    let said = accepted(&["trace", "replay", text(&odd)]);
    let words = Command::new("sh")
        .args(["-c", &format!("cargo() {{ printf %s \"$ASUPERSYNC_LAB_REPLAY\"; }}; {said}")])
        .output()
        .expect("a shell");
    assert_eq!(String::from_utf8_lossy(&words.stdout), text(&odd), "{said}");
}

#[test]
fn programs_that_are_not_the_same_are_told_apart_where_they_part() {
    let dir = tempfile::tempdir().expect("a folder");
    let keep = |name: &str, bytes: Vec<u8>| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("the folder is ours");
        text(&path).to_owned()
    };
    let (one, other) = (keep("one", run_of("one")), keep("other", run_of("other")));
    let nothing = keep("nothing", Writer::new(Header::new(0)).finish());
    for (left, right, words) in [
        (&one, &other, "name=\"one\""),
        (&one, &nothing, "(has ended)"),
        (&nothing, &one, "(has ended)"),
    ] {
        let output = asupersync(&["trace", "diff", left, right]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("differ first at event") && said.contains(words), "{said}");
        let json = asupersync(&["trace", "diff", left, right, "--json"]);
        let value: serde_json::Value = serde_json::from_slice(&json.stdout).expect("it is JSON");
        assert_eq!(value["same"], false, "{value}");
    }
    assert!(accepted(&["trace", "diff", &nothing, &nothing]).contains("the same"));
    for format in ["perfetto", "folded", "dot", "text", "tla"] {
        accepted(&["trace", "export", &nothing, "--format", format]);
    }
    accepted(&["trace", "inspect", &nothing]);
    accepted(&["trace", "view", &nothing]);
}

#[test]
fn help_is_where_it_is_looked_for() {
    for words in
        [&["--help"][..], &["-h"], &["help"], &["trace", "--help"], &["trace", "view", "-h"]]
    {
        assert!(accepted(words).starts_with("usage: asupersync trace"), "{words:?}");
    }
    assert!(accepted(&["--version"]).starts_with("asupersync 0."));
    for words in [&["explain", ""][..], &["explain", "ASY-"], &["explain", "00000000"]] {
        refused(words);
    }
}

#[test]
fn a_region_that_is_within_itself_ends_no_answer() {
    use asupersync_core::{Event, RegionId, TaskId, Time};
    let (region, task) = (RegionId::from_bits(1), TaskId::from_bits(2));
    let site = std::panic::Location::caller();
    let mut writer = Writer::new(Header::new(0));
    let (parent, by, name) = (Some(region), None, None);
    writer.kernel(&Event::RegionOpened { region, parent, by, name, site });
    writer.kernel(&Event::TaskSpawned { task, region, by, name, site, finalizer: false });
    writer.kernel(&Event::PollBegin { task, at: Time::ZERO });
    writer.kernel(&Event::PollEnd { task, ready: true });
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("loop.trace");
    std::fs::write(&file, writer.finish()).expect("the folder is ours");
    for call in [["inspect", "--json"], ["view", "--steps=1"], ["export", "--format=folded"]] {
        let words: Vec<&str> = call[1].split('=').collect();
        accepted(&[&["trace", call[0], text(&file)], &words[..]].concat());
    }
}
