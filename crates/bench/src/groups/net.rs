//! Sockets over the loopback: one message under way at a time, or as many bytes as the socket takes; bare
//! and under TLS.

mod tls;

use std::time::Instant;

use asupersync_core::{CancelReason, Cx, Error};
use asupersync_io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use asupersync_net::{TcpStream, UdpSocket, UnixStream};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::sched::{Hosts, Pair, each, sides, size};
use crate::runner::{Better, Runner};

const MESSAGE: usize = 64;
const PIECE: usize = 64 << 10;

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let hosts = Hosts::new();
    let pair = &hosts.threads;
    let trips = size(runner, 10_000);
    let pieces = size(runner, 8_000);
    let rows: [Echo; 3] = [
        ("tcp_echo_1", tcp_echo, tokio_tcp_echo),
        ("udp_echo", udp_echo, tokio_udp_echo),
        ("unix_echo", unix_echo, tokio_unix_echo),
    ];
    for (bench, ours, tokio) in rows {
        let sides = sides(pair, move |pair| ours(pair, trips), move |pair| tokio(pair, trips));
        runner.compare(bench, "ns", Better::Lower, sides);
    }
    let sends = sides(
        pair,
        move |pair| udp_sends(pair, pieces / 4),
        move |pair| tokio_udp_sends(pair, pieces / 4),
    );
    runner.compare("udp_send_1200", "MiB/s", Better::Higher, sends);
    let bulk =
        sides(pair, move |pair| tcp_bulk(pair, pieces), move |pair| tokio_tcp_bulk(pair, pieces));
    runner.compare("tcp_bulk_64k", "MiB/s", Better::Higher, bulk);
    tls::run(runner);
}

type Echo = (&'static str, fn(&Pair, usize) -> f64, fn(&Pair, usize) -> f64);

fn mebibytes(start: Instant, pieces: usize) -> f64 {
    (pieces * PIECE) as f64 / start.elapsed().as_secs_f64() / f64::from(1 << 20)
}

/// Both ends of a connection on the loopback, made the same way for both sides.
///
/// With a congestion control that paces (BBR, where it is the default), the first round trips of a
/// connection decide how fast the system lets it be from then on, and a row of bytes measures that. Reno
/// does not pace.
fn std_pair() -> std::io::Result<(std::net::TcpStream, std::net::TcpStream)> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    let near = std::net::TcpStream::connect(listener.local_addr()?)?;
    let (far, _) = listener.accept()?;
    for stream in [&near, &far] {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        rustix::net::sockopt::set_tcp_congestion(stream, "reno")?;
    }
    Ok((near, far))
}

fn tcp_pair(cx: &Cx) -> Result<(TcpStream, TcpStream), Error> {
    let (near, far) = std_pair()?;
    Ok((TcpStream::from_std(cx, near)?, TcpStream::from_std(cx, far)?))
}

fn tokio_tcp_pair() -> std::io::Result<(tokio::net::TcpStream, tokio::net::TcpStream)> {
    let (near, far) = std_pair()?;
    Ok((tokio::net::TcpStream::from_std(near)?, tokio::net::TcpStream::from_std(far)?))
}

/// Round trips over a stream, answered by a task of its own: nanoseconds each.
async fn echo<S>(cx: &Cx, mut near: S, mut far: S, trips: usize) -> Result<f64, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _ = cx.spawn(async move |cx: &Cx| {
        let mut message = [0; MESSAGE];
        while far.read_exact(cx, &mut message).await.is_ok() {
            far.write_all(cx, &message).await?;
        }
        Ok::<_, Error>(())
    });
    let mut message = [7; MESSAGE];
    let start = Instant::now();
    for _ in 0..trips {
        near.write_all(cx, &message).await?;
        near.read_exact(cx, &mut message).await?;
    }
    Ok(each(start, trips))
}

async fn tokio_echo<S>(mut near: S, mut far: S, trips: usize) -> std::io::Result<f64>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        let mut message = [0; MESSAGE];
        while far.read_exact(&mut message).await.is_ok() {
            far.write_all(&message).await.expect("connected");
        }
    });
    let mut message = [7; MESSAGE];
    let start = Instant::now();
    for _ in 0..trips {
        near.write_all(&message).await?;
        near.read_exact(&mut message).await?;
    }
    Ok(each(start, trips))
}

fn tcp_echo(pair: &Pair, trips: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let (near, far) = tcp_pair(cx)?;
        echo(cx, near, far, trips).await
    })
}

fn tokio_tcp_echo(pair: &Pair, trips: usize) -> f64 {
    pair.tokio(async move {
        let (near, far) = tokio_tcp_pair().expect("the loopback");
        tokio_echo(near, far, trips).await.expect("connected")
    })
}

fn unix_echo(pair: &Pair, trips: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let (near, far) = UnixStream::pair(cx)?;
        echo(cx, near, far, trips).await
    })
}

fn tokio_unix_echo(pair: &Pair, trips: usize) -> f64 {
    pair.tokio(async move {
        let (near, far) = tokio::net::UnixStream::pair().expect("a pair");
        tokio_echo(near, far, trips).await.expect("connected")
    })
}

fn udp_echo(pair: &Pair, trips: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let near = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        let far = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        near.connect(far.local_addr()?)?;
        let answering = cx.spawn(async move |cx: &Cx| {
            let mut message = [0; MESSAGE];
            while let Ok((n, from)) = far.recv_from(cx, &mut message).await {
                far.send_to(cx, &message[..n], from).await?;
            }
            Ok::<_, Error>(())
        });
        let mut message = [7; MESSAGE];
        let start = Instant::now();
        // One at a time fits every buffer, so the loopback loses nothing.
        for _ in 0..trips {
            near.send(cx, &message).await?;
            near.recv(cx, &mut message).await?;
        }
        let figure = each(start, trips);
        answering.cancel(CancelReason::user("measured"));
        Ok(figure)
    })
}

fn tokio_udp_echo(pair: &Pair, trips: usize) -> f64 {
    pair.tokio(async move {
        let near = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let far = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        near.connect(far.local_addr().expect("bound")).await.expect("an address");
        let answering = tokio::spawn(async move {
            let mut message = [0; MESSAGE];
            while let Ok((n, from)) = far.recv_from(&mut message).await {
                far.send_to(&message[..n], from).await.expect("bound");
            }
        });
        let mut message = [7; MESSAGE];
        let start = Instant::now();
        for _ in 0..trips {
            near.send(&message).await.expect("connected");
            near.recv(&mut message).await.expect("connected");
        }
        let figure = each(start, trips);
        answering.abort();
        figure
    })
}

/// Bytes for a datagram of the length that QUIC uses, to a socket that nobody reads.
const DATAGRAM: usize = 1200;

fn udp_sends(pair: &Pair, pieces: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let near = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        let far = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        near.connect(far.local_addr()?)?;
        let piece = vec![7; PIECE];
        let start = Instant::now();
        for _ in 0..pieces {
            let mut rest = &piece[..];
            while !rest.is_empty() {
                let sent = near.send_segments(cx, rest, DATAGRAM, None).await?;
                rest = &rest[sent..];
            }
        }
        Ok(mebibytes(start, pieces))
    })
}

fn tokio_udp_sends(pair: &Pair, pieces: usize) -> f64 {
    pair.tokio(async move {
        let near = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        let far = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a port");
        near.connect(far.local_addr().expect("bound")).await.expect("an address");
        let piece = vec![7; PIECE];
        let start = Instant::now();
        for _ in 0..pieces {
            for datagram in piece.chunks(DATAGRAM) {
                near.send(datagram).await.expect("connected");
            }
        }
        mebibytes(start, pieces)
    })
}

fn tcp_bulk(pair: &Pair, pieces: usize) -> f64 {
    pair.ours(async move |cx: &Cx| {
        let (mut near, mut far) = tcp_pair(cx)?;
        let start = Instant::now();
        let _ = cx.spawn(async move |cx: &Cx| {
            let piece = vec![7; PIECE];
            for _ in 0..pieces {
                near.write_all(cx, &piece).await?;
            }
            Ok::<_, Error>(())
        });
        let mut buf = vec![0; PIECE];
        let mut total = 0;
        while total < pieces * PIECE {
            total += far.read(cx, &mut buf).await?;
        }
        Ok(mebibytes(start, pieces))
    })
}

fn tokio_tcp_bulk(pair: &Pair, pieces: usize) -> f64 {
    pair.tokio(async move {
        let (mut near, mut far) = tokio_tcp_pair().expect("the loopback");
        let start = Instant::now();
        tokio::spawn(async move {
            let piece = vec![7; PIECE];
            for _ in 0..pieces {
                near.write_all(&piece).await.expect("connected");
            }
        });
        let mut buf = vec![0; PIECE];
        let mut total = 0;
        while total < pieces * PIECE {
            total += far.read(&mut buf).await.expect("connected");
        }
        mebibytes(start, pieces)
    })
}
