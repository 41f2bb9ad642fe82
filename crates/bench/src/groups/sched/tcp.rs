//! TCP over the loopback: 64 connections, each with 512 bytes under way at a time.

use std::time::Instant;

use asupersync_core::{Cx, Error};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{TcpListener, TcpStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Hosts, Pair, sides, size};
use crate::runner::{Better, Runner};

const CONNECTIONS: usize = 64;
const MESSAGE: usize = 512;

pub(super) fn run(runner: &mut Runner, hosts: &Hosts) {
    let trips = size(runner, 800);
    let sides =
        sides(&hosts.threads, move |pair| ours(pair, trips), move |pair| tokio(pair, trips));
    runner.compare("tcp_echo_64", "k trips/s", Better::Higher, sides);
}

fn rate(start: Instant, trips: usize) -> f64 {
    (CONNECTIONS * trips) as f64 / start.elapsed().as_secs_f64() / 1e3
}

fn ours(pair: &Pair, trips: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let _ = cx.spawn(async move |cx: &Cx| {
            for _ in 0..CONNECTIONS {
                let (mut stream, _) = listener.accept(cx).await?;
                stream.set_nodelay(true)?;
                let _ = cx.spawn(async move |cx: &Cx| {
                    let mut message = [0; MESSAGE];
                    // Until the client closes.
                    while stream.read_exact(cx, &mut message).await.is_ok() {
                        stream.write_all(cx, &message).await?;
                    }
                    Ok::<_, Error>(())
                });
            }
            Ok::<_, Error>(())
        });
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = TcpStream::connect(cx, address).await?;
            stream.set_nodelay(true)?;
            streams.push(stream);
        }
        let start = Instant::now();
        let mut clients = Vec::new();
        for mut stream in streams {
            clients.push(cx.spawn(async move |cx: &Cx| {
                let mut message = [7; MESSAGE];
                for _ in 0..trips {
                    stream.write_all(cx, &message).await?;
                    stream.read_exact(cx, &mut message).await?;
                }
                Ok::<_, Error>(())
            }));
        }
        for mut client in clients {
            client.join(cx).await?.into_result()?;
        }
        Ok(rate(start, trips))
    })
}

fn tokio(pair: &Pair, trips: usize) -> f64 {
    pair.tokio(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            for _ in 0..CONNECTIONS {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                stream.set_nodelay(true).expect("a socket");
                tokio::spawn(async move {
                    let mut message = [0; MESSAGE];
                    while stream.read_exact(&mut message).await.is_ok() {
                        stream.write_all(&message).await.expect("connected");
                    }
                });
            }
        });
        let mut streams = Vec::new();
        for _ in 0..CONNECTIONS {
            let stream = tokio::net::TcpStream::connect(address).await.expect("listening");
            stream.set_nodelay(true).expect("a socket");
            streams.push(stream);
        }
        let start = Instant::now();
        let mut clients = Vec::new();
        for mut stream in streams {
            clients.push(tokio::spawn(async move {
                let mut message = [7; MESSAGE];
                for _ in 0..trips {
                    stream.write_all(&message).await.expect("connected");
                    stream.read_exact(&mut message).await.expect("connected");
                }
            }));
        }
        for client in clients {
            client.await.expect("no panic");
        }
        rate(start, trips)
    })
}
