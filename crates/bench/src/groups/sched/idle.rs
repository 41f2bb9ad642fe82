//! What a runtime with nothing to do costs: processor time of the whole process while four workers, a
//! listener, a hundred idle connections and a one-second interval stand about for three seconds.

use std::thread;
use std::time::Duration;

use asupersync_core::{Cx, Error};
use asupersync_net::{TcpListener, TcpStream};
use rustix::time::{ClockId, clock_gettime};

use super::{Pair, TOKIO, milliseconds};
use crate::runner::{Better, Runner, Side};

const IDLE_WORKERS: usize = 4;
const CONNECTIONS: usize = 100;

pub(super) fn run(runner: &mut Runner) {
    let time = Duration::from_millis(if runner.quick() { 300 } else { 3_000 });
    let sides = vec![Side::new("", move || ours(time)), Side::new(TOKIO, move || tokio(time))];
    runner.compare_once("idle_cpu_ms", "ms", Better::Lower, sides);
}

/// Processor time of all threads so far.
fn used() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

fn ours(time: Duration) -> f64 {
    let pair = Pair::threads(IDLE_WORKERS);
    pair.ours(async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut accepting = cx.spawn(async move |cx: &Cx| {
            let mut idle = Vec::new();
            while idle.len() < CONNECTIONS {
                idle.push(listener.accept(cx).await?.0);
            }
            Ok::<_, Error>((listener, idle))
        });
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(TcpStream::connect(cx, address).await?);
        }
        let servers = accepting.join(cx).await?.into_result()?;
        let mut ticks = cx.spawn(async move |cx: &Cx| {
            let mut interval = asupersync_time::interval(cx, Duration::from_secs(1));
            loop {
                interval.tick(cx).await?;
            }
            #[expect(unreachable_code, reason = "names the error's type")]
            Ok::<(), Error>(())
        });
        let before = used();
        cx.sleep(time).await?;
        let figure = milliseconds(used() - before);
        ticks.cancel(asupersync_core::CancelReason::user("measured"));
        let _ = ticks.join(cx).await?;
        drop((clients, servers));
        Ok(figure)
    })
}

fn tokio(time: Duration) -> f64 {
    let pair = Pair::threads(IDLE_WORKERS);
    let figure = pair.tokio(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let accepting = tokio::spawn(async move {
            let mut idle = Vec::new();
            while idle.len() < CONNECTIONS {
                idle.push(listener.accept().await.expect("a connection").0);
            }
            (listener, idle)
        });
        let mut clients = Vec::new();
        for _ in 0..CONNECTIONS {
            clients.push(tokio::net::TcpStream::connect(address).await.expect("listening"));
        }
        let servers = accepting.await.expect("no panic");
        let ticks = tokio::spawn(async {
            let mut interval = tokio::time::interval(Duration::from_secs(1));
            loop {
                interval.tick().await;
            }
        });
        let before = used();
        tokio::time::sleep(time).await;
        let figure = milliseconds(used() - before);
        ticks.abort();
        drop((clients, servers));
        figure
    });
    // Threads that end cost too; they are not to fall into the next measurement.
    drop(pair);
    thread::sleep(Duration::from_millis(10));
    figure
}
