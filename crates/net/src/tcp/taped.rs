//! TCP in a recorded run, and in its replay: every call goes through the tape.
//!
//! In a recording there is a kernel socket behind each stream and listener, in a replay none: the calls
//! below are then answered by what they were answered before, and nothing is performed.

use super::real;
use crate::backend::Socket;
use crate::tcp::TcpStream;
use asupersync_io::{IoSlice, IoSliceMut};
use asupersync_reactor::{Call, Direction, Io, Reactor, Taped, TapedSource};
use std::io;
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// Holds in a recording, where alone a call is performed.
const MACHINE: &str = "a call is performed only where there is a socket";

/// What a call answers, as bytes.
pub(crate) trait Noted: Sized {
    fn note(&self) -> Vec<u8>;
    fn read(bytes: &[u8]) -> Option<Self>;
}

impl Noted for () {
    fn note(&self) -> Vec<u8> {
        Vec::new()
    }
    fn read(bytes: &[u8]) -> Option<()> {
        bytes.is_empty().then_some(())
    }
}

impl Noted for u64 {
    fn note(&self) -> Vec<u8> {
        self.to_le_bytes().to_vec()
    }
    fn read(bytes: &[u8]) -> Option<u64> {
        bytes.try_into().ok().map(u64::from_le_bytes)
    }
}

impl Noted for bool {
    fn note(&self) -> Vec<u8> {
        vec![u8::from(*self)]
    }
    fn read(bytes: &[u8]) -> Option<bool> {
        (bytes.len() == 1).then(|| bytes[0] != 0)
    }
}

impl Noted for Option<Duration> {
    fn note(&self) -> Vec<u8> {
        self.map(|time| (time.as_nanos() as u64).note()).unwrap_or_default()
    }
    fn read(bytes: &[u8]) -> Option<Option<Duration>> {
        if bytes.is_empty() {
            return Some(None);
        }
        u64::read(bytes).map(|nanos| Some(Duration::from_nanos(nanos)))
    }
}

impl Noted for SocketAddr {
    fn note(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }
    fn read(bytes: &[u8]) -> Option<SocketAddr> {
        std::str::from_utf8(bytes).ok()?.parse().ok()
    }
}

fn read<T: Noted>(answer: &[u8]) -> io::Result<T> {
    T::read(answer).ok_or_else(no_answer)
}

fn no_answer() -> io::Error {
    let what = "the recording's answer to this call is none that it can have";
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// A connection.
pub(crate) struct TapedStream {
    source: Arc<TapedSource>,
    socket: Option<Box<TcpStream>>,
}

impl TapedStream {
    fn new(source: Arc<TapedSource>, socket: Option<Io<mio::net::TcpStream>>) -> TapedStream {
        let socket = socket.map(|socket| Box::new(TcpStream::from_real(socket)));
        TapedStream { source, socket }
    }

    /// A call that does not wait.
    pub(crate) fn call<T: Noted>(
        &self,
        label: &'static str,
        input: &[u8],
        perform: impl Fn(&TcpStream) -> io::Result<T>,
    ) -> io::Result<T> {
        let answer = self.source.call(label, Call::hash([input]), || {
            perform(self.socket.as_deref().expect(MACHINE)).map(|answer| answer.note())
        });
        read(&answer?)
    }

    /// Reads into `buf` by `perform`, or what was read before.
    fn poll_bytes(
        &self,
        context: &mut Context<'_>,
        buf: &mut [u8],
        perform: impl Fn(&TcpStream, &mut Context<'_>, &mut [u8]) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let room = Call::hash([&(buf.len() as u64).to_le_bytes()[..]]);
        let poll = |context: &mut Context<'_>| {
            let read = ready!(perform(self.socket.as_deref().expect(MACHINE), context, buf));
            Poll::Ready(read.map(|count| buf[..count].to_vec()))
        };
        let answer = self.source.poll("TcpStream::read", room, Direction::Read, context, poll);
        let bytes = ready!(answer)?;
        let into = buf.get_mut(..bytes.len()).ok_or_else(no_answer)?;
        into.copy_from_slice(&bytes);
        Poll::Ready(Ok(bytes.len()))
    }
}

impl Socket for TapedStream {
    fn poll_read(&self, context: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        self.poll_bytes(context, buf, |socket, context, buf| {
            Socket::poll_read(socket, context, buf)
        })
    }

    // The first buffer with room, as the trait's own default does.
    fn poll_read_vectored(
        &self,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        let buf = bufs.iter_mut().find(|buf| !buf.is_empty());
        self.poll_read(context, buf.map_or(&mut [], |buf| &mut **buf))
    }

    fn poll_write(
        &self,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let input = Call::hash(bufs.iter().map(|buf| &**buf));
        let write = |context: &mut Context<'_>| {
            let socket = self.socket.as_deref().expect(MACHINE);
            let written = ready!(Socket::poll_write(socket, context, bufs));
            Poll::Ready(written.map(|count| (count as u64).note()))
        };
        let answer = self.source.poll("TcpStream::write", input, Direction::Write, context, write);
        let count: u64 = read(&ready!(answer)?)?;
        let most: usize = bufs.iter().map(|buf| buf.len()).sum();
        let count = usize::try_from(count).ok().filter(|count| *count <= most);
        Poll::Ready(count.ok_or_else(no_answer))
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.call("TcpStream::shutdown", &[how as u8], |socket| Socket::shutdown(socket, how))
    }
}

/// A connection being made.
pub(crate) struct TapedDial {
    source: Arc<TapedSource>,
    socket: Option<Io<mio::net::TcpStream>>,
}

impl TapedDial {
    pub(crate) fn start(
        taped: &Taped,
        from: Option<IpAddr>,
        to: SocketAddr,
    ) -> io::Result<TapedDial> {
        let source = taped.source();
        let mut socket = None;
        let input = Call::hash([format!("{from:?} {to}").as_bytes()]);
        source.call("TcpStream::dial", input, || {
            socket = Some(real::dial(taped.reactor().expect(MACHINE), from, to)?);
            Ok(Vec::new())
        })?;
        Ok(TapedDial { source, socket })
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        let connected = |context: &mut Context<'_>| {
            let socket = self.socket.as_ref().expect(MACHINE);
            real::poll_connected(socket, context).map_ok(|()| Vec::new())
        };
        let label = "TcpStream::connect";
        ready!(self.source.poll(label, 0, Direction::Write, context, connected))?;
        let stream = TapedStream::new(Arc::clone(&self.source), self.socket.take());
        Poll::Ready(Ok(TcpStream::from_taped(stream)))
    }
}

/// A listening socket.
pub(crate) struct TapedListener {
    taped: Arc<Taped>,
    source: Arc<TapedSource>,
    socket: Option<Io<mio::net::TcpListener>>,
}

impl TapedListener {
    pub(crate) fn listen(
        taped: &Arc<Taped>,
        address: SocketAddr,
        backlog: Option<usize>,
        reuse_port: bool,
    ) -> io::Result<TapedListener> {
        let source = taped.source();
        let mut socket = None;
        let input = Call::hash([format!("{address} {backlog:?} {reuse_port}").as_bytes()]);
        source.call("TcpListener::bind", input, || {
            let reactor = taped.reactor().expect(MACHINE);
            socket = Some(real::listen(reactor, address, backlog, reuse_port)?);
            Ok(Vec::new())
        })?;
        Ok(TapedListener { taped: Arc::clone(taped), source, socket })
    }

    pub(crate) fn poll_accept(
        &self,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        let mut accepted = None;
        let accept = |context: &mut Context<'_>| {
            let reactor: &Reactor = self.taped.reactor().expect(MACHINE);
            let socket = self.socket.as_ref().expect(MACHINE);
            let (stream, peer) = ready!(real::poll_accept(socket, reactor, context))?;
            accepted = Some(stream);
            Poll::Ready(Ok(peer.note()))
        };
        let label = "TcpListener::accept";
        let answer = ready!(self.source.poll(label, 0, Direction::Read, context, accept))?;
        let peer = read(&answer)?;
        let stream = TapedStream::new(self.taped.source(), accepted);
        Poll::Ready(Ok((TcpStream::from_taped(stream), peer)))
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        let answer = self.source.call("TcpListener::local_addr", 0, || {
            let address = self.socket.as_ref().expect(MACHINE).get_ref().local_addr();
            address.map(|address| address.note())
        });
        read(&answer?)
    }
}
