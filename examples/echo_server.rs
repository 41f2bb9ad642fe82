//! An echo server that stops gracefully: on Ctrl-C (or after `--for-seconds N`) it takes no more
//! connections, lets the open ones finish within a grace time, and names those that did not.

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

/// The argument of `--for-seconds`, if it was given.
fn time_limit() -> Result<Option<Duration>, Error> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => Ok(None),
        ["--for-seconds", seconds] => match seconds.parse() {
            Ok(seconds) => Ok(Some(Duration::from_secs(seconds))),
            Err(_) => Err(Error::msg("--for-seconds takes a number")),
        },
        _ => Err(Error::msg("usage: echo_server [--for-seconds N]")),
    }
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let limit = time_limit()?;
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    println!("echo on {}; Ctrl-C stops", listener.local_addr()?);

    let mut service = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(serve(cx, listener).await));
    match limit {
        Some(limit) => cx.sleep(limit).await?,
        None => ctrl_c(cx).await?,
    }
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
