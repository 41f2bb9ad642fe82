//! Bugs that show only where time races with the tasks: a timer fires, a delivery lands or a fault strikes between
//! two steps of a task that could go on.

use asupersync_channel::{mpsc, oneshot};
use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error, ErrorKind, TaskBody, cap};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{
    Choice, Exploration, ExploreOptions, Fault, Faults, Fifo, LabConfig, LabRuntime, LabTest,
    Method, Pct, Pos, Random, Strategy, TopologyGuided, effect, explore,
};
use asupersync_net::{TcpListener, TcpStream, UdpSocket};
use asupersync_os::fs;
use asupersync_sync::Notify;
use asupersync_trace::{Event, Limits, Recording, Trace};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn racing() -> LabConfig {
    LabConfig::default().time_races(100)
}

fn by<F>(config: LabConfig, body: F) -> Exploration
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    explore(ExploreOptions::default().config(config), body)
}

/// Found where time races and not where it does not. Answers the failure, told.
#[track_caller]
fn only_by_racing<F>(config: LabConfig, body: F) -> String
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let still = by(config.clone().time_races(0), body.clone());
    assert!(still.exhausted && still.failure.is_none(), "{still}");
    let found = by(config.time_races(100), body);
    println!("{found}");
    found.failure.expect("some order fails").story
}

/// A client and a server that charges for each request. Asks again when no answer came in time; the server knows the
/// order by its number, if it looks.
async fn pay(cx: &Cx, looks: bool) -> Result<(), Error> {
    let (orders, mut desk) = mpsc::channel::<(u32, oneshot::Sender<()>)>(1);
    let mut server = cx.spawn(async move |cx: &Cx| {
        let mut known = None;
        while let Ok((order, reply)) = desk.recv(cx).await {
            if !looks || known != Some(order) {
                effect(cx, "the card is charged");
            }
            known = Some(order);
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
    server.join(cx).await?.into_result()?;
    Ok(())
}

#[test]
fn a_client_whose_timeout_fires_although_the_answer_is_there_pays_twice() {
    let story = only_by_racing(LabConfig::default(), async |cx: &Cx| pay(cx, false).await);
    assert!(story.contains("the card is charged"), "{story}");
    assert!(story.contains(" time: passes to 1s, wakes main"), "{story}");
    let fixed = by(racing(), async |cx: &Cx| pay(cx, true).await);
    assert!(fixed.exhausted && fixed.failure.is_none(), "{fixed}");
    println!("{fixed}");
}

/// Looks for mail, and then waits for some to come.
async fn mail(cx: &Cx, waits_first: bool) -> Result<(), Error> {
    let (there, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
    let (is_there, rings) = (there.clone(), bell.clone());
    let _ = cx.spawn(async move |cx: &Cx| {
        let socket = UdpSocket::bind(cx, "10.0.0.1:7").await?;
        socket.send_to(cx, b"letter", "10.0.0.1:7".parse().expect("it is one")).await?;
        socket.recv_from(cx, &mut [0; 8]).await?;
        is_there.store(true, Ordering::Relaxed);
        rings.notify_waiters();
        Ok::<_, Error>(())
    });
    let waits = waits_first.then(|| bell.notified(cx));
    if !there.load(Ordering::Relaxed) {
        cx.yield_now().await?;
        match waits {
            Some(waits) => waits.await?,
            None => bell.notified(cx).await?,
        }
    }
    Ok(())
}

#[test]
fn a_datagram_that_lands_between_the_look_and_the_wait_is_waited_for_for_ever() {
    let story = only_by_racing(LabConfig::default(), async |cx: &Cx| mail(cx, false).await);
    assert!(story.contains("lost wake-up"), "{story}");
    assert!(story.contains(" time: passes to "), "{story}");
    let fixed = by(racing(), async |cx: &Cx| mail(cx, true).await);
    assert!(fixed.exhausted && fixed.failure.is_none(), "{fixed}");
}

/// Writes an amount and, to another file, its checksum.
async fn save(cx: &Cx) -> Result<(), Error> {
    let amount = fs::write(cx, "/amount", b"1000").await;
    cx.yield_now().await?;
    let sum = fs::write(cx, "/sum", b"1").await;
    assert_eq!(amount.is_ok(), sum.is_ok(), "one was written and the other was not");
    Ok(())
}

fn seed_with(faults: Faults, is_right: impl Fn(&[Fault]) -> bool) -> LabConfig {
    let right = |seed: &u64| is_right(&faults.expand(*seed).faults().cloned().collect::<Vec<_>>());
    let seed = (0..).find(right).expect("some seed has it");
    LabConfig::default().seed(seed).faults(faults)
}

#[test]
fn a_disk_fills_up_between_two_writes() {
    let config = seed_with(Faults::default().files(), |faults| faults.len() == 1);
    let story = only_by_racing(config, async |cx: &Cx| save(cx).await);
    assert!(story.contains(" time: passes to ") && story.contains("fault 0 strikes"), "{story}");
}

/// Asks, and asks once more on the same connection, whatever the answer to the first was.
async fn talk(cx: &Cx) -> Result<(), Error> {
    let listener = TcpListener::bind(cx, "10.0.0.9:80").await?;
    let mut server = cx.spawn(async move |cx: &Cx| {
        let (mut stream, _) = listener.accept(cx).await?;
        let _ = stream.read_exact(cx, &mut [0; 2]).await;
        Ok::<_, Error>(())
    });
    let mut stream = TcpStream::connect_from(cx, [10, 0, 0, 2].into(), "10.0.0.9:80").await?;
    let first = stream.write_all(cx, b"a").await;
    cx.yield_now().await?;
    let second = stream.write_all(cx, b"b").await;
    let torn = first.is_ok() && second.is_err();
    server.cancel(CancelReason::user("over"));
    let _ = server.join(cx).await?;
    if torn { Err(Error::new(ErrorKind::Other, "half was sent")) } else { Ok(()) }
}

#[test]
fn a_connection_is_reset_between_two_writes() {
    let config = seed_with(Faults::default().network(), |faults| match faults {
        [Fault::Network(options), Fault::Reset { at, .. }] => {
            let latency = *options.latency.end();
            options.reset == 0 && at.as_nanos() > 4 * latency.as_nanos() as u64
        }
        _ => false,
    });
    let story = only_by_racing(config, async |cx: &Cx| talk(cx).await);
    assert!(story.contains("half was sent"), "{story}");
    assert!(story.contains("fault 1 strikes"), "{story}");
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn replayed() {
    LabTest::new("time_bugs::replayed")
        .time_races(100)
        .explore(ExploreOptions::default())
        .run(async |cx: &Cx| pay(cx, false).await);
}

#[test]
fn the_pack_of_such_a_failure_replays_it_in_a_fresh_process_at_a_byte_a_step() {
    let failed = std::panic::catch_unwind(replayed).expect_err("it fails");
    let first = *failed.downcast::<String>().expect("text");
    let (_, rest) = first.split_once("ASUPERSYNC_LAB_REPLAY=").expect("the line that replays it");
    let file = rest.split_whitespace().next().expect("a path");
    let bytes = std::fs::read(file).expect("it was written");
    let recording = Recording::parse(&bytes, &Limits::default()).expect("it is a pack");
    let options = &recording.trace.header().options;
    assert!(options.contains(&("time-races".to_owned(), "100".to_owned())), "{options:?}");
    let pack = recording.pack.expect("it is a pack");
    assert!(pack.choices.iter().all(|choice| *choice < 128), "{:?}", pack.choices);
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args(["replayed", "--exact", "--ignored", "--nocapture"])
        .env("ASUPERSYNC_LAB_REPLAY", file)
        .output()
        .expect("it runs");
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("the replay failed as recorded"), "{text}");
    let story = |text: &str| {
        let (_, story) = text.split_once("the steps that led to it:").expect("a story");
        story.split_once("the order that matters").expect("its end").0.to_owned()
    };
    assert_eq!(story(&text), story(&first));
}

/// What one run of this strategy comes to, as bytes.
fn traced(strategy: impl Strategy + 'static, seed: u64) -> Vec<u8> {
    let lab = LabRuntime::with_strategy(racing().seed(seed).capture_trace(true), strategy);
    lab.run(async |cx: &Cx| pay(cx, true).await).trace.expect("it was captured").into_bytes()
}

fn passes_early(trace: &[u8]) -> bool {
    let trace = Trace::parse(trace, &Limits::default()).expect("it can be read");
    trace.events().iter().any(|event| matches!(event, Event::TimePasses { .. }))
}

#[test]
#[ignore = "run by the test below, in a process of its own"]
fn print_traces() {
    for seed in 0..20 {
        println!("{:?}", traced(Random::default(), seed));
    }
}

#[test]
fn one_seed_gives_one_trace_byte_for_byte_in_two_processes() {
    let once = || {
        let mut test = Command::new(std::env::current_exe().expect("this test"));
        test.args(["print_traces", "--exact", "--ignored", "--nocapture"]);
        let output = test.output().expect("it runs");
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).expect("text");
        text.lines().filter(|line| line.starts_with('[')).map(str::to_owned).collect::<Vec<_>>()
    };
    let first = once();
    assert_eq!(first.len(), 20);
    assert_eq!(first, once());
}

#[test]
fn every_strategy_lets_time_pass_and_fifo_last_of_all() {
    let some = |make: fn() -> Box<dyn Strategy>| {
        (0..50).filter(|seed| passes_early(&traced(make(), *seed))).count()
    };
    assert!(some(|| Box::new(Random::default())) > 5);
    assert!(some(|| Box::new(Pct::new(2, 20))) > 5);
    assert!(some(|| Box::new(Pos::default())) > 5);
    assert!(some(|| Box::new(TopologyGuided::default())) > 5);
    assert_eq!(some(|| Box::new(Fifo)), 0);
}

#[test]
fn bounded_methods_count_time_that_passes_early_as_one() {
    let found = |method| {
        let options = ExploreOptions::default().config(racing()).method(method).shrink(false);
        explore(options.stop_at_first_failure(false), async |cx: &Cx| pay(cx, false).await)
    };
    for (none, one) in
        [(Method::Preemptions(0), Method::Preemptions(1)), (Method::Delays(0), Method::Delays(1))]
    {
        let (none, one) = (found(none), found(one));
        assert!(none.failure.is_none() && !none.exhausted, "{none}");
        let schedule = one.failure.as_ref().expect("one is enough").schedule.as_slice();
        assert!(schedule.contains(&Choice::TIME), "{one}");
    }
}

#[test]
fn an_exploration_that_came_to_the_limit_says_so() {
    let ticks = async |cx: &Cx| {
        for _ in 0..3 {
            cx.sleep(MS).await?;
            cx.yield_now().await?;
        }
        Ok::<_, Error>(())
    };
    let with_other = async move |cx: &Cx| {
        let mut other = cx.spawn(ticks);
        ticks(cx).await?;
        Ok(other.join(cx).await?.into_result()?)
    };
    let all = by(racing(), with_other);
    assert!(all.exhausted, "{all}");
    let some = by(LabConfig::default().time_races(2), with_other);
    assert!(!some.exhausted && some.classes.len() < all.classes.len(), "{some}, of {all}");
}
