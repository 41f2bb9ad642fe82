//! What a runtime costs that has nothing to do. Alone in its binary: it measures the whole process.

use asupersync_core::{CancelReason, Cx, Error};
use asupersync_net::{TcpListener, TcpStream};
use asupersync_runtime::RuntimeBuilder;
use rustix::time::{ClockId, clock_gettime};
use std::time::Duration;

/// Ten times the 60 ms that the bench `idle_cpu_ms` is held to: a busy machine does not fail this, a
/// worker that spins (3,000 ms) or wakes all the time does.
const CEILING: Duration = Duration::from_millis(600);

fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap())
}

#[test]
fn four_workers_a_listener_a_hundred_connections_and_an_interval_cost_nothing_while_idle() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(4).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut accepting = cx.spawn(async move |cx: &Cx| {
            let mut servers = Vec::new();
            while servers.len() < 100 {
                servers.push(listener.accept(cx).await?.0);
            }
            Ok::<_, Error>((listener, servers))
        });
        let mut clients = Vec::new();
        for _ in 0..100 {
            clients.push(TcpStream::connect(cx, address).await?);
        }
        let servers = accepting.join(cx).await?.into_result()?;
        let ticking = cx.spawn(async |cx: &Cx| -> Result<(), Error> {
            let mut interval = asupersync_time::interval(cx, Duration::from_secs(1));
            loop {
                interval.tick(cx).await?;
            }
        });
        let before = processor_time();
        cx.sleep(Duration::from_secs(3)).await?;
        let used = processor_time() - before;
        ticking.cancel(CancelReason::user("measured"));
        drop((clients, servers));
        Ok::<_, Error>(used)
    });
    let used = outcome.ok().unwrap();
    assert!(used < CEILING, "three idle seconds cost {used:?} of processor time");
}
