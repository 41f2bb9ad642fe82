//! An echo server over TLS and its clients, in one program: a certificate made up on the spot, replaced
//! while connections are open; a session taken up again; a client that does not trust the server.

use asupersync::io::{copy, split};
use asupersync::net::{TcpListener, TcpStream};
use asupersync::prelude::*;
use asupersync::tls::{Identities, Identity, Roots, TlsAcceptor, TlsConnector, TlsError};
use std::io;
use std::net::SocketAddr;

async fn echo(cx: &Cx, tls: &TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let (mut reader, mut writer) = split(tls.accept(cx, stream).await?);
    copy(cx, &mut reader, &mut writer).await?;
    // The farewell: without it the client could not tell our end from an attacker's.
    writer.close(cx).await
}

/// A task for each client: one that is slow to shake hands keeps no other waiting.
async fn serve(
    cx: &Cx,
    listener: TcpListener,
    tls: TlsAcceptor,
    clients: u32,
) -> Result<u32, Error> {
    let mut open = Vec::new();
    for _ in 0..clients {
        let ((stream, peer), tls) = (listener.accept(cx).await?, tls.clone());
        let echoing = cx.spawn(async move |cx: &Cx| Ok::<_, Error>(echo(cx, &tls, stream).await));
        open.push((peer, echoing));
    }
    let mut served = 0;
    for (peer, mut echoing) in open {
        match echoing.join(cx).await?.into_result()? {
            Ok(()) => served += 1,
            Err(error) => println!("{peer}: {error}"),
        }
    }
    Ok(served)
}

async fn ask(cx: &Cx, tls: &TlsConnector, server: SocketAddr, question: &str) -> io::Result<()> {
    let stream = TcpStream::connect(cx, server).await?;
    let mut stream = tls.connect(cx, "localhost", stream).await?;
    stream.write_all(cx, question.as_bytes()).await?;
    stream.close(cx).await?;
    let mut answer = Vec::new();
    stream.read_to_end(cx, &mut answer, 1024).await?;
    let how = if stream.is_resumed() { "a known session" } else { "a full handshake" };
    println!("{:?} by {how}, {:?}", String::from_utf8_lossy(&answer), stream.version());
    Ok(())
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let first = Identity::self_signed(["localhost"])?;
    let second = Identity::self_signed(["localhost"])?;
    let identities = Identities::from(first.identity);
    let acceptor = TlsAcceptor::builder(identities.clone()).build()?;
    let listener = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let server = listener.local_addr()?;
    let mut serving = cx.spawn(async move |cx: &Cx| serve(cx, listener, acceptor, 4).await);

    let both = format!("{}{}", first.certificate, second.certificate);
    let connector = TlsConnector::builder(Roots::from_pem(both)?).build()?;
    ask(cx, &connector, server, "hello").await?;
    ask(cx, &connector, server, "hello again").await?;

    // From the next handshake on; a client that remembers its session does not even notice.
    identities.set_default(Some(second.identity));
    let stranger = TlsConnector::builder(Roots::from_pem(&first.certificate)?).build()?;
    if let Err(error) = ask(cx, &stranger, server, "who are you?").await {
        let kind = TlsError::inside(&error).map(TlsError::kind);
        println!("refused, as it should be: {kind:?}");
    }
    ask(cx, &connector, server, "and once more").await?;

    let served = serving.join(cx).await?.into_result()?;
    println!("the server served {served} connections");
    Ok(())
}
