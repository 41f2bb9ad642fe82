//! A TCP proxy: bytes both ways with back-pressure, each direction closed by itself, and a drain in
//! which open connections finish. Here it stands before an echo server and drains while the fifth of its
//! clients is in the middle of a conversation.

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

/// Serves until it is told to drain, and then until the last open connection has ended.
async fn proxy(
    cx: &Cx,
    listener: TcpListener,
    server: SocketAddr,
    mut drain: oneshot::Receiver<()>,
) -> Closed<(), Error> {
    let options = RegionOptions::new().name("connections").policy(Policy::CollectAll);
    cx.region_reported(options, async |scope| {
        loop {
            let accept = async { Ok::<_, Error>(Some(listener.accept(cx).await?)) };
            let drained = async { Ok::<_, Error>(drain.recv(cx).await.ok().and(None)) };
            let Some((client, peer)) = race(cx, (accept, drained)).await?? else {
                return Ok(()); // no more are taken on; the region waits for those it has
            };
            // The handle is not needed: the region knows its tasks.
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

/// Says a word and hears it again.
async fn say(cx: &Cx, stream: &mut TcpStream, word: &[u8]) -> Result<(), Error> {
    stream.write_all(cx, word).await?;
    let mut heard = vec![0; word.len()];
    stream.read_exact(cx, &mut heard).await?;
    assert_eq!(heard, word);
    Ok(())
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let server = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let upstream = server.local_addr()?;
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let echoing = cx.spawn(async move |cx: &Cx| echo(cx, server).await);
    let (drain, drained) = oneshot::channel();
    let mut proxying =
        cx.spawn(async move |cx: &Cx| Ok::<_, Error>(proxy(cx, listener, upstream, drained).await));

    let clients = [1, 1 << 10, 1 << 16, 1 << 22].map(|size| client(cx, address, size));
    try_join_all(cx, clients).await?;

    let mut last = TcpStream::connect(cx, address).await?;
    say(cx, &mut last, b"before the drain").await?;
    let _ = drain.send(());
    say(cx, &mut last, b"during the drain").await?;
    last.close(cx).await?;
    // A connection that does not end is waited for no longer than this.
    match timeout(cx, Duration::from_secs(5), proxying.join(cx)).await {
        Ok(ended) => {
            if let Outcome::Ok(closed) = ended? {
                println!("{} connections proxied", closed.report.ended);
            }
        }
        Err(_) => proxying.cancel(CancelReason::user("the drain took too long")),
    }
    echoing.cancel(CancelReason::user("done"));
    Ok(())
}
