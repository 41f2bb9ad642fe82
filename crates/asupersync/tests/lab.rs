//! The programs that `docs/lab.md` and its companions show.
#![cfg(feature = "proc-macros")]

use asupersync::channel::{mpsc, oneshot};
use asupersync::combinator::timeout;
use asupersync::io::{AsyncReadExt, AsyncWriteExt};
use asupersync::lab::{
    ExploreOptions, Faults, Invariant, LabTest, Method, Parcel, Recorded, Shared, Strategies,
    cancel_everywhere, check, effect, explore, rare, repeatable,
};
use asupersync::net::{TcpListener, TcpStream};
use asupersync::prelude::*;
use asupersync::runtime::RuntimeBuilder;
use asupersync::{LabConfig, LabRuntime};
use std::time::Duration;

// snippet: problem
async fn deposit(cx: &Cx, balance: &Shared<u64>, amount: u64) -> Result<(), Error> {
    let before = balance.get(cx).await?;
    balance.set(cx, before + amount).await?; // somebody else may have deposited in between
    Ok(())
}
// end snippet

// snippet: body
async fn two_deposits(cx: &Cx) -> Result<(), Error> {
    let balance = Shared::new(0);
    cx.region(async |scope| {
        for (name, amount) in [("salary", 1_000), ("gift", 50)] {
            let balance = balance.clone();
            let _ = scope.spawn_named(name, async move |cx| deposit(cx, &balance, amount).await);
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    assert_eq!(balance.get(cx).await?, 1_050, "a deposit was lost");
    Ok(())
}
// end snippet

// snippet: test
#[asupersync::test(seeds = 100)]
async fn sleeping_takes_no_time(cx: &Cx) -> Result<(), Error> {
    cx.sleep(Duration::from_secs(3_600)).await?;
    assert_eq!(cx.now().as_nanos(), 3_600_000_000_000);
    Ok(())
}
// end snippet

#[test]
fn random_seeds_find_the_lost_deposit() {
    let failed = std::panic::catch_unwind(|| {
        // snippet: seeds
        check(0..100, two_deposits);
        // end snippet
    });
    let report = failed.expect_err("it fails").downcast::<String>().expect("text");
    for words in ["the smallest schedule found", "the order that matters", "replay: "] {
        assert!(report.contains(words), "{report}");
    }
}

/// A report without what differs between this test and the guide's: names of crates, lines, folders, counts of runs.
fn as_in_the_guide(report: &str) -> Vec<String> {
    let line = |line: &str| {
        let line = line
            .replace("crates/asupersync/tests/lab.rs", "tests/bank.rs")
            .replace("asupersync.lab.", "bank.bank.")
            .replace("-p asupersync ", "-p bank ");
        let (folder, kept) = (line.rfind("/bank.bank."), line.find('/'));
        let line = match (folder, kept) {
            (Some(end), Some(start)) => format!("{}{}", &line[..start], &line[end..]),
            _ => line,
        };
        let mut parts = line.split(".rs:");
        let mut steady = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            steady += ".rs:";
            steady += part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':');
        }
        steady.split_once(" runs; no").map_or(steady.clone(), |(before, after)| {
            format!("{} runs; no{after}", before.trim_end_matches(|c: char| c.is_ascii_digit()))
        })
    };
    report.lines().map(line).collect()
}

#[test]
fn the_failure_that_the_guide_reads_is_the_one_that_is_printed() {
    let test = || {
        LabTest::new("bank::two_deposits").seeds(0..100).run(two_deposits);
    };
    let report = std::panic::catch_unwind(test).expect_err("it fails");
    let report = as_in_the_guide(report.downcast_ref::<String>().expect("text"));
    let guide = include_str!("../../../docs/lab.md");
    let (_, shown) = guide.split_once("```text\n").expect("a failure is shown");
    let (shown, _) = shown.split_once("```").expect("it ends");
    let mut printed = report.iter();
    for line in as_in_the_guide(shown) {
        // The guide leaves lines out, and parts of them where it has two dots.
        let fits = |printed: &&String| {
            let mut rest = printed.as_str();
            line.split("..").enumerate().all(|(at, part)| match rest.find(part) {
                Some(0) => {
                    rest = &rest[part.len()..];
                    true
                }
                Some(found) if at > 0 => {
                    rest = &rest[found + part.len()..];
                    true
                }
                _ => false,
            }) && (rest.is_empty() || line.ends_with(".."))
        };
        assert!(
            printed.any(|printed| fits(&printed)),
            "{line:?} is not in:\n{}",
            report.join("\n")
        );
    }
}

#[test]
fn exploration_finds_the_lost_deposit() {
    // snippet: explore
    let found = explore(ExploreOptions::default(), two_deposits);
    let failure = found.failure.expect("some order loses a deposit");
    println!("{failure}");
    // end snippet
    assert!(failure.story.contains("a deposit was lost"), "{failure}");
}

#[test]
fn an_exhausted_exploration_is_a_proof_for_what_is_visible() {
    // snippet: exhausted
    let found = explore(ExploreOptions::default(), async |cx: &Cx| {
        let balance = Shared::new(0);
        cx.region(async |scope| {
            for amount in [1_000, 50] {
                let balance = balance.clone();
                let _ = scope.spawn(async move |cx| {
                    balance.update(cx, |sum| *sum += amount).await?; // one step
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        })
        .await
        .into_result()?;
        assert_eq!(balance.get(cx).await?, 1_050);
        Ok::<_, Error>(())
    });
    assert!(found.exhausted && found.failure.is_none());
    assert_eq!(found.runs, 2); // which deposit came first is all that can differ
    // end snippet
}

// snippet: explored
#[asupersync::test(explore)]
async fn two_deposits_in_one_step_each(cx: &Cx) -> Result<(), Error> {
    let balance = Shared::new(0);
    let other = balance.clone();
    let mut gift =
        cx.spawn(async move |cx| Ok::<_, Error>(other.update(cx, |sum| *sum += 50).await?));
    balance.update(cx, |sum| *sum += 1_000).await?;
    gift.join(cx).await?.into_result()?;
    assert_eq!(balance.get(cx).await?, 1_050);
    Ok(())
}
// end snippet

// snippet: faults
#[asupersync::test(seeds = 50, faults = "network, files")]
async fn the_answer_comes_in_the_end(cx: &Cx) -> Result<(), Error> {
    let mut server = cx.spawn(async |cx| {
        let listener = TcpListener::bind(cx, "10.0.0.9:80").await?;
        loop {
            let (mut stream, _) = listener.accept(cx).await?;
            let _ = stream.write_all(cx, b"yes").await; // the client may be gone
        }
        #[expect(unreachable_code, reason = "says which error")]
        Ok::<(), Error>(())
    });
    let mut answer = [0; 3];
    while !asked(cx, &mut answer).await {
        cx.sleep(Duration::from_secs(1)).await?;
    }
    assert_eq!(&answer, b"yes");
    server.cancel(CancelReason::user("answered"));
    let _ = server.join(cx).await?;
    Ok(())
}

async fn asked(cx: &Cx, answer: &mut [u8; 3]) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect_from(cx, [10, 0, 0, 2].into(), "10.0.0.9:80").await?;
        stream.read_exact(cx, answer).await
    };
    timeout(cx, Duration::from_secs(5), ask).await.is_ok_and(|answered| answered.is_ok())
}
// end snippet

#[test]
fn a_mark_is_met_and_counted() {
    let config = LabConfig::default().seed(3).faults(Faults::default().rare());
    let report = LabRuntime::new(config).run(async |cx: &Cx| {
        // snippet: rare
        let batch = if rare(cx, "a batch of one") { 1 } else { 64 };
        // end snippet
        Ok::<_, Error>(batch)
    });
    assert_eq!((report.marks.len(), report.marks[0].met), (1, 1));
}

#[test]
fn large_programs_are_explored_within_bounds() {
    // snippet: bounded
    let options = ExploreOptions::default().method(Method::Preemptions(1)).max_runs(10_000);
    let found = explore(options, two_deposits);
    assert!(found.failure.is_some());
    // end snippet
}

type Order = (u32, oneshot::Sender<()>);

// snippet: impatient
/// Orders, and orders again when no answer came within a second.
async fn order(cx: &Cx, desk: mpsc::Sender<Order>) -> Result<(), Error> {
    for _ in 0..2 {
        let (reply, mut answer) = oneshot::channel();
        let _ = desk.send(cx, (7, reply)).await;
        if timeout(cx, Duration::from_secs(1), answer.recv(cx)).await.is_ok() {
            break;
        }
    }
    Ok(())
}

/// Charges for every order.
async fn sell(cx: &Cx, mut desk: mpsc::Receiver<Order>) -> Result<(), Error> {
    while let Ok((_, reply)) = desk.recv(cx).await {
        effect(cx, "order 7 is charged"); // may happen once
        let _ = reply.send(());
    }
    Ok(())
}
// end snippet

async fn shop(cx: &Cx) -> Result<(), Error> {
    let (orders, desk) = mpsc::channel(1);
    let mut seller = cx.spawn(async move |cx| sell(cx, desk).await);
    order(cx, orders).await?;
    seller.join(cx).await?.into_result()?;
    Ok(())
}

#[test]
fn a_timeout_fires_although_the_answer_is_on_its_way() {
    // snippet: time-races
    let found = explore(ExploreOptions::default(), shop);
    assert!(found.exhausted && found.failure.is_none()); // no task was ever slow

    let options = ExploreOptions::default().config(LabConfig::default().time_races(16));
    let failure = explore(options, shop).failure.expect("the seller is slow in some order");
    println!("{failure}");
    // end snippet
    assert!(failure.story.contains(" time: passes to 1s, wakes main"), "{failure}");
}

/// Charges for every order once.
async fn sell_once(cx: &Cx, mut desk: mpsc::Receiver<Order>) -> Result<(), Error> {
    let mut charged = Vec::new();
    while let Ok((number, reply)) = desk.recv(cx).await {
        if !charged.contains(&number) {
            effect(cx, "order 7 is charged");
            charged.push(number);
        }
        let _ = reply.send(());
    }
    Ok(())
}

// snippet: time-races-attribute
#[asupersync::test(explore, time_races = 16)]
async fn a_seller_who_knows_the_order_charges_once(cx: &Cx) -> Result<(), Error> {
    let (orders, desk) = mpsc::channel(1);
    let mut seller = cx.spawn(async move |cx| sell_once(cx, desk).await);
    order(cx, orders).await?;
    seller.join(cx).await?.into_result()?;
    Ok(())
}
// end snippet

#[test]
fn other_strategies_give_other_orders() {
    let failed = std::panic::catch_unwind(|| {
        // snippet: strategies
        LabTest::new("bank::two_deposits")
            .seeds(0..100)
            .strategy(Strategies::Pct(2, 20))
            .run(two_deposits);
        // end snippet
    });
    assert!(failed.is_err());
}

// snippet: cancel
async fn pass_on(cx: &Cx) -> Result<(), Error> {
    let outcome = cx
        .region(async |scope| {
            let (tx, mut rx) = mpsc::channel(1);
            let _ = scope.spawn(async move |cx| {
                for n in 0..3 {
                    let parcel = Parcel::new(cx, format!("message {n}"), n);
                    match tx.reserve(cx).await {
                        Ok(permit) => _ = permit.send(parcel),
                        Err(error) => {
                            parcel.open(); // handed back: not lost
                            return Err(error.into());
                        }
                    }
                }
                Ok(())
            });
            // Masked, so that what was sent is received although we are cancelled.
            cx.masked(async {
                while let Ok(parcel) = rx.recv(cx).await {
                    parcel.open();
                }
            })
            .await;
            Ok::<_, Error>(())
        })
        .await;
    outcome.into_result()?;
    Ok(())
}

#[test]
fn a_cancellation_at_any_step_loses_no_message() {
    let summary = cancel_everywhere(7, pass_on);
    assert!(summary.runs > 5);
}
// end snippet

#[test]
fn a_verdict_says_how_much_it_saw() {
    // snippet: oracle
    let lab = LabRuntime::new(LabConfig::default().seed(3).require(Invariant::Delivery));
    let report = lab.run(pass_on);
    assert!(report.is_ok(), "{report}");
    assert!(lab.oracle(Invariant::Delivery).seen() > 0);
    // end snippet
}

#[test]
fn a_program_is_shown_to_be_repeatable() {
    // snippet: repeatable
    assert!(repeatable(1, pass_on).is_ok());
    // end snippet
}

async fn greet(cx: &Cx) -> Result<(), Error> {
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut greeter = cx.spawn(async move |cx| {
        let (mut stream, _) = listener.accept(cx).await?;
        Ok::<_, Error>(stream.write_all(cx, b"good day").await?)
    });
    let mut stream = TcpStream::connect(cx, address).await?;
    let mut greeting = Vec::new();
    stream.read_to_end(cx, &mut greeting, 100).await?;
    assert_eq!(greeting, b"good day");
    greeter.join(cx).await?.into_result()?;
    Ok(())
}

#[test]
fn a_production_run_is_recorded_and_replayed() -> Result<(), Box<dyn std::error::Error>> {
    let file = std::env::temp_dir().join(format!("greet-{}.trace", std::process::id()));
    // snippet: record
    let runtime = RuntimeBuilder::current_thread().record_to(&file).build()?;
    let outcome = runtime.block_on(greet);
    assert_eq!(runtime.recording(), Some(Ok(file.clone())));
    // end snippet
    assert!(outcome.is_ok());
    // snippet: replay
    let report = Recorded::read(&file)?.replay(greet)?;
    assert!(report.is_ok()); // and the oracles have watched the production run
    // end snippet
    std::fs::remove_file(&file)?;
    Ok(())
}
