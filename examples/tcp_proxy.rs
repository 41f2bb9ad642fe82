//! A TCP proxy: bytes both ways with back-pressure, each direction closed by itself, and a drain in
//! which open connections finish. Here it stands before an echo server and ends after four clients.

use asupersync::io::{copy, copy_bidirectional};
use asupersync::net::{ConnectOptions, TcpListener, TcpStream};
use asupersync::prelude::*;
use asupersync::{Closed, RegionOptions};
use std::net::SocketAddr;
use std::time::Duration;

/// Nothing is read from one side that the other does not take: a slow reader slows its writer.
async fn forward(cx: &Cx, mut client: TcpStream, server: SocketAddr) -> Result<(u64, u64), Error> {
    let options = ConnectOptions::new().timeout(Duration::from_secs(5));
    let mut server = TcpStream::connect_with(cx, server, &options).await?;
    Ok(copy_bidirectional(cx, &mut client, &mut server).await?)
}

async fn proxy(cx: &Cx, listener: TcpListener, server: SocketAddr) -> Closed<(), Error> {
    let options = RegionOptions::new().name("connections").policy(Policy::CollectAll);
    cx.region_reported(options, async |scope| {
        loop {
            let (client, peer) = listener.accept(cx).await?;
            drop(scope.spawn_named(format!("proxy {peer}"), async move |cx: &Cx| {
                let (up, down) = forward(cx, client, server).await?;
                println!("{peer}: {up} bytes up, {down} bytes down");
                Ok(())
            }));
        }
    })
    .await
}

async fn echo(cx: &Cx, listener: TcpListener) -> Result<(), Error> {
    loop {
        let (mut reader, mut writer) = listener.accept(cx).await?.0.into_split();
        drop(cx.spawn(async move |cx: &Cx| {
            copy(cx, &mut reader, &mut writer).await?;
            Ok::<_, Error>(writer.close(cx).await?)
        }));
    }
}

async fn client(cx: &Cx, proxy: SocketAddr, size: usize) -> Result<(), Error> {
    let (mut reader, mut writer) = TcpStream::connect(cx, proxy).await?.into_split();
    let sent = vec![7; size];
    let mut sending = cx.spawn(async move |cx: &Cx| {
        writer.write_all(cx, &sent).await?;
        // Half a close: the answer still comes.
        Ok::<_, Error>(writer.close(cx).await?)
    });
    let mut answer = Vec::new();
    reader.read_to_end(cx, &mut answer, size).await?;
    assert_eq!(answer.len(), size);
    Ok(sending.join(cx).await?.into_result()?)
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let server = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let upstream = server.local_addr()?;
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echoing = cx.spawn(async move |cx: &Cx| echo(cx, server).await);
    let mut proxying =
        cx.spawn(async move |cx: &Cx| Ok::<_, Error>(proxy(cx, listener, upstream).await));

    let clients = [1, 1 << 10, 1 << 16, 1 << 22].map(|size| client(cx, address, size));
    try_join_all(cx, clients).await?;

    proxying.cancel(CancelReason::user("drain").with_cleanup(Duration::from_secs(5)));
    if let Outcome::Ok(closed) = proxying.join(cx).await? {
        println!("{} connections proxied", closed.report.ended);
    }
    echoing.cancel(CancelReason::user("done"));
    Ok(())
}
