//! Kernel sockets on the reactor.

use asupersync_core::Cx;
use asupersync_core::cap::HasTime;
use asupersync_reactor::{Direction, Io, Reactor};
use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

const SHORTEST_BACK_OFF: Duration = Duration::from_millis(5);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(1);

/// Accepts one connection; while there is nothing to hold it with, it stays in the queue and is tried
/// again later.
pub(crate) async fn accept<C: HasTime, T, F: Future<Output = io::Result<T>>>(
    cx: &Cx<C>,
    accept_one: impl Fn() -> F,
) -> io::Result<T> {
    let mut back_off = SHORTEST_BACK_OFF;
    loop {
        match accept_one().await {
            Err(error) if is_out_of_resources(&error) => {
                cx.sleep(back_off).await?;
                back_off = (back_off * 2).min(LONGEST_BACK_OFF);
            }
            answer => return answer,
        }
    }
}

/// EMFILE and ENFILE, ENOBUFS and ENOMEM: there is a connection, and nothing to hold it with.
fn is_out_of_resources(error: &io::Error) -> bool {
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    const ENOBUFS: i32 = 105;
    const ENOMEM: i32 = 12;
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS | ENOMEM))
}

/// Errors of the connection that was about to be accepted, which accept(2) passes on ("Error
/// handling" in its manual page): the next connection may be fine.
pub(crate) fn is_of_the_connection(error: &io::Error) -> bool {
    const PASSED_ON: [i32; 9] = [
        100, // ENETDOWN
        71,  // EPROTO
        92,  // ENOPROTOOPT
        112, // EHOSTDOWN
        64,  // ENONET
        113, // EHOSTUNREACH
        95,  // EOPNOTSUPP
        101, // ENETUNREACH
        1,   // EPERM: the firewall forbids it
    ];
    error.kind() == io::ErrorKind::ConnectionAborted
        || error.raw_os_error().is_some_and(|code| PASSED_ON.contains(&code))
}

pub(crate) fn listen(
    reactor: &Reactor,
    address: SocketAddr,
    backlog: Option<usize>,
    reuse_port: bool,
) -> io::Result<Io<TcpListener>> {
    let socket = socket(address)?;
    // As the field does on Unix: a restarted server may take its port back from TIME_WAIT.
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(reuse_port)?;
    socket.bind(&address.into())?;
    socket.listen(backlog.map_or(1024, |backlog| i32::try_from(backlog).unwrap_or(i32::MAX)))?;
    Io::new(reactor, TcpListener::from_std(socket.into()), Interest::READABLE)
}

pub(crate) fn poll_accept(
    listener: &Io<TcpListener>,
    reactor: &Reactor,
    context: &mut Context<'_>,
) -> Poll<io::Result<(Io<TcpStream>, SocketAddr)>> {
    loop {
        match ready!(listener.poll_io(Direction::Read, context, TcpListener::accept)) {
            Ok((stream, peer)) => {
                let stream = Io::new(reactor, stream, BOTH)?;
                return Poll::Ready(Ok((stream, peer)));
            }
            Err(error) if is_of_the_connection(&error) => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

/// Both directions, and word of what is urgent, which changes what a short read means.
pub(crate) const BOTH: Interest =
    Interest::READABLE.add(Interest::WRITABLE).add(Interest::PRIORITY);

/// Begins to connect; [`poll_connected`] says how it ended.
pub(crate) fn dial(
    reactor: &Reactor,
    from: Option<IpAddr>,
    to: SocketAddr,
) -> io::Result<Io<TcpStream>> {
    const EINPROGRESS: i32 = 115;
    let socket = socket(to)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Io::new(reactor, TcpStream::from_std(socket.into()), BOTH)
}

pub(crate) fn poll_connected(
    stream: &Io<TcpStream>,
    context: &mut Context<'_>,
) -> Poll<io::Result<()>> {
    loop {
        let ready = ready!(stream.registration().poll_ready(Direction::Write, context));
        if let Some(error) = stream.get_ref().take_error()? {
            return Poll::Ready(Err(error));
        }
        // A socket still on its way has no peer; epoll reports it writable once before it begins.
        match stream.get_ref().peer_addr() {
            Ok(_) => return Poll::Ready(Ok(())),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => {
                stream.registration().clear_ready(ready);
            }
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let kind = Type::STREAM.nonblocking().cloexec();
    Socket::new(Domain::for_address(address), kind, Some(Protocol::TCP))
}
