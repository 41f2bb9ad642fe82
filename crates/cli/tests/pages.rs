//! Pages of runs of each sort: what is in their data, and the files that `cargo xtask pages` opens in a browser.

use asupersync_channel::{mpsc, oneshot};
use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error, RegionOptions};
use asupersync_io::{AsyncReadExt as _, AsyncWriteExt as _};
use asupersync_lab::{
    ExploreOptions, Faults, LabConfig, LabRuntime, Mutex as LabMutex, Shared, effect, explore,
};
use asupersync_net::{TcpListener, TcpStream};
use asupersync_sync::Mutex;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The page of a file, kept where the browser's test asks for it, and the data in it.
fn page(name: &str, file: &Path) -> Value {
    let output = Command::new(env!("CARGO_BIN_EXE_asupersync"))
        .args(["trace", "view"])
        .arg(file)
        .output()
        .expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    if let Some(dir) = std::env::var_os("ASUPERSYNC_PAGES_DIR") {
        let page = PathBuf::from(dir).join(format!("{name}.html"));
        std::fs::write(page, &output.stdout).expect("the folder is there");
    }
    let text = String::from_utf8(output.stdout).expect("it is text");
    let data = text.lines().find_map(|line| line.strip_prefix("const data = ")).expect("data");
    serde_json::from_str(data.trim_end_matches(';')).expect("it is JSON")
}

/// The page of a run that is captured with these options.
fn page_of_run<F>(name: &str, config: LabConfig, body: F) -> Value
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let report = LabRuntime::new(config.capture_trace(true)).run(body);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("run.trace");
    std::fs::write(&file, report.trace.expect("it was captured").into_bytes())
        .expect("the folder is ours");
    page(name, &file)
}

/// The named task's lane.
fn lane(run: &Value, name: &str) -> usize {
    let lanes = run["lanes"].as_array().expect("lanes");
    lanes.iter().position(|lane| lane["name"] == name).expect("it has a lane")
}

/// Two tasks take two mutexes in opposite orders.
async fn opposite_orders(cx: &Cx) -> Result<(), Error> {
    let [left, right] = [Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0))];
    cx.region(async |scope| {
        for (name, first, second) in
            [("there", left.clone(), right.clone()), ("and back", right.clone(), left.clone())]
        {
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                let mut first = first.lock(cx).await?;
                cx.yield_now().await?;
                *second.lock(cx).await? += 1;
                *first += 1;
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

#[test]
fn what_is_held_is_told_with_who_waits_for_it() {
    let found = explore(ExploreOptions::default(), opposite_orders);
    let file = found.failure.expect("they wait for each other").file.expect("it was kept");
    let data = page("locks", &file);
    let run = &data["runs"][0];
    let (there, back) = (lane(run, "there"), lane(run, "and back"));
    let of = |list: &str, lane: usize| -> Vec<Value> {
        let list = run[list].as_array().expect("a list").iter();
        list.filter(|one| one["l"] == lane).cloned().collect()
    };
    for (lane, other) in [(there, "and back"), (back, "there")] {
        let (holds, waits) = (of("holds", lane), of("waits", lane));
        assert!(holds[0]["n"].as_str().expect("a name").starts_with("Mutex::Guard x"), "{run}");
        assert!(holds[0]["s"].as_str().expect("a site").contains("pages.rs:"), "{run}");
        assert!(waits.iter().any(|wait| wait["h"] == other), "{waits:?}");
    }
    // In the passing twin each gives back what it took.
    let twin = data["runs"][1]["holds"].as_array().expect("holds");
    assert!(twin.len() >= 4 && twin.iter().all(|hold| hold["z"].is_u64()), "{twin:?}");
    let share = data["shares"].as_array().expect("shares");
    assert_eq!(share[0][0], 0, "all classes could be counted");
    assert!(share[0][1].as_u64() < share[0][2].as_u64(), "not all orders fail: {share:?}");
    assert_eq!(share.last().expect("the run itself")[1], 1);
}

#[test]
fn a_mutex_of_the_lab_is_held_from_its_taking_on() {
    let data = page_of_run("gates", LabConfig::default().seed(2), async |cx: &Cx| {
        let mutex = LabMutex::new();
        cx.region(async |scope| {
            for name in ["one", "two"] {
                let mutex = mutex.clone();
                let _ = scope.spawn_named(name, async move |cx: &Cx| {
                    for _ in 0..2 {
                        let guard = mutex.lock(cx).await?;
                        cx.yield_now().await?;
                        guard.unlock(cx).await?;
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok(())
    });
    let run = &data["runs"][0];
    let mut holds: Vec<(u64, u64)> = Vec::new();
    for hold in run["holds"].as_array().expect("holds") {
        let end = |key: &str| hold[key].as_u64().expect("a step");
        holds.push((end("a"), end("z")));
        assert_ne!(hold["l"], lane(run, "main"), "main only made it");
    }
    assert_eq!(holds.len(), 4);
    holds.sort_unstable();
    assert!(holds.windows(2).all(|two| two[0].1 < two[1].0), "one at a time: {holds:?}");
}

#[test]
fn a_message_is_told_from_its_send_to_its_receive() {
    let data = page_of_run("messages", LabConfig::default().seed(1), async |cx: &Cx| {
        let (sender, mut receiver) = mpsc::channel::<u32>(1);
        let mut producer = cx.spawn(async move |cx: &Cx| {
            for number in 0..3 {
                let _ = sender.send(cx, number).await;
            }
            Ok::<_, Error>(())
        });
        while receiver.recv(cx).await.is_ok() {}
        producer.join(cx).await?.into_result()?;
        Ok(())
    });
    let run = &data["runs"][0];
    let polls = run["polls"].as_array().expect("polls");
    let main = lane(run, "main");
    let met = polls
        .iter()
        .filter(|poll| poll["l"] == main)
        .flat_map(|poll| poll["m"].as_array().cloned().unwrap_or_default());
    let met: Vec<Value> = met.collect();
    assert!(met.len() >= 3, "{met:?}");
    for meeting in met {
        let from = meeting[0].as_u64().expect("a step") as usize;
        assert_ne!(polls[from]["l"], main, "what main meets, the producer left");
    }
}

type Order = (u32, oneshot::Sender<()>);

/// A customer who orders again when no answer comes within a second, and a seller who charges for every order.
async fn impatient(cx: &Cx) -> Result<(), Error> {
    let (orders, mut desk) = mpsc::channel::<Order>(1);
    let mut seller = cx.spawn(async move |cx: &Cx| {
        while let Ok((_, reply)) = desk.recv(cx).await {
            effect(cx, "order 7 is charged");
            let _ = reply.send(());
        }
        Ok::<_, Error>(())
    });
    for _ in 0..2 {
        let (reply, mut answer) = oneshot::channel();
        let _ = orders.send(cx, (7, reply)).await;
        if timeout(cx, Duration::from_secs(1), answer.recv(cx)).await.is_ok() {
            break;
        }
    }
    drop(orders);
    seller.join(cx).await?.into_result()?;
    Ok(())
}

#[test]
fn time_that_races_has_a_lane_of_its_own() {
    let options = ExploreOptions::default().config(LabConfig::default().time_races(16));
    let failure = explore(options, impatient).failure.expect("the seller is slow in some order");
    let data = page("time", &failure.file.expect("it was kept"));
    let run = &data["runs"][0];
    assert_eq!(
        (&run["lanes"][0]["name"], &run["lanes"][0]["time"]),
        (&"time".into(), &true.into())
    );
    assert_eq!(run["tasks"], 2, "time is no task");
}

/// Regions within each other, with tasks in each that pass messages on, until the third is cancelled.
async fn nest(cx: &Cx, depth: usize) -> Result<(), Error> {
    const NAMES: [&str; 4] = [
        "service",
        "connections",
        "requests",
        "a region with a rather long name, as programs have them",
    ];
    let Some(name) = NAMES.get(depth).copied() else { return Ok(()) };
    let count = Shared::new(0_u32);
    let region = cx.region_with(RegionOptions::new().name(name), async |scope| {
        for _ in 0..25 {
            let count = count.clone();
            let _ = scope.spawn(async move |cx: &Cx| {
                count.update(cx, |count| *count += 1).await?;
                cx.sleep(Duration::from_secs(4 - depth as u64)).await?;
                Ok::<_, Error>(())
            });
        }
        Box::pin(nest(cx, depth + 1)).await?;
        if depth == 1 {
            scope.cancel(CancelReason::user("enough"));
        }
        Ok::<_, Error>(())
    });
    let _ = region.await;
    Ok(())
}

#[test]
fn regions_stand_within_each_other_and_a_cancellation_is_a_cut() {
    let data = page_of_run("deep", LabConfig::default().seed(3), async |cx: &Cx| nest(cx, 0).await);
    let run = &data["runs"][0];
    assert_eq!(run["tasks"], 101);
    let paths: Vec<usize> = run["lanes"]
        .as_array()
        .expect("lanes")
        .iter()
        .map(|lane| lane["region"].as_array().expect("a path").len())
        .collect();
    assert!(paths.is_sorted() && paths.last() == Some(&5), "{paths:?}");
    let cuts = run["cuts"].as_array().expect("cuts");
    let cut =
        cuts.iter().max_by_key(|cut| cut["l"].as_array().map(Vec::len)).expect("there is one");
    assert_eq!(cut["n"], "region root/service/connections");
    assert!(cut["l"].as_array().expect("lanes").len() >= 25, "{cut}");
}

#[test]
fn what_happens_between_two_steps_is_told_of_none() {
    let data = page_of_run("asleep", LabConfig::default(), async |cx: &Cx| {
        let _ = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
        cx.sleep(Duration::from_secs(1)).await?;
        Ok(())
    });
    let run = &data["runs"][0];
    let main = lane(run, "main");
    let polls = run["polls"].as_array().expect("polls");
    let of_main = polls.iter().filter(|poll| poll["l"] == main).count();
    assert_eq!((of_main, polls.len()), (2, 4));
    // It is the clock that wakes main, and not who was polled last before.
    assert!(polls.iter().all(|poll| poll["w"].is_null()), "{polls:?}");
}

#[test]
fn what_the_lab_cancels_is_a_cut_and_is_exported() {
    let config = LabConfig::default().inject_cancel_at(2).capture_trace(true);
    let body = async |cx: &Cx| {
        while cx.yield_now().await.is_ok() {}
        Ok::<_, Error>(())
    };
    let report = LabRuntime::new(config.clone()).run(body);
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("cancelled.trace");
    std::fs::write(&file, report.trace.expect("it was captured").into_bytes())
        .expect("the folder is ours");
    let data = page("cancelled", &file);
    let cut = &data["runs"][0]["cuts"][0];
    assert_eq!((&cut["b"], &cut["i"], &cut["n"]), (&2.into(), &true.into(), &"region root".into()));
    for format in ["dot", "perfetto"] {
        let output = Command::new(env!("CARGO_BIN_EXE_asupersync"))
            .args(["trace", "export", "--format", format])
            .arg(&file)
            .output()
            .expect("it runs");
        let text = String::from_utf8(output.stdout).expect("it is text");
        assert!(text.contains("the lab cancels region root"), "{format}: {text}");
    }
}

#[test]
fn faults_stand_where_they_struck() {
    let config = LabConfig::default().faults(Faults::default().network());
    let data = (0..50).find_map(|seed| {
        let data = page_of_run("network", config.clone().seed(seed), async |cx: &Cx| {
            let mut server = cx.spawn(async |cx: &Cx| {
                let listener = TcpListener::bind(cx, "10.0.0.9:80").await?;
                loop {
                    let (mut stream, _) = listener.accept(cx).await?;
                    let _ = stream.write_all(cx, b"yes").await;
                }
                #[expect(unreachable_code, reason = "says which error")]
                Ok::<(), Error>(())
            });
            for _ in 0..20 {
                let ask = async {
                    let from = [10, 0, 0, 2].into();
                    let mut stream = TcpStream::connect_from(cx, from, "10.0.0.9:80").await?;
                    stream.read_exact(cx, &mut [0; 3]).await
                };
                let _ = timeout(cx, Duration::from_secs(5), ask).await;
                cx.sleep(Duration::from_millis(500)).await?;
            }
            server.cancel(CancelReason::user("answered"));
            let _ = server.join(cx).await?;
            Ok(())
        });
        let signs = data["runs"][0]["signs"].as_array().expect("signs").len();
        (signs > 2).then_some(data)
    });
    let data = data.expect("in some run something goes wrong");
    let signs = data["runs"][0]["signs"].as_array().expect("signs");
    let told: Vec<&str> = signs.iter().filter_map(|sign| sign["n"].as_str()).collect();
    assert!(told.iter().any(|text| text.starts_with("fault ")), "{told:?}");
}

#[test]
fn what_could_be_at_once_stands_in_one_band() {
    let data = page_of_run("bands", LabConfig::default(), async |cx: &Cx| {
        cx.region(async |scope| {
            for _ in 0..4 {
                let _ = scope.spawn(async |cx: &Cx| {
                    for _ in 0..3 {
                        cx.yield_now().await?;
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        Ok(())
    });
    let polls = data["runs"][0]["polls"].as_array().expect("polls").clone();
    let mut in_band = std::collections::BTreeMap::new();
    for poll in &polls {
        *in_band.entry(poll["b"].as_u64().expect("a band")).or_insert(0) += 1;
    }
    // main spawns; then the four are independent of each other in each of their steps; then main goes on.
    let wide = in_band.values().filter(|count| **count == 4).count();
    assert!(wide >= 3 && in_band.values().all(|count| *count <= 4), "{in_band:?}");
}

#[test]
fn a_run_in_which_nothing_happened_has_a_page() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("empty.trace");
    let bytes = asupersync_trace::Writer::new(asupersync_trace::Header::new(7)).finish();
    std::fs::write(&file, bytes).expect("the folder is ours");
    let data = page("empty", &file);
    assert_eq!((&data["runs"][0]["all"], &data["seed"]), (&0.into(), &7.into()));
}
