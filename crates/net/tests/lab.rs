//! The same client and server under the lab: any order of tasks, any cancellation, any seed.

use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::{AsyncReadExt, AsyncWriteExt, copy};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_net::{TcpListener, TcpStream, VirtualNetwork, VirtualOptions};
use std::sync::Arc;

const SERVER: &str = "10.0.0.9:80";
const CLIENTS: usize = 3;

fn lab(seed: u64, resets: u32) -> LabConfig {
    LabConfig::default().seed(seed).service_with(move |context| {
        let options = VirtualOptions { reset: resets, ..VirtualOptions::from_seed(context.seed) };
        Arc::new(VirtualNetwork::for_host(options, context.seed, context.host.clone()))
    })
}

/// A server, its clients, and how many of them got back all that they sent.
async fn program(cx: &Cx) -> Result<usize, Error> {
    let outcome = cx
        .region(async |scope| {
            let listener = TcpListener::bind(cx, SERVER).await?;
            let mut serving = scope.spawn(async move |cx: &Cx| {
                loop {
                    let (stream, _) = listener.accept(cx).await?;
                    let _ = cx.spawn(async move |cx: &Cx| {
                        let (mut reader, mut writer) = stream.into_split();
                        let _ = copy(cx, &mut reader, &mut writer).await;
                        Ok::<_, Error>(0)
                    });
                }
            });
            let mut clients = Vec::new();
            for client in 0..CLIENTS {
                clients.push(scope.spawn(async move |cx: &Cx| {
                    // No two bytes near each other are equal: a hole in the stream would show.
                    let question: Vec<u8> = (0..100 * client).map(|at| at as u8).collect();
                    Ok::<_, Error>(match ask(cx, &question).await {
                        Ok(whole) => usize::from(whole),
                        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
                        Err(error) => return Err(error.into()),
                    })
                }));
            }
            let mut answered = 0;
            for mut client in clients {
                answered += client.join(cx).await?.into_result()?;
            }
            serving.cancel(asupersync_core::CancelReason::user("every client is served"));
            let _: Outcome<usize, _> = serving.join(cx).await?;
            Ok::<_, Error>(answered)
        })
        .await;
    Ok(outcome.into_result()?)
}

async fn ask(cx: &Cx, question: &[u8]) -> std::io::Result<bool> {
    let (mut reader, mut writer) = TcpStream::connect(cx, SERVER).await?.into_split();
    let sent = question.to_vec();
    // With small windows, who writes everything before reading anything waits for itself.
    let mut asking = cx.spawn(async move |cx: &Cx| {
        for piece in sent.chunks(30) {
            if writer.write_all(cx, piece).await.is_err() {
                break;
            }
        }
        Ok::<_, Error>(())
    });
    let mut answer = Vec::new();
    let read = reader.read_to_end(cx, &mut answer, 1000).await;
    let _ = asking.join(cx).await;
    // Also of a connection that was reset: what came before is what was sent.
    assert!(question.starts_with(&answer));
    read?;
    Ok(answer == question)
}

#[test]
fn every_seed_and_order_echoes_every_byte() {
    for seed in 0..200 {
        let report = LabRuntime::new(lab(seed, 0)).run(program);
        assert!(report.is_ok(), "seed {seed}: {report}");
        assert_eq!(report.outcome.ok(), Some(CLIENTS), "seed {seed}");
    }
}

#[test]
fn resets_never_hang_leak_or_damage() {
    let mut lost = 0;
    for seed in 0..200 {
        let report = LabRuntime::new(lab(seed, 30_000)).run(program);
        assert!(report.is_ok(), "seed {seed}: {report}");
        lost += CLIENTS - report.outcome.ok().unwrap_or(0);
    }
    assert!(lost > 20, "{lost} connections were reset");
}

#[test]
fn a_program_cancelled_at_any_step_ends_in_order() {
    let steps = LabRuntime::new(lab(7, 0)).run(program).steps;
    assert!(steps > 50);
    for step in 0..steps {
        let report = LabRuntime::new(lab(7, 0).inject_cancel_at(step)).run(program);
        assert!(report.is_sound(), "cancelled at step {step} of {steps}: {report}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    let trace = |seed| {
        let report = LabRuntime::new(lab(seed, 10_000).capture_trace(true)).run(program);
        (report.trace.unwrap().into_bytes(), report.virtual_time)
    };
    for seed in 0..20 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(1), trace(2));
}

#[test]
fn a_reader_is_polled_when_bytes_arrive_and_not_when_they_leave() {
    let steps = |messages: u32| {
        let lab = LabRuntime::new(LabConfig::default());
        let report = lab.run(async move |cx: &Cx| {
            let listener = TcpListener::bind(cx, "10.0.0.9:80").await?;
            let mut reader = cx.spawn(async move |cx: &Cx| {
                let (mut stream, _) = listener.accept(cx).await?;
                let mut all = Vec::new();
                stream.read_to_end(cx, &mut all, 100).await?;
                Ok::<_, Error>(all.len())
            });
            let mut stream = TcpStream::connect(cx, "10.0.0.9:80").await?;
            for _ in 0..messages {
                cx.sleep(std::time::Duration::from_secs(1)).await?;
                stream.write_all(cx, b"x").await?;
            }
            drop(stream);
            Ok::<_, Error>(reader.join(cx).await?.into_result()?)
        });
        assert!(report.is_ok(), "{report}");
        assert_eq!(report.outcome.ok(), Some(messages as usize));
        report.steps
    };
    // A poll to send and a poll to receive; two that arrive at once need but one, and so may the last
    // message and the end.
    let polls = steps(40) - steps(20);
    assert!(polls <= 2 * 20 + 1, "{polls} polls for 20 messages");
}
