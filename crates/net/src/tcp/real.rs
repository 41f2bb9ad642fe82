//! Kernel sockets on the reactor.

use asupersync_reactor::{Direction, Io, Reactor};
use mio::Interest;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream};
use socket2::{Domain, Protocol, Socket, Type};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};

/// EMFILE and ENFILE, ENOBUFS and ENOMEM: there is a connection, and nothing to hold it with.
pub(crate) fn is_out_of_resources(error: &io::Error) -> bool {
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

pub(crate) const BOTH: Interest = Interest::READABLE.add(Interest::WRITABLE);

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

/// Moves bytes by `operation`. When fewer than `wanted` moved, the system's buffer is exhausted and
/// the next try would only learn so.
fn poll_transfer<S: Source>(
    stream: &Io<S>,
    direction: Direction,
    context: &mut Context<'_>,
    wanted: usize,
    mut operation: impl FnMut(&S) -> io::Result<usize>,
) -> Poll<io::Result<usize>> {
    let registration = stream.registration();
    loop {
        let ready = ready!(registration.poll_ready(direction, context));
        match operation(stream.get_ref()) {
            Ok(n) => {
                if 0 < n && n < wanted {
                    registration.clear_drained(ready);
                }
                return Poll::Ready(Ok(n));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                registration.clear_ready(ready);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

pub(crate) fn poll_read<S: Source>(
    stream: &Io<S>,
    context: &mut Context<'_>,
    buf: &mut [u8],
) -> Poll<io::Result<usize>>
where
    for<'s> &'s S: Read,
{
    poll_transfer(stream, Direction::Read, context, buf.len(), |mut stream| stream.read(buf))
}

pub(crate) fn poll_read_vectored<S: Source>(
    stream: &Io<S>,
    context: &mut Context<'_>,
    bufs: &mut [IoSliceMut<'_>],
) -> Poll<io::Result<usize>>
where
    for<'s> &'s S: Read,
{
    let wanted = bufs.iter().map(|buf| buf.len()).sum();
    let read = |mut stream: &S| stream.read_vectored(bufs);
    poll_transfer(stream, Direction::Read, context, wanted, read)
}

pub(crate) fn poll_write<S: Source>(
    stream: &Io<S>,
    context: &mut Context<'_>,
    bufs: &[IoSlice<'_>],
) -> Poll<io::Result<usize>>
where
    for<'s> &'s S: Write,
{
    let wanted = bufs.iter().map(|buf| buf.len()).sum();
    poll_transfer(stream, Direction::Write, context, wanted, |mut stream| match bufs {
        [buf] => stream.write(buf),
        bufs => stream.write_vectored(bufs),
    })
}
