//! The front door: what a failing test prints, and that what it prints replays it.

use asupersync_core::{CancelReason, Cx, Error, RegionOptions};
use asupersync_lab::{
    Atomic, ExploreOptions, LabConfig, LabRuntime, LabTest, Shared, check, explore,
};
use asupersync_trace::{Limits, Recording};
use std::panic::catch_unwind;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

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

fn failure(test: impl FnOnce() + std::panic::UnwindSafe) -> String {
    let payload = catch_unwind(test).expect_err("the test should fail");
    *payload.downcast::<String>().expect("the report is text")
}

#[test]
fn a_lost_update_is_found_and_its_report_tells_all() {
    let text = failure(|| {
        LabTest::new("suite::lost_update").seeds(0..100).run(lost_update);
    });
    for words in [
        "lost_update: failed with seed ",
        "the body panicked: assertion `left == right` failed: an update was lost",
        "left: reads Shared x",
        "right: writes Shared x",
        "ends as Panicked",
        "the smallest schedule found: 9 steps, 4 switches of task, 3 choices forced",
        "no single choice can be left out",
        "the order that matters: step 2 (",
        "the other way round, the run passes",
        "the share that fails: 2 of 4 classes of orders; after step 2, 2 of 3; after step 4 (",
        "), which decides it, all 2",
        "as it was found: ASUPERSYNC_LAB_SEED=",
        "lost_update -- --exact",
        "ASUPERSYNC_LAB_REPLAY=",
    ] {
        assert!(text.contains(words), "{words:?} is missing in:\n{text}");
    }
    assert!(!text.contains("warning: run again, it went another way"), "{text}");
}

#[test]
fn a_correct_body_has_as_many_behaviours_as_theory_says() {
    // Two writes of one cell: their order is all that can differ.
    let summary = check(0..400, async |cx: &Cx| {
        let cell = Shared::new(0_u32);
        cx.region(async |scope| {
            for _ in 0..2 {
                let cell = cell.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    cell.update(cx, |value| *value += 1).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        assert_eq!(cell.get(cx).await?, 2);
        Ok::<_, Error>(())
    });
    assert_eq!((summary.runs, summary.classes), (400, 2));
}

/// Yields as often as it has been run before.
async fn yields_more_each_time(cx: &Cx, runs: &AtomicU32) -> Result<(), Error> {
    for _ in 0..runs.fetch_add(1, Ordering::Relaxed) {
        cx.yield_now().await?;
    }
    Ok(())
}

#[test]
fn a_program_that_is_not_repeatable_fails_at_once_and_its_first_difference_is_named() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let text = failure(|| {
        check(0..10, async |cx: &Cx| yields_more_each_time(cx, &RUNS).await);
    });
    assert!(text.contains("not repeatable: two runs with seed 0 differ"), "{text}");
    assert!(text.contains("the traces differ first at event "), "{text}");
}

#[test]
fn an_ambient_source_that_shows_late_is_noticed_when_its_failure_is_replayed() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let text = failure(|| {
        check(0..10, async |_: &Cx| {
            assert_ne!(RUNS.fetch_add(1, Ordering::Relaxed), 5);
            Ok::<_, Error>(())
        });
    });
    assert!(text.contains("warning: run again, it went another way"), "{text}");
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn replayed() {
    LabTest::new("check::replayed").seeds(0..100).run(lost_update);
}

/// What the test above prints in a fresh process with this environment.
fn replayed_with(variable: &str, value: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["replayed", "--exact", "--ignored", "--nocapture"])
        .env(variable, value)
        .output()
        .unwrap();
    assert!(!output.status.success(), "the failure did not come again");
    String::from_utf8(output.stderr).unwrap()
}

/// The word after `before`, in the first line that has it.
fn after(text: &str, before: &str) -> String {
    let (_, rest) = text.split_once(before).expect("the report has this line");
    rest.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn what_a_report_prints_replays_the_failure_in_a_fresh_process() {
    let first = failure(|| {
        LabTest::new("check::replayed").seeds(0..100).run(lost_update);
    });
    let seed = after(&first, "ASUPERSYNC_LAB_SEED=");
    let by_seed = replayed_with("ASUPERSYNC_LAB_SEED", &seed);
    let by_file = replayed_with("ASUPERSYNC_LAB_REPLAY", &after(&first, "ASUPERSYNC_LAB_REPLAY="));
    let story = first.split("the steps that led to it:").nth(1).unwrap();
    let story = story.split("the order that matters").next().unwrap();
    for text in [by_seed, by_file] {
        assert!(text.contains(&format!("replayed: failed with seed {seed}\n")), "{text}");
        assert!(text.contains(story), "{text}\nshould tell the same story as\n{first}");
    }
}

/// A folder for one test's files.
fn folder(name: &str) -> std::path::PathBuf {
    let dir = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn a_failure_is_kept_where_the_usual_folder_is_not_ours_to_write() {
    let temporary = folder("usual-folder-is-taken");
    std::fs::write(temporary.join("asupersync-lab"), "a file stands in the way").unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["replayed", "--exact", "--ignored", "--nocapture"])
        .env("TMPDIR", &temporary)
        .env_remove("ASUPERSYNC_TRACE_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("usual-folder-is-taken/asupersync-lab-"), "{text}");
}

#[test]
fn a_replay_that_is_not_the_recorded_run_names_the_first_difference() {
    let dir = folder("other");
    let file = dir.join("other.trace");
    let lab = LabRuntime::new(LabConfig::default().seed(5).capture_trace(true));
    let other = lab.run(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
    std::fs::write(&file, other.trace.unwrap().into_bytes()).unwrap();
    let text = replayed_with("ASUPERSYNC_LAB_REPLAY", file.to_str().unwrap());
    assert!(text.contains("the replay is not the recorded run"), "{text}");
    assert!(text.contains("the traces differ first at event "), "{text}");
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn long_exploration() {
    let options = ExploreOptions::default().max_runs(5_001);
    let found = explore(options, async |cx: &Cx| {
        let count = Atomic::new(0);
        cx.region(async |scope| {
            for _ in 0..8 {
                let count = count.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    count.fetch_add(cx, 1).await?;
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok::<_, Error>(())
    });
    assert!(!found.exhausted, "eight factorial are 40,320");
}

#[test]
fn a_long_exploration_says_how_far_it_has_come_when_it_is_asked_to() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["long_exploration", "--exact", "--ignored"]);
    let output = command.env("ASUPERSYNC_LAB_PROGRESS", "1").output().unwrap();
    assert!(output.status.success());
    let line = "long_exploration: 5000 runs of at most 5001, 5000 classes\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), line);
}

#[test]
fn the_story_of_a_failure_names_the_cancellation_that_took_effect() {
    let text = failure(|| {
        check(0..1, async |cx: &Cx| {
            let mut child = cx.spawn(async |cx: &Cx| {
                cx.sleep(Duration::from_secs(1)).await.expect("nobody cancels me");
                Ok::<_, Error>(())
            });
            cx.yield_now().await?;
            child.cancel(CancelReason::user("enough"));
            child.join(cx).await?.into_result()?;
            Ok::<_, Error>(())
        });
    });
    let mut lines = text.lines().filter(|line| line.contains(" main: "));
    assert!(lines.any(|line| line.contains(", cancels t")), "no cancellation in:\n{text}");
    let text = failure(|| {
        let body = async |cx: &Cx| {
            cx.region_with(RegionOptions::new().name("inner"), async |scope| {
                let _ = scope.spawn(async |cx: &Cx| {
                    cx.sleep(Duration::from_secs(1)).await.expect("nobody cancels me");
                    Ok::<_, Error>(())
                });
                cx.yield_now().await?;
                scope.cancel(CancelReason::user("enough"));
                Ok::<_, Error>(())
            })
            .await
            .into_result()
        };
        check(0..1, body);
    });
    assert!(text.contains("cancels region inner"), "{text}");
}

#[test]
fn names_from_the_program_cannot_end_a_line_of_the_story_or_drive_the_terminal() {
    let text = failure(|| {
        check(0..1, async |cx: &Cx| {
            let name = "a\n>   99 main: ends as Ok\u{1b}[2J\u{202e}";
            cx.region(async |scope| {
                let _ =
                    scope.spawn_named(name, async |_: &Cx| Err::<(), _>(Error::msg("it broke")));
                Ok(())
            })
            .await
            .into_result()
        });
    });
    let at = text.find("the steps that led to it").expect("there is a story");
    let story = &text[at..];
    assert!(story.contains(r"a\n>   99 main: ends as Ok\u{1b}[2J\u{202e}"), "{story}");
    assert!(!story.contains(['\u{1b}', '\u{202e}']), "{story}");
}

#[test]
fn a_failure_with_a_name_too_long_for_a_reader_is_told_and_kept_all_the_same() {
    let text = failure(|| {
        check(0..1, async |cx: &Cx| {
            let name = "long ".repeat(20_000);
            cx.region(async |scope| {
                let _ = scope.spawn_named(&*name, async |_: &Cx| Ok::<_, Error>(()));
                Ok::<_, Error>(())
            })
            .await
            .into_result()?;
            Err::<(), _>(Error::msg("it broke"))
        });
    });
    assert!(text.contains("the steps that led to it"), "{text}");
    let file = text.split_once("the trace and the twin: ").expect("it was kept").1;
    let bytes = std::fs::read(file.lines().next().expect("a path")).expect("it is there");
    let recording = Recording::parse(&bytes, &Limits::default()).expect("it can be read");
    let shrunk = &recording.pack.expect("it is a pack").shrunk;
    assert!(shrunk.contains("; found: ") && shrunk.contains(", smallest: "), "{shrunk}");
}
