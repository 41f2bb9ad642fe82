//! A client and a server with a wire between them, in the lab.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use asupersync_combinator::timeout;
use asupersync_core::{Cx, Error};
use asupersync_io::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream, duplex, split,
};
use asupersync_lab::{LabConfig, LabRuntime};
use asupersync_tls::{TlsAcceptor, TlsConnector, TlsError, TlsErrorKind, TlsStream};
use std::io;
use std::time::Duration;

/// How one end's conversation went: what it learnt, or what failed.
pub type End<T = ()> = Result<T, Failure>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Tls(TlsErrorKind),
    Io(io::ErrorKind),
}

pub fn failure(error: io::Error) -> Failure {
    match TlsError::inside(&error) {
        Some(tls) => Failure::Tls(tls.kind()),
        None => Failure::Io(error.kind()),
    }
}

/// Asks and hears the answer to its end.
pub async fn ask<S>(cx: &Cx, mut stream: TlsStream<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(cx, b"ping").await?;
    stream.flush(cx).await?;
    let mut answer = Vec::new();
    stream.read_to_end(cx, &mut answer, 100).await?;
    assert_eq!(answer, b"pong");
    stream.close(cx).await
}

/// Hears a question to its end and answers.
pub async fn answer<S>(cx: &Cx, mut stream: TlsStream<S>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut question = [0; 4];
    stream.read_exact(cx, &mut question).await?;
    assert_eq!(&question, b"ping");
    stream.write_all(cx, b"pong").await?;
    stream.close(cx).await?;
    let mut rest = Vec::new();
    stream.read_to_end(cx, &mut rest, 100).await?;
    Ok(())
}

pub async fn client(cx: &Cx, tls: TlsConnector, name: &str, io: DuplexStream) -> End {
    let talk = async { ask(cx, tls.connect(cx, name, io).await?).await };
    patiently(cx, talk).await
}

pub async fn server(cx: &Cx, tls: TlsAcceptor, io: DuplexStream) -> End {
    let talk = async { answer(cx, tls.accept(cx, io).await?).await };
    patiently(cx, talk).await
}

/// For a minute: a record whose length was changed makes its receiver wait for more.
async fn patiently(cx: &Cx, talk: impl Future<Output = io::Result<()>>) -> End {
    match timeout(cx, Duration::from_secs(60), talk).await {
        Ok(answer) => answer.map_err(failure),
        Err(_) => Err(Failure::Io(io::ErrorKind::TimedOut)),
    }
}

/// What a wire does to the bytes of one direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wire {
    /// It ends after so many bytes.
    pub cut: Option<usize>,
    /// The byte at this place is changed.
    pub damage: Option<usize>,
}

async fn carry<R, W>(cx: &Cx, mut from: R, mut to: W, wire: Wire) -> Vec<u8>
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (mut buffer, mut all) = ([0; 4096], Vec::new());
    loop {
        let carried = all.len();
        let room = wire.cut.map_or(buffer.len(), |cut| (cut - carried).min(buffer.len()));
        if room == 0 {
            break;
        }
        let Ok(count @ 1..) = from.read(cx, &mut buffer[..room]).await else { break };
        if let Some(at) =
            wire.damage.and_then(|at| at.checked_sub(carried)).filter(|at| *at < count)
        {
            buffer[at] ^= 0x41;
        }
        if to.write_all(cx, &buffer[..count]).await.is_err() {
            break;
        }
        all.extend(&buffer[..count]);
    }
    let _ = to.close(cx).await;
    all
}

/// What each end came to, and what went to the client and to the server.
#[derive(Debug)]
pub struct Talk {
    pub client: End,
    pub server: End,
    pub to_client: Vec<u8>,
    pub to_server: Vec<u8>,
}

/// One conversation over a wire that may harm either direction.
pub fn talk_over(
    connector: &TlsConnector,
    acceptor: &TlsAcceptor,
    name: &'static str,
    to_client: Wire,
    to_server: Wire,
) -> Talk {
    let (connector, acceptor) = (connector.clone(), acceptor.clone());
    let report = LabRuntime::new(LabConfig::default()).run(async move |cx: &Cx| {
        let (near, wire_near) = duplex(64 * 1024);
        let (far, wire_far) = duplex(64 * 1024);
        let outcome = cx
            .region(async |scope| {
                let mut client =
                    scope.spawn(async move |cx: &Cx| Ok(client(cx, connector, name, near).await));
                let mut server =
                    scope.spawn(async move |cx: &Cx| Ok(server(cx, acceptor, far).await));
                let (from_client, into_client) = split(wire_near);
                let (from_server, into_server) = split(wire_far);
                let mut there = scope.spawn(async move |cx: &Cx| {
                    Ok(carry(cx, from_client, into_server, to_server).await)
                });
                let mut back = scope.spawn(async move |cx: &Cx| {
                    Ok(carry(cx, from_server, into_client, to_client).await)
                });
                Ok::<_, Error>(Talk {
                    client: client.join(cx).await?.into_result()?,
                    server: server.join(cx).await?.into_result()?,
                    to_client: back.join(cx).await?.into_result()?,
                    to_server: there.join(cx).await?.into_result()?,
                })
            })
            .await;
        Ok::<_, Error>(outcome.into_result()?)
    });
    assert!(report.is_ok(), "{to_client:?} {to_server:?}: {report}");
    report.outcome.ok().unwrap()
}

pub fn talk(connector: &TlsConnector, acceptor: &TlsAcceptor, name: &'static str) -> Talk {
    talk_over(connector, acceptor, name, Wire::default(), Wire::default())
}

/// Which end is ours, against a peer that only says bytes.
#[derive(Clone)]
pub enum Ours {
    Client(TlsConnector),
    Server(TlsAcceptor),
}

/// What our end makes of a peer that says these bytes and goes, or stays and says nothing more.
pub fn against(ours: &Ours, bytes: Vec<u8>, stays: bool) -> End {
    let ours = ours.clone();
    let report = LabRuntime::new(LabConfig::default()).run(async move |cx: &Cx| {
        let (near, mut far) = duplex(1 << 20);
        far.write_all(cx, &bytes).await?;
        if !stays {
            far.close(cx).await?;
        }
        let result = match ours {
            Ours::Client(connector) => client(cx, connector, "server.test", near).await,
            Ours::Server(acceptor) => server(cx, acceptor, near).await,
        };
        drop(far);
        Ok::<_, Error>(result)
    });
    assert!(report.is_ok(), "{report}");
    report.outcome.ok().unwrap()
}
