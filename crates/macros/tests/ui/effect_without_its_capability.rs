use asupersync::cap::{Nothing, SpawnOnly};
use asupersync::prelude::*;
use std::sync::Arc;
use std::time::Duration;

// One effect a capability, each asked of a context that was narrowed to nothing.
async fn effects(cx: &Cx<Nothing>) {
    let _ = cx.spawn(async |_cx: &Cx<Nothing>| Ok::<_, Error>(()));
    let _: Outcome<(), Error> = cx.region(async |_scope| Ok(())).await;
    let _ = cx.now();
    let _ = cx.sleep(Duration::ZERO).await;
    let _ = cx.random_u64();
    let _: Option<Arc<u8>> = cx.service::<u8>();
    cx.trace("text");
}

async fn blocking(cx: &Cx<SpawnOnly>) {
    let _ = cx.spawn_blocking(|| Ok::<_, Error>(()));
}

// Narrowing does not widen.
fn widens(cx: &Cx<Nothing>) {
    let _ = cx.narrow::<SpawnOnly>();
}

fn main() {}
