//! Each command on one failing run: what it is called with, what it prints, and its exit code.

use asupersync_core::{Cx, Error};
use asupersync_lab::{ExploreOptions, LabConfig, LabRuntime, Shared, explore};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Two increments, each a read and then a write.
async fn lost_update(cx: &Cx) -> Result<(), Error> {
    let count = Shared::new(0_u32);
    cx.region(async |scope| {
        for name in ["left", "right"] {
            let count = count.clone();
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                let seen = count.get(cx).await?;
                count.set(cx, seen + 1).await?;
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    assert_eq!(count.get(cx).await?, 2, "an update was lost");
    Ok(())
}

/// The pack that a failing exploration leaves. Tests run at once and write the same bytes.
fn pack() -> PathBuf {
    let found = explore(ExploreOptions::default(), lost_update);
    found.failure.expect("it fails").file.expect("the pack was written")
}

fn asupersync(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_asupersync")).args(words).output().expect("it runs")
}

/// The call, what it prints, and its exit code, without what differs between machines and tests.
fn session(words: &[&str]) -> String {
    let pack = pack();
    let file = pack.to_str().expect("the path is text");
    let place = |word: &str| word.replace("PACK", file);
    let placed: Vec<String> = words.iter().map(|word| place(word)).collect();
    let output = asupersync(&placed.iter().map(String::as_str).collect::<Vec<_>>());
    let mut text = format!("$ asupersync {}\n", words.join(" "));
    text.push_str(&String::from_utf8(output.stdout).expect("it prints text"));
    for line in String::from_utf8_lossy(&output.stderr).lines() {
        text.push_str(&format!("error| {line}\n"));
    }
    text.push_str(&format!("exit code {}\n", output.status.code().expect("it ends")));
    let stem = file.strip_suffix(".pack").expect("it is a pack");
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    text.replace(file, "PACK")
        .replace(stem, "STEM")
        .replace(env!("CARGO_MANIFEST_DIR"), "CRATE")
        .replace(&format!("{test} -- --exact"), "TEST -- --exact")
        .split(LAB)
        .enumerate()
        .map(|(part, text)| {
            let line = |c: char| c.is_ascii_digit() || c == ':';
            let rest = text.trim_start_matches("LINE").trim_start_matches(line);
            if part == 0 { text.to_owned() } else { format!("{LAB}LINE{rest}") }
        })
        .collect()
}

/// Where the lab spawns the root; its line is no business of these tests.
const LAB: &str = "crates/lab/src/runtime.rs:";

#[test]
fn inspect() {
    insta::assert_snapshot!(session(&["trace", "inspect", "PACK"]));
    insta::assert_snapshot!("inspect_json", session(&["trace", "inspect", "PACK", "--json"]));
}

#[test]
fn diff() {
    insta::assert_snapshot!(session(&["trace", "diff", "PACK"]));
    insta::assert_snapshot!("diff_json", session(&["trace", "diff", "PACK", "--json"]));
    insta::assert_snapshot!("diff_same", session(&["trace", "diff", "PACK", "PACK"]));
    insta::assert_snapshot!(
        "diff_same_json",
        session(&["trace", "diff", "PACK", "PACK", "--json"])
    );
}

#[test]
fn replay() {
    insta::assert_snapshot!(session(&["trace", "replay", "PACK"]));
    insta::assert_snapshot!("replay_json", session(&["trace", "replay", "PACK", "--json"]));
}

#[test]
fn shrink() {
    insta::assert_snapshot!(session(&["trace", "shrink", "PACK"]));
    let named = ["trace", "shrink", "PACK", "-o", "/tmp/small.pack", "--json"];
    insta::assert_snapshot!("shrink_json", session(&named));
}

#[test]
fn export() {
    for format in ["folded", "dot", "text", "tla"] {
        let text = session(&["trace", "export", "PACK", "--format", format]);
        insta::assert_snapshot!(format!("export_{format}"), text);
    }
    insta::assert_snapshot!(
        "export_unknown",
        session(&["trace", "export", "PACK", "--format", "x"])
    );
    let file = pack();
    let file = file.to_str().expect("the path is text");
    let output = asupersync(&["trace", "export", file, "--format", "perfetto"]);
    let value: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let events = value["traceEvents"].as_array().expect("it has events");
    assert_eq!(events.iter().filter(|event| event["ph"] == "X").count(), 9);
    assert!(events.iter().any(|event| event["ph"] == "s"));
}

#[test]
fn explain() {
    insta::assert_snapshot!(session(&["explain", "6"]));
    insta::assert_snapshot!("explain_json", session(&["explain", "asy-0006", "--json"]));
    insta::assert_snapshot!("explain_unknown", session(&["explain", "ASY-9999"]));
}

#[test]
fn help_and_wrong_calls() {
    insta::assert_snapshot!("help", session(&["--help"]));
    for (name, words) in [
        ("wrong_command", &["trace", "look"][..]),
        ("wrong_file", &["trace", "inspect", "nowhere"]),
        ("wrong_option", &["--loud"]),
        ("wrong_number", &["trace", "view", "PACK", "--from", "here"]),
        ("nothing", &[]),
    ] {
        insta::assert_snapshot!(name, session(words));
    }
}

/// The run that the tests below replay, by the command that its pack holds.
#[test]
#[ignore = "run by the tests below, in a process of its own"]
fn recorded() {
    let found = explore(ExploreOptions::default(), lost_update);
    if let Some(failure) = found.failure {
        panic!("{failure}");
    }
}

/// A folder with a `cargo` that runs the test above: cargo itself would build first.
fn stand_in(dir: &Path) {
    let cargo = dir.join("cargo");
    let binary = std::env::current_exe().expect("this is a program");
    let script =
        format!("#!/bin/sh\nexec '{}' recorded --exact --ignored --nocapture\n", binary.display());
    std::fs::write(&cargo, script).expect("the folder is ours");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755))
        .expect("so is the file");
}

#[test]
fn a_recording_is_replayed_and_shrunk_by_its_own_test() {
    let dir = tempfile::tempdir().expect("a folder");
    stand_in(dir.path());
    let call = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_asupersync"));
        command.args(words).env("PATH", dir.path()).env("ASUPERSYNC_TRACE_DIR", dir.path());
        command.output().expect("it runs")
    };
    // Leaves its pack in the folder.
    let failed = Command::new(dir.path().join("cargo"))
        .env("ASUPERSYNC_TRACE_DIR", dir.path())
        .output()
        .expect("it runs");
    assert!(!failed.status.success());
    let mut files =
        std::fs::read_dir(dir.path()).expect("it is there").map(|f| f.expect("too").path());
    let pack = files.find(|f| f.extension().is_some_and(|e| e == "pack"));
    let pack = pack.expect("the failure was kept").display().to_string();

    let replayed = call(&["trace", "replay", &pack, "--run"]);
    assert_eq!(replayed.status.code(), Some(1), "the test failed as recorded");
    assert!(String::from_utf8_lossy(&replayed.stderr).contains("the replay failed as recorded"));

    let small = dir.path().join("small.pack").display().to_string();
    let shrunk = call(&["trace", "shrink", &pack, "--run", "--json", "-o", &small]);
    assert_eq!(shrunk.status.code(), Some(0), "{}", String::from_utf8_lossy(&shrunk.stderr));
    let value: serde_json::Value = serde_json::from_slice(&shrunk.stdout).expect("it is JSON");
    assert_eq!(value["out"], serde_json::json!(small));
    assert!(value["steps_after"].as_u64() <= value["steps_before"].as_u64(), "{value}");
    let again = call(&["trace", "replay", &small, "--run"]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("an update was lost"));
}

#[test]
fn a_recording_that_does_not_fail_any_more_is_not_shrunk() {
    let dir = tempfile::tempdir().expect("a folder");
    let cargo = dir.path().join("cargo");
    std::fs::write(&cargo, "#!/bin/sh\nexit 0\n").expect("the folder is ours");
    std::fs::set_permissions(&cargo, std::fs::Permissions::from_mode(0o755))
        .expect("so is the file");
    let out = dir.path().join("small.pack");
    std::fs::write(&out, "from before").expect("the folder is ours");
    let output = Command::new(env!("CARGO_BIN_EXE_asupersync"))
        .args(["trace", "shrink", pack().to_str().expect("text"), "--run", "-o"])
        .arg(&out)
        .env("PATH", dir.path())
        .output()
        .expect("it runs");
    assert_eq!(output.status.code(), Some(1));
    assert!(!out.exists(), "an older answer is no answer");
}

/// Where the pages go: a folder that the browser's test asks for, or one that is gone afterwards.
fn pages() -> (Option<tempfile::TempDir>, PathBuf) {
    match std::env::var_os("ASUPERSYNC_PAGES_DIR") {
        Some(dir) => (None, PathBuf::from(dir)),
        None => {
            let dir = tempfile::tempdir().expect("a folder");
            let path = dir.path().to_owned();
            (Some(dir), path)
        }
    }
}

#[test]
fn view() {
    let (_guard, dir) = pages();
    let page = dir.join("failing.html").display().to_string();
    let file = pack().display().to_string();
    assert_eq!(asupersync(&["trace", "view", &file, "-o", &page]).status.code(), Some(0));
    let text = std::fs::read_to_string(page).expect("the page is there");
    for words in
        ["the failing run", "the passing twin", "\"name\":\"left\"", "\"marks\":[", "</html>"]
    {
        assert!(text.contains(words), "{words}");
    }
    let data = text.lines().find_map(|line| line.strip_prefix("const data = ")).expect("data");
    let data: serde_json::Value =
        serde_json::from_str(data.trim_end_matches(';')).expect("it is JSON");
    // The same two steps are marked in both runs, in the two orders that they have there.
    let marked = |run: usize| -> Vec<(u64, String)> {
        let run = &data["runs"][run];
        let step = |at: &serde_json::Value| {
            let lane = &run["polls"][at.as_u64().expect("a step") as usize]["l"];
            let name = &run["lanes"][lane.as_u64().expect("a lane") as usize]["name"];
            (at.as_u64().expect("a step"), name.as_str().expect("a name").to_owned())
        };
        run["marks"].as_array().expect("marks").iter().map(step).collect()
    };
    let (failing, passing) = (marked(0), marked(1));
    assert!(failing[0].0 < failing[1].0 && passing[0].0 > passing[1].0, "{failing:?} {passing:?}");
    assert_eq!((&failing[0].1, &failing[1].1), (&passing[0].1, &passing[1].1));
    assert_eq!(text.matches("http://").count(), 1, "it fetches nothing; this one names SVG");
    let part = asupersync(&["trace", "view", &file, "--from", "3", "--steps", "2"]);
    let part = String::from_utf8_lossy(&part.stdout).into_owned();
    assert!(part.contains("\"all\":9,") && part.contains("\"first\":3,"), "{part}");
}

/// A trace of so many tasks that each yield so often.
fn crowd(tasks: usize, yields: usize) -> Vec<u8> {
    let config = LabConfig::default().max_steps(10_000_000).capture_trace(true);
    let report = LabRuntime::new(config).run(async move |cx: &Cx| {
        cx.region(async |scope| {
            for _ in 0..tasks {
                let _ = scope.spawn(async move |cx: &Cx| {
                    for _ in 0..yields {
                        cx.yield_now().await?;
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(())
    });
    report.trace.expect("it was captured").into_bytes()
}

/// The page of such a crowd, and how many events and bytes it has.
fn page_of_a_crowd(name: &str, tasks: usize, yields: usize) -> (usize, usize) {
    let (_guard, dir) = pages();
    let trace = dir.join(format!("{name}.trace"));
    let page = dir.join(format!("{name}.html"));
    let bytes = crowd(tasks, yields);
    let limits = asupersync_trace::Limits::default();
    let events = asupersync_trace::Trace::parse(&bytes, &limits).expect("it is one").events().len();
    std::fs::write(&trace, bytes).expect("the folder is ours");
    let [trace, page] = [trace, page].map(|path| path.display().to_string());
    let output = asupersync(&["trace", "view", &trace, "-o", &page]);
    assert_eq!(output.status.code(), Some(0));
    let bytes = std::fs::metadata(&page).expect("the page is there").len();
    (events, usize::try_from(bytes).expect("it fits"))
}

#[test]
fn a_run_of_more_events_than_a_module_holds_is_not_exported_as_one() {
    let (_guard, dir) = pages();
    let trace = dir.join("long.trace");
    // Two events a task, and those of its region.
    std::fs::write(&trace, crowd(10_000, 0)).expect("the folder is ours");
    let output = asupersync(&["trace", "export", &trace.display().to_string(), "--format", "tla"]);
    assert_ne!(output.status.code(), Some(0));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("a module holds 20000"), "{said}");
}

#[test]
fn ten_thousand_events_are_on_one_page() {
    let (events, bytes) = page_of_a_crowd("crowd", 20, 100);
    assert!(events > 10_000, "{events} events");
    assert!(bytes < 1_000_000, "{bytes} bytes");
}

#[test]
#[ignore = "takes some seconds; `cargo xtask pages` runs it"]
fn a_million_events_are_on_a_page_of_a_few_megabytes() {
    let (events, bytes) = page_of_a_crowd("multitude", 200, 1_000);
    assert!(events > 1_000_000, "{events} events");
    assert!(bytes < 6_000_000, "{bytes} bytes");
}
