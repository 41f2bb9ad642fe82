//! Each command on one failing run.

use asupersync_core::{Cx, Error};
use asupersync_lab::{ExploreOptions, Shared, explore};
use std::path::PathBuf;
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

/// What the command prints, with exit code `code`, and the pack's place left out.
#[track_caller]
fn prints(words: &[&str], code: i32) -> String {
    let pack = pack();
    let file = pack.to_str().expect("the path is text");
    let words: Vec<&str> = words.iter().map(|w| if *w == "PACK" { file } else { *w }).collect();
    let output = asupersync(&words);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{errors}");
    let text = String::from_utf8(output.stdout).expect("it prints text");
    text.replace(file, "PACK")
        .replace(env!("CARGO_MANIFEST_DIR"), "")
        .replace(pack.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default(), "NAME")
}

#[test]
fn inspect() {
    let text = prints(&["trace", "inspect", "PACK"], 0);
    insta::assert_snapshot!(without_test_name(&text));
    let json = prints(&["trace", "inspect", "PACK", "--json"], 0);
    insta::assert_snapshot!("inspect_json", without_test_name(&json));
}

/// Packs say which test they are of, and each test here makes its own.
fn without_test_name(text: &str) -> String {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    text.replace(&format!("{name} -- --exact"), "TEST -- --exact")
}

#[test]
fn diff() {
    insta::assert_snapshot!(prints(&["trace", "diff", "PACK"], 1));
    insta::assert_snapshot!("diff_same", prints(&["trace", "diff", "PACK", "PACK"], 0));
}

#[test]
fn replay() {
    insta::assert_snapshot!(without_test_name(&prints(&["trace", "replay", "PACK"], 0)));
}

#[test]
fn export() {
    for format in ["folded", "dot", "text"] {
        let text = prints(&["trace", "export", "PACK", "--format", format], 0);
        insta::assert_snapshot!(format!("export_{format}"), text);
    }
    let perfetto = prints(&["trace", "export", "PACK", "--format", "perfetto"], 0);
    let value: serde_json::Value = serde_json::from_str(&perfetto).expect("it is JSON");
    let events = value["traceEvents"].as_array().expect("it has events");
    assert_eq!(events.iter().filter(|event| event["ph"] == "X").count(), 9);
    assert!(events.iter().any(|event| event["ph"] == "s"));
}

#[test]
fn view() {
    let dir = tempfile::tempdir().expect("a folder");
    let page = dir.path().join("page.html");
    let page = page.to_str().expect("the path is text");
    prints(&["trace", "view", "PACK", "-o", page], 0);
    let text = std::fs::read_to_string(page).expect("the page is there");
    for words in
        ["the failing run", "the passing twin", "\"name\":\"left\"", "\"marks\":[", "</html>"]
    {
        assert!(text.contains(words), "{words}");
    }
    assert!(
        !text.contains("http://") || text.matches("http://").count() == 1,
        "it fetches nothing"
    );
}

#[test]
fn explain() {
    let text = prints(&["explain", "6"], 0);
    assert!(text.starts_with("# ASY-0006: "), "{text}");
    assert!(prints(&["explain", "asy-0006", "--json"], 0).starts_with("{\"code\":\"ASY-0006\""));
}

#[test]
fn a_wrong_call_says_how_to_call() {
    for words in [
        &["trace", "look"][..],
        &["explain", "ASY-9999"],
        &["trace", "inspect", "nowhere"],
        &["--loud"],
    ] {
        let output = asupersync(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("usage: asupersync"), "{words:?}");
    }
}
