//! Act 2: the same service and clients, two hundred worlds, a second or two.

use crate::readable;
use crate::service::{Ledger, client, serve};
use asupersync::lab::{LabConfig, LabRuntime};
use asupersync::net::{TcpListener, VirtualNetwork, VirtualOptions};
use asupersync::prelude::*;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

const SEEDS: u64 = 200;
const CLIENTS: u32 = 6;

/// What one world's books say.
struct World {
    acknowledged: usize,
    broken: usize,
    missing: usize,
    late: u64,
}

async fn act(cx: &Cx) -> Result<World, Error> {
    let server: SocketAddr = ([10, 0, 0, 9], 80).into();
    let ledger = Arc::new(Ledger::default());
    let listener = TcpListener::bind(cx, server).await?;
    let content: Arc<Vec<u8>> = Arc::new((0..60_000_u32).map(|n| (n % 251) as u8).collect());
    let outcome = cx
        .region(async |scope| {
            let serving = Arc::clone(&ledger);
            let mut service = scope
                .spawn_named("service", async move |cx| Ok(serve(cx, listener, serving).await));
            let clients: Vec<_> = (0..CLIENTS)
                .map(|id| {
                    let content = Arc::clone(&content);
                    scope.spawn(async move |cx| client(cx, server, id, &content, 20).await)
                })
                .collect();
            // In mid-flight, wherever this seed's network has got to by then.
            cx.sleep(Duration::from_micros(cx.random_u64() % 20_000)).await?;
            service.cancel(CancelReason::user("in mid-flight"));
            let _closed = service.join(cx).await?.into_result()?;
            let written = ledger.written();
            cx.sleep(Duration::from_secs(1)).await?;
            let late = ledger.written() - written + ledger.open();
            let mut world = World { acknowledged: 0, broken: 0, missing: 0, late };
            for mut client in clients {
                let tally = client.join(cx).await?.into_result()?;
                world.acknowledged += tally.acknowledged.len();
                world.broken += usize::from(tally.broken);
                world.missing += ledger.missing(&tally);
            }
            Ok::<_, Error>(world)
        })
        .await;
    Ok(outcome.into_result()?)
}

pub(crate) fn run() -> Result<(), String> {
    let (mut steps, mut acknowledged, mut broken, mut virtual_time) = (0, 0, 0, Duration::ZERO);
    let mut orders = BTreeSet::new();
    for seed in 0..SEEDS {
        let config = LabConfig::default().seed(seed).service_with(|context| {
            let options = VirtualOptions { reset: 2_000, ..VirtualOptions::default() };
            Arc::new(VirtualNetwork::for_host(options, context.seed, context.host.clone()))
        });
        let report = LabRuntime::new(config).run(act);
        if !report.is_ok() {
            return Err(format!("seed {seed}: {report}"));
        }
        steps += report.steps;
        virtual_time += report.virtual_time.saturating_since(Time::ZERO);
        orders.insert(report.choices.clone());
        let Outcome::Ok(world) = report.outcome else { continue };
        if world.missing > 0 || world.late > 0 {
            return Err(format!("seed {seed}: {} missing, {} late", world.missing, world.late));
        }
        acknowledged += world.acknowledged;
        broken += world.broken;
    }
    println!("   {SEEDS} seeds, {} different orders of {steps} steps", orders.len());
    println!("   {} of virtual time; no oracle objected in any of them", readable(virtual_time));
    println!(
        "   {acknowledged} answers, {broken} connections broken by resets or the cancellation"
    );
    println!("   answered but not written down: 0; moved after the close: 0");
    Ok(())
}
