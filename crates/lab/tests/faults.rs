//! Faults drawn from the seed: they strike, they are mended, and the shrinker leaves out what does not matter.

use asupersync_core::{Cx, Error, ErrorKind};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{ExploreOptions, Fault, Faults, LabConfig, LabRuntime, LabTest, rare, run};
use asupersync_net::{TcpListener, TcpStream};
use asupersync_os::fs;
use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

const SERVER: &str = "10.0.0.9:80";

/// Answers bytes with the same bytes, connection after connection.
async fn serve(cx: &Cx, connections: usize) -> Result<(), Error> {
    let listener = TcpListener::bind(cx, SERVER).await?;
    for _ in 0..connections {
        let (mut stream, _) = listener.accept(cx).await?;
        let mut buf = [0; 4];
        while stream.read_exact(cx, &mut buf).await.is_ok() {
            if stream.write_all(cx, &buf).await.is_err() {
                break;
            }
        }
    }
    Ok(())
}

/// Asks ten questions on one connection.
async fn ask(cx: &Cx) -> io::Result<()> {
    let mut stream = TcpStream::connect_from(cx, [10, 0, 0, 2].into(), SERVER).await?;
    let mut buf = [0; 4];
    for _ in 0..10 {
        cx.sleep(Duration::from_millis(1)).await?;
        stream.write_all(cx, b"ping").await?;
        stream.read_exact(cx, &mut buf).await?;
    }
    Ok(())
}

async fn hopeful(cx: &Cx) -> Result<(), Error> {
    let mut server = cx.spawn(async |cx: &Cx| serve(cx, 1).await);
    cx.yield_now().await?;
    // A deadline here would be right.
    ask(cx).await.map_err(|error| Error::new(ErrorKind::Other, error.to_string()))?;
    server.join(cx).await?.into_result()?;
    Ok(())
}

#[test]
fn a_client_that_never_tries_again_is_broken_by_some_seed_and_only_what_broke_it_is_told() {
    let failed = std::panic::catch_unwind(|| {
        LabTest::new("faults::hopeful")
            .seeds(0..200)
            .faults(Faults::default().network())
            .run(hopeful);
    });
    let text = *failed.expect_err("it fails").downcast::<String>().expect("text");
    let told = text.split("what went wrong around it:\n").nth(1).expect("the faults are told");
    let (left, rest) = told.split_once("  everything is mended at").expect("so is their end");
    let all = rest.split("expands to:\n").nth(1).expect("and what the seed says");
    // A stall that keeps the connection there until it is reset is two.
    assert!((1..=2).contains(&left.lines().count()), "{text}");
    assert!(left.lines().all(|fault| all.contains(fault)), "{text}");
    assert!(text.contains("connection reset"), "{text}");
}

/// Tries again until the ten questions are answered.
async fn stubborn(cx: &Cx) -> Result<(), Error> {
    let mut server = cx.spawn(async |cx: &Cx| serve(cx, usize::MAX).await);
    cx.yield_now().await?;
    while ask(cx).await.is_err() {
        cx.sleep(Duration::from_secs(1)).await?;
    }
    server.cancel(asupersync_core::CancelReason::user("done"));
    let _ = server.join(cx).await?;
    Ok(())
}

#[test]
fn a_client_that_tries_again_lives_through_every_seed() {
    let test = LabTest::new("faults::stubborn").seeds(0..100);
    let summary = test.faults(Faults::default().network().files()).run(stubborn);
    assert!(summary.runs >= 100);
}

#[test]
fn every_seed_is_explored_with_its_own_faults() {
    let test = LabTest::new("faults::two_tasks").seeds(0..3).faults(Faults::default().files());
    let summary = test.explore(ExploreOptions::default()).run(async |cx: &Cx| {
        let shared = asupersync_lab::Shared::new(0);
        let other = shared.clone();
        let mut task = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(other.set(cx, 1).await?));
        shared.set(cx, 2).await?;
        task.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
    assert_eq!(summary.runs, 3 * 2);
}

#[test]
fn a_program_that_does_not_recover_is_told_so_within_the_bound() {
    let config = LabConfig::default().faults(Faults::default().files());
    let lab = LabRuntime::new(config.live_within(Duration::from_secs(60)));
    let report = lab.run(async |cx: &Cx| {
        loop {
            cx.sleep(Duration::from_secs(1)).await?;
        }
        #[expect(unreachable_code, reason = "says which error")]
        Ok::<(), Error>(())
    });
    let text = report.findings[0].to_string();
    assert!(text.contains("did not end within 60s"), "{text}");
    assert!(report.virtual_time.as_nanos() <= 70_000_000_000, "{}", report.virtual_time);
}

#[test]
fn a_disk_is_full_for_a_while_and_then_not() {
    let faults = Faults::default().files();
    let has_window = |seed: &u64| {
        faults.expand(*seed).faults().any(|fault| match fault {
            Fault::FullDisk { from, until } => *until > *from + Duration::from_millis(100),
            _ => false,
        })
    };
    let seed = (0..).find(has_window).expect("some seed has a long window");
    let lab = LabRuntime::new(LabConfig::default().seed(seed).faults(faults));
    let report = lab.run(async |cx: &Cx| {
        let mut refused = 0;
        while cx.now().as_nanos() < 11_000_000_000 {
            if let Err(error) = fs::replace(cx, "/tmp/file", "content").await {
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                refused += 1;
            }
            let _ = fs::remove_file(cx, "/tmp/file").await;
            cx.sleep(Duration::from_millis(10)).await?;
        }
        fs::replace(cx, "/tmp/file", "content").await?;
        Ok::<_, Error>(refused)
    });
    assert!(report.is_ok(), "{report}");
    let asupersync_core::Outcome::Ok(refused) = report.outcome else { panic!() };
    assert!(refused >= 9, "{refused}");
}

async fn marks(cx: &Cx) -> Result<(), Error> {
    for _ in 0..40 {
        let _ = rare(cx, "flush early") | rare(cx, "drop the cache");
    }
    Ok(())
}

#[test]
fn rare_marks_are_met_in_every_run_and_taken_in_some() {
    let mut taken: BTreeMap<&str, u32> = BTreeMap::new();
    for seed in 0..20 {
        let config = LabConfig::default().seed(seed).faults(Faults::default().rare());
        let report = LabRuntime::new(config).run(marks);
        let met: Vec<_> = report.marks.iter().map(|mark| (mark.name, mark.met)).collect();
        assert_eq!(met, [("drop the cache", 40), ("flush early", 40)]);
        for mark in &report.marks {
            *taken.entry(mark.name).or_default() += u32::from(mark.taken > 0);
        }
    }
    assert!(taken.values().all(|runs| (3..=17).contains(runs)), "{taken:?}");
    assert!(run(1, marks).marks.iter().all(|mark| mark.taken == 0), "not unless it is asked for");
}

/// Sleeps ten milliseconds a hundred times; by how much the latest of them was late.
async fn naps(cx: &Cx) -> Result<Duration, Error> {
    const NAP: Duration = Duration::from_millis(10);
    let mut latest = Duration::ZERO;
    for _ in 0..100 {
        let start = cx.now();
        cx.sleep(NAP).await?;
        assert!(cx.now() >= start + NAP, "no timer fires before its time");
        latest = latest.max(cx.now().saturating_since(start) - NAP);
    }
    Ok(latest)
}

#[test]
fn clocks_jump_ahead_and_timers_are_late_and_nothing_goes_back() {
    let (mut jumped, mut late) = (0, 0);
    for seed in 0..60 {
        let faults = Faults::default().clock();
        let report = LabRuntime::new(LabConfig::default().seed(seed).faults(faults)).run(naps);
        assert!(report.is_ok(), "{report}");
        let latest = report.outcome.ok().unwrap();
        let jumps = faults.expand(seed).faults().any(|fault| match fault {
            Fault::ClockJump { by, .. } => *by > Duration::from_millis(10) && latest * 2 > *by,
            _ => false,
        });
        jumped += u32::from(jumps);
        late += u32::from(!jumps && !latest.is_zero() && latest <= Duration::from_millis(10) / 4);
    }
    assert!(jumped >= 5 && late >= 5, "{jumped} runs with a jump, {late} with late timers alone");
    assert_eq!(run(0, naps).outcome.ok(), Some(Duration::ZERO));
}

#[test]
fn of_the_faults_around_a_missed_deadline_the_clocks_alone_are_told() {
    let failed = std::panic::catch_unwind(|| {
        LabTest::new("faults::punctual")
            .seeds(0..200)
            .faults(Faults::default().network().files().clock())
            .run(async |cx: &Cx| {
                let latest = naps(cx).await?;
                assert!(latest < Duration::from_millis(100), "a deadline was missed");
                Ok::<_, Error>(())
            });
    });
    let text = *failed.expect_err("it fails").downcast::<String>().expect("text");
    let told = text.split("what went wrong around it:\n").nth(1).expect("the faults are told");
    let (left, _) = told.split_once("  everything is mended at").expect("so is their end");
    assert_eq!(left.lines().count(), 1, "{text}");
    assert!(left.contains("clock jumps by"), "{text}");
}
