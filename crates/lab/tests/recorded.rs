//! What the production runtime records, the lab replays.

use asupersync_channel::mpsc;
use asupersync_core::{Cx, Error, ErrorKind, TaskBody, cap};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{Recorded, ReplayError};
use asupersync_net::{TcpListener, TcpStream, UdpSocket};
use asupersync_runtime::{RecordError, Runtime, RuntimeBuilder};
use asupersync_trace::{Event, TraceError};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let name = format!("asupersync-recorded-{name}-{}.trace", std::process::id());
        Scratch(std::env::temp_dir().join(name))
    }

    fn runtime(&self) -> Runtime {
        RuntimeBuilder::current_thread().record_to(&self.0).build().unwrap()
    }

    /// Records a program to its end.
    fn record<T, F>(&self, program: F) -> (T, Vec<u8>)
    where
        T: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, Error>,
        F: for<'a> TaskBody<'a, cap::All, T, Error> + Send + 'static,
    {
        let runtime = self.runtime();
        let answer = runtime.block_on(program);
        assert_eq!(runtime.recording(), Some(Ok(self.0.clone())));
        (answer.ok().expect("the program ends well"), std::fs::read(&self.0).unwrap())
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn replayed<T, F>(file: &[u8], program: F) -> (T, Vec<u8>)
where
    T: Send + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, Error>,
    F: for<'a> TaskBody<'a, cap::All, T, Error> + Send + 'static,
{
    let report = Recorded::parse(file.to_vec()).unwrap().replay(program).unwrap();
    assert!(report.is_ok(), "{:?} {:?}", report.findings, report.verdicts);
    (report.outcome.ok().expect("as it was recorded"), report.trace.unwrap().into_bytes())
}

async fn serve(cx: &Cx, listener: TcpListener, clients: usize) -> Result<(), Error> {
    for _ in 0..clients {
        let (mut stream, _) = listener.accept(cx).await?;
        let _ = cx.spawn(async move |cx| {
            let mut buf = [0; 700];
            loop {
                let count = stream.read(cx, &mut buf).await?;
                if count == 0 {
                    return Ok::<_, Error>(());
                }
                stream.write_all(cx, &buf[..count]).await?;
            }
        });
    }
    Ok(())
}

/// Everything that a program can learn: bytes from sockets, the clock, timers, chance, closures, and the order
/// in which all that comes.
async fn echo(cx: &Cx) -> Result<Vec<u64>, Error> {
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut server = cx.spawn(async move |cx| serve(cx, listener, 3).await);
    let (tx, mut rx) = mpsc::channel(2);
    for client in 0..3_u64 {
        let tx = tx.clone();
        let _ = cx.spawn(async move |cx| {
            let mut stream = TcpStream::connect(cx, address).await?;
            stream.set_nodelay(true)?;
            assert!(stream.nodelay()?);
            for round in 0..5 {
                let sent = vec![cx.random_u64() as u8; 1 + (cx.random_u64() % 3_000) as usize];
                stream.write_all(cx, &sent).await?;
                let mut back = vec![0; sent.len()];
                stream.read_exact(cx, &mut back).await?;
                assert_eq!(sent, back);
                let mut worked = cx.spawn_blocking(move || Ok::<_, Error>(client * 100 + round));
                let worked = worked.join(cx).await?.into_result()?;
                cx.sleep(Duration::from_micros(cx.random_u64() % 500)).await?;
                let permit = tx.reserve(cx).await?;
                let _ = permit.send(worked + cx.now().as_nanos());
            }
            stream.close(cx).await?;
            Ok::<_, Error>(())
        });
    }
    drop(tx);
    let mut heard = vec![u64::from(address.port())];
    while let Ok(message) = rx.recv(cx).await {
        heard.push(message);
    }
    server.join(cx).await?.into_result()?;
    Ok(heard)
}

#[test]
fn a_tcp_program_does_in_the_lab_what_it_did_on_the_machine() {
    let scratch = Scratch::new("echo");
    let (heard, file) = scratch.record(echo);
    assert_eq!(heard.len(), 16);
    let (again, trace) = replayed(&file, echo);
    assert_eq!(again, heard);
    assert!(trace == file, "the replay's trace is the recording");
}

#[test]
fn a_recording_is_replayed_in_another_process() {
    let scratch = Scratch::new("fresh");
    let (heard, _) = scratch.record(echo);
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "in_the_other_process", "--ignored", "--nocapture"])
        .env("RECORDED_FILE", &scratch.0)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&child.stdout);
    assert!(said.contains(&format!("heard {heard:?}")), "{said}");
}

#[test]
#[ignore = "the other process of a_recording_is_replayed_in_another_process"]
fn in_the_other_process() {
    let file = std::fs::read(std::env::var_os("RECORDED_FILE").unwrap()).unwrap();
    let (heard, trace) = replayed(&file, echo);
    assert!(trace == file);
    println!("heard {heard:?}");
}

async fn two_steps(cx: &Cx) -> Result<(), Error> {
    cx.yield_now().await?;
    cx.sleep(Duration::from_millis(1)).await?;
    Ok(())
}

#[test]
fn a_changed_program_is_told_at_which_event_it_parts() {
    let scratch = Scratch::new("changed");
    let ((), file) = scratch.record(two_steps);
    let recorded = Recorded::parse(file).unwrap();
    let changed = async |cx: &Cx| {
        cx.yield_now().await?;
        let _ = cx.now();
        cx.sleep(Duration::from_millis(1)).await?;
        Ok::<_, Error>(())
    };
    let error = recorded.replay(changed).unwrap_err();
    let ReplayError::Diverged { event, recorded: Some(left), replayed: Some(right) } = &error
    else {
        panic!("{error}")
    };
    assert_eq!(error.code(), "ASY-0601");
    assert!(left.starts_with("ClockRead") || left.starts_with("WaitParked"), "{left}");
    assert_ne!(left, right);
    let at = recorded.trace().events()[*event];
    assert_eq!(recorded.trace().line(&at).to_string(), *left);

    // One that does less than was recorded, and one that does more after it.
    let shorter = async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?);
    assert!(matches!(recorded.replay(shorter), Err(ReplayError::Diverged { .. })));
    let longer = async |cx: &Cx| {
        two_steps(cx).await?;
        Ok::<_, Error>(cx.yield_now().await?)
    };
    assert!(matches!(recorded.replay(longer), Err(ReplayError::Diverged { .. })));
}

#[test]
fn a_changed_request_is_told_apart_by_its_bytes() {
    async fn ask(cx: &Cx, what: &'static [u8]) -> Result<u8, Error> {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let _ = cx.spawn(async move |cx| serve(cx, listener, 1).await);
        let mut stream = TcpStream::connect(cx, address).await?;
        stream.write_all(cx, what).await?;
        let mut back = [0];
        stream.read_exact(cx, &mut back).await?;
        Ok(back[0])
    }
    let scratch = Scratch::new("bytes");
    let (answer, file) = scratch.record(async |cx: &Cx| ask(cx, b"A").await);
    assert_eq!(answer, b'A');
    let recorded = Recorded::parse(file).unwrap();
    let report = recorded.replay(async |cx: &Cx| ask(cx, b"A").await).unwrap();
    assert_eq!(report.outcome.ok(), Some(b'A'));
    let error = recorded.replay(async |cx: &Cx| ask(cx, b"B").await).unwrap_err();
    assert!(error.to_string().contains("recorded: Called label=\"TcpStream::write\""), "{error}");
}

#[test]
fn a_damaged_recording_is_refused_whatever_is_cut_or_changed() {
    let scratch = Scratch::new("damaged");
    let ((), file) = scratch.record(two_steps);
    for end in 0..file.len() {
        let cut = Recorded::parse(file[..end].to_vec());
        assert!(matches!(cut, Err(ReplayError::Trace(_))), "cut at {end}");
    }
    for at in 0..file.len() {
        let mut bad = file.clone();
        bad[at] ^= 0x10;
        let parsed = Recorded::parse(bad);
        assert!(matches!(parsed, Err(ReplayError::Trace(_))), "byte {at}");
    }
    let mut longer = file;
    longer.push(0);
    let error = Recorded::parse(longer).unwrap_err();
    assert!(matches!(error, ReplayError::Trace(TraceError::Checksum)), "{error}");
}

#[test]
fn the_trace_of_a_lab_run_is_no_recording() {
    let config = asupersync_lab::LabConfig::default().capture_trace(true);
    let report = asupersync_lab::LabRuntime::new(config).run(two_steps);
    let error = Recorded::parse(report.trace.unwrap().into_bytes()).unwrap_err();
    assert_eq!(error.code(), "ASY-0603");
}

#[test]
fn what_cannot_be_replayed_is_refused_while_it_is_recorded() {
    let scratch = Scratch::new("refused");
    let ((), file) = scratch.record(async |cx: &Cx| {
        let udp = UdpSocket::bind(cx, "127.0.0.1:0").await.unwrap_err();
        assert!(udp.to_string().contains("ASY-0004"), "{udp}");
        let name = asupersync_net::resolve(cx, "localhost:1").await.unwrap_err();
        assert!(name.to_string().contains("ASY-0004"), "{name}");
        Ok::<_, Error>(())
    });
    assert!(!file.is_empty());
    let runtime = RuntimeBuilder::multi_thread().record_to(&scratch.0).build();
    assert_eq!(runtime.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
    let mine = RuntimeBuilder::current_thread().service(Arc::new(7_u8)).record_to(&scratch.0);
    assert_eq!(mine.build().unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

#[test]
fn a_runtime_records_one_program() {
    let scratch = Scratch::new("second");
    let runtime = scratch.runtime();
    assert_eq!(runtime.recording(), None);
    assert!(runtime.block_on(two_steps).is_ok());
    let second = runtime.block_on(two_steps);
    let error = second.into_result().unwrap_err().to_string();
    assert!(error.contains("ASY-0602"), "{error}");
    assert!(Recorded::read(&scratch.0).unwrap().replay(two_steps).is_ok());
}

#[test]
fn a_task_spawned_before_the_program_is_missing_in_the_recording_which_says_so() {
    let scratch = Scratch::new("before");
    let runtime = scratch.runtime();
    let _ = runtime.handle().spawn(two_steps);
    assert!(runtime.block_on(two_steps).is_ok(), "the program runs all the same");
    let Some(Err(RecordError::Stopped { why })) = runtime.recording() else { panic!() };
    assert!(why.contains("through a handle"), "{why}");
    let replay = Recorded::read(&scratch.0).unwrap().replay(two_steps);
    assert!(matches!(replay, Err(ReplayError::Diverged { .. } | ReplayError::Stopped { .. })));
}

/// A task hands its sender to `by` when main waits already, or before.
async fn told(
    cx: &Cx,
    main_waits: bool,
    by: impl FnOnce(mpsc::Sender<u8>) + Send + 'static,
) -> Result<u8, Error> {
    let (tx, mut rx) = mpsc::channel(1);
    let mut teller = cx.spawn(async move |cx| {
        if main_waits {
            cx.yield_now().await?;
        }
        by(tx);
        Ok::<_, Error>(())
    });
    if !main_waits {
        teller.join(cx).await?.into_result()?;
    }
    rx.recv(cx).await.map_err(|_| Error::new(ErrorKind::Other, "closed"))
}

#[expect(clippy::disallowed_methods, reason = "a thread outside of every region is the subject")]
fn by_thread(tx: mpsc::Sender<u8>) {
    let sends = std::thread::spawn(move || tx.try_send(9).is_ok());
    assert!(sends.join().unwrap());
}

#[test]
fn a_thread_that_wakes_a_task_ends_the_recording_with_the_reason() {
    let scratch = Scratch::new("thread");
    let runtime = scratch.runtime();
    let outcome = runtime.block_on(async |cx: &Cx| told(cx, true, by_thread).await);
    assert_eq!(outcome.ok(), Some(9), "the program goes on");
    let Some(Err(RecordError::Stopped { why })) = runtime.recording() else { panic!() };
    assert!(why.contains("a thread outside"), "{why}");

    let recorded = Recorded::read(&scratch.0).unwrap();
    let last = recorded.trace().events().last().unwrap();
    assert!(matches!(last, Event::RecordingStopped { .. }), "{last:?}");
    let error = recorded.replay(async |cx: &Cx| told(cx, true, drop).await).unwrap_err();
    assert_eq!(error.code(), "ASY-0601", "{error}");
}

#[test]
fn what_a_thread_left_without_waking_anybody_is_missed_by_the_replay() {
    let scratch = Scratch::new("left");
    let (answer, file) = scratch.record(async |cx: &Cx| told(cx, false, by_thread).await);
    assert_eq!(answer, 9);
    let nobody = |tx: mpsc::Sender<u8>| std::mem::forget(tx);
    let replay = Recorded::parse(file).unwrap();
    let error = replay.replay(async move |cx: &Cx| told(cx, false, nobody).await).unwrap_err();
    assert_eq!(error.code(), "ASY-0601", "{error}");
}
