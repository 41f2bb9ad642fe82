//! One question to one server, by UDP and, where that does not do, by TCP.

use crate::answer::Asked;
use crate::message::{Message, Question, ResponseCode};
use asupersync_core::Cx;
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{ResolveCaps, TcpStream, UdpSocket};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Packets that are not the answer and yet reach the port: after so many, somebody is guessing, and the
/// question is put again by TCP, where guessing does not help.
const MOST_STRAYS: u32 = 64;
/// Tries to bind a port of our own choice before the system chooses.
const PORT_TRIES: u32 = 8;
/// The longest packet without EDNS (RFC 1035 section 4.2.1), in octets.
const PLAIN: u16 = 512;
/// The lowest port that is taken: those below belong to services.
const LOWEST_PORT: u16 = 1024;

/// Asks and waits for the answer, for as long as the caller lets it.
pub(crate) async fn ask(
    cx: &Cx<ResolveCaps>,
    server: SocketAddr,
    question: &Question,
    packet: u16,
) -> io::Result<Message> {
    let answer = ask_by(cx, server, question, Some(packet)).await?;
    // A server from before EDNS may stumble over it (RFC 6891 section 7).
    if answer.code == ResponseCode::FORMAT.0 && answer.edns.is_none() {
        return ask_by(cx, server, question, None).await;
    }
    Ok(answer)
}

async fn ask_by(
    cx: &Cx<ResolveCaps>,
    server: SocketAddr,
    question: &Question,
    edns: Option<u16>,
) -> io::Result<Message> {
    match ask_udp(cx, server, question, edns).await? {
        Some(message) => Ok(message),
        None => ask_tcp(cx, server, question, edns).await,
    }
}

fn asked(cx: &Cx<ResolveCaps>, server: SocketAddr, question: &Question) -> Asked {
    Asked { server, id: cx.random_u64() as u16, question: question.clone() }
}

/// None: it has to be asked by TCP.
async fn ask_udp(
    cx: &Cx<ResolveCaps>,
    server: SocketAddr,
    question: &Question,
    edns: Option<u16>,
) -> io::Result<Option<Message>> {
    let socket = bind(cx, server).await?;
    let asked = asked(cx, server, question);
    let query = Message::question(asked.id, asked.question.clone(), edns).encode();
    socket.send_to(cx, &query, server).await?;
    // One more than a server may send: one that sends more is seen.
    let mut buffer = vec![0; usize::from(edns.unwrap_or(0).max(PLAIN)) + 1];
    for _ in 0..MOST_STRAYS {
        let (length, from) = match socket.recv_from(cx, &mut buffer).await {
            // The port is closed: only a hint, which anybody may send. The next server's turn comes
            // when the time is over.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
            received => received?,
        };
        if let Some(message) = asked.accept(from, &buffer[..length]) {
            return Ok((!message.truncated).then_some(message));
        }
        if asked.is_cut(from, &buffer[..length], length == buffer.len()) {
            return Ok(None);
        }
    }
    Ok(None)
}

async fn ask_tcp(
    cx: &Cx<ResolveCaps>,
    server: SocketAddr,
    question: &Question,
    edns: Option<u16>,
) -> io::Result<Message> {
    let asked = asked(cx, server, question);
    let query = Message::question(asked.id, asked.question.clone(), edns).encode();
    let mut stream = TcpStream::connect(cx, server).await?;
    // A question is far shorter than 65,536 octets: one name.
    let length = (query.len() as u16).to_be_bytes();
    stream.write_all(cx, &[&length, &query[..]].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(cx, &mut length).await?;
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(cx, &mut answer).await?;
    asked.accept(server, &answer).ok_or_else(|| {
        let what = "the server's answer by TCP is no answer to the question";
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

/// A socket on a random port (RFC 5452 section 9.2), for this one question.
async fn bind(cx: &Cx<ResolveCaps>, server: SocketAddr) -> io::Result<UdpSocket> {
    let any: IpAddr = match server {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    for _ in 0..PORT_TRIES {
        let span = u64::from(u16::MAX - LOWEST_PORT) + 1;
        let port = LOWEST_PORT + (cx.random_u64() % span) as u16;
        match UdpSocket::bind(cx, (any, port)).await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    UdpSocket::bind(cx, (any, 0)).await
}
