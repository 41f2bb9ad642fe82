//! The virtual network: how much faster than real time it is, for five pairs with a hundred round
//! trips a second each.

use std::time::Duration;

use asupersync_core::{Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_net::{TcpListener, TcpStream};

use super::{floor, seconds};
use crate::runner::{Better, Runner, Side};

const PAIRS: usize = 5;
const TRIPS: usize = 100;
const MESSAGE: usize = 64;

pub(super) fn run(runner: &mut Runner) {
    let virtual_seconds = if runner.quick() { 2 } else { 20 };
    let lab = LabRuntime::new(LabConfig::default().max_steps(10_000_000));
    let bare = LabRuntime::new(LabConfig::default().max_steps(10_000_000).observe(false));
    let sides = vec![
        Side::new("", || times_real(&lab, virtual_seconds)),
        floor(1_000.0),
        Side::new("unobserved", || times_real(&bare, virtual_seconds)),
    ];
    runner.compare("virtual_tcp_5x100", "times", Better::Higher, sides);
}

/// Virtual seconds for a second of this thread's processor time.
fn times_real(lab: &LabRuntime, virtual_seconds: usize) -> f64 {
    let mut took = Duration::ZERO;
    let time = seconds(|| {
        let report = lab.run(async move |cx: &Cx| {
            let mut clients = Vec::new();
            for pair in 0..PAIRS {
                let listener = TcpListener::bind(cx, "10.0.0.9:0").await?;
                let server = listener.local_addr()?;
                let _ = cx.spawn(async move |cx: &Cx| {
                    let (mut stream, _) = listener.accept(cx).await?;
                    let mut message = [0; MESSAGE];
                    for _ in 0..virtual_seconds * TRIPS {
                        stream.read_exact(cx, &mut message).await?;
                        stream.write_all(cx, &message).await?;
                    }
                    Ok::<_, Error>(())
                });
                clients.push(cx.spawn(async move |cx: &Cx| {
                    let mut stream = TcpStream::connect(cx, server).await?;
                    let (ask, mut answer) = ([pair as u8; MESSAGE], [0; MESSAGE]);
                    let start = cx.now();
                    for trip in 0..virtual_seconds * TRIPS {
                        stream.write_all(cx, &ask).await?;
                        stream.read_exact(cx, &mut answer).await?;
                        assert_eq!(ask, answer);
                        let turn = Duration::from_secs(1) / TRIPS as u32 * (trip as u32 + 1);
                        cx.sleep_until(start + turn).await?;
                    }
                    Ok::<_, Error>(())
                }));
            }
            for mut client in clients {
                client.join(cx).await?.into_result()?;
            }
            Ok::<_, Error>(())
        });
        assert!(report.outcome.is_ok() && report.findings.is_empty(), "{report}");
        took = Duration::from_nanos(report.virtual_time.as_nanos());
    });
    took.as_secs_f64() / time
}
