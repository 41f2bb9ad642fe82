//! An echo server that stops gracefully: on Ctrl-C it takes no more connections, lets the open ones
//! finish within a grace time, and names those that did not.

use asupersync::io::copy;
use asupersync::net::{TcpListener, TcpStream};
use asupersync::os::ctrl_c;
use asupersync::prelude::*;
use asupersync::{Closed, RegionOptions};
use std::time::Duration;

const GRACE: Duration = Duration::from_secs(5);

async fn echo(cx: &Cx, stream: TcpStream) -> Result<(), Error> {
    let (mut reader, mut writer) = stream.into_split();
    let copied = copy(cx, &mut reader, &mut writer).await;
    // Whatever was read has been written back; say goodbye properly, cancelled or not.
    cx.masked(writer.close(cx)).await?;
    copied?;
    Ok(())
}

async fn serve(cx: &Cx, listener: TcpListener) -> Closed<(), Error> {
    // One client's broken connection is no reason to stop serving the others.
    let options = RegionOptions::new().name("connections").policy(Policy::CollectAll);
    cx.region_reported(options, async |scope| {
        loop {
            let (stream, peer) = listener.accept(cx).await?;
            drop(scope.spawn_named(format!("echo {peer}"), async |cx| echo(cx, stream).await));
        }
    })
    .await
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    println!("echo on {}; Ctrl-C stops", listener.local_addr()?);

    let mut service = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(serve(cx, listener).await));
    ctrl_c(cx).await?;
    println!("stopping; open connections have {GRACE:?}");
    service.cancel(CancelReason::user("Ctrl-C").with_cleanup(GRACE));

    if let Outcome::Ok(closed) = service.join(cx).await? {
        println!("{} connections served", closed.report.ended);
        for straggler in &closed.report.stragglers {
            println!("did not end in time: {straggler}");
        }
    }
    Ok(())
}
