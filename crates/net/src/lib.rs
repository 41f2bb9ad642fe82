//! TCP, UDP and Unix sockets, on the machine or on a virtual network, behind the same types.
//!
//! | wanted | here |
//! |---|---|
//! | TCP | [`TcpListener`], [`TcpStream`] |
//! | UDP | [`UdpSocket`] |
//! | Unix sockets | [`UnixListener`], [`UnixStream`], [`UnixDatagram`] |
//! | names | [`TcpStream::connect_name`], [`resolve()`], [`Resolve`] |
//! | the network of tests | [`VirtualNetwork`] |
//!
//! Sockets ask the host of their context what they are made of: where it offers the reactor
//! ([`asupersync_reactor::Reactor`]) they are the kernel's, where it offers a [`VirtualNetwork`] they are
//! in memory, and their timing and failures are drawn from a seed. A program sees no difference but
//! the one it should: the second is repeatable. Where a run is recorded or replayed, the host offers
//! [`asupersync_reactor::Taped`] instead, by which TCP goes, and nothing else.
//!
//! Streams read and write by `futures-io`'s traits, which [`asupersync_io`] extends with calls that
//! take the context. `into_split` gives halves for two tasks.
//!
//! Names are resolved by a service of the host ([`Resolve`]): the system's resolver unless another was
//! installed, in the lab the table of the virtual network. [`TcpStream::connect_name`] tries a name's
//! addresses as RFC 8305 has it.
//!
//! This crate does not know what the bytes mean, how name servers are spoken to, or who drives the
//! reactor.
//!
//! # Example
//!
//! ```
//! use asupersync_core::Cx;
//! use asupersync_io::{AsyncReadExt, AsyncWriteExt};
//! use asupersync_net::{TcpListener, TcpStream};
//! use std::io;
//!
//! /// Answers one client with what it sends.
//! async fn echo_once(cx: &Cx, listener: &TcpListener) -> io::Result<u64> {
//!     let (stream, _peer) = listener.accept(cx).await?;
//!     let (mut reader, mut writer) = stream.into_split();
//!     let copied = asupersync_io::copy(cx, &mut reader, &mut writer).await?;
//!     writer.close(cx).await?;
//!     Ok(copied)
//! }
//!
//! async fn ask(cx: &Cx, server: std::net::SocketAddr) -> io::Result<Vec<u8>> {
//!     let mut stream = TcpStream::connect(cx, server).await?;
//!     stream.write_all(cx, b"hello").await?;
//!     stream.close(cx).await?;
//!     let mut answer = Vec::new();
//!     stream.read_to_end(cx, &mut answer, 1024).await?;
//!     Ok(answer)
//! }
//! # let _ = (echo_once, ask);
//! ```
//!
//! # Cancel safety
//!
//! `accept` hands out a connection or leaves it in the queue. A cancelled `connect` closes what it
//! had begun. A cancelled read or write has moved no byte (the calls that move several pieces say
//! what they keep: see [`asupersync_io`]). Dropping a stream closes it.
//!
//! # Limitations
//!
//! * Linux only.
//! * UDP receives one datagram a call: only sending is offloaded ([`UdpSocket::send_segments`]). With the
//!   system's offload for receiving (`UDP_GRO`), which belongs to the socket, a plain receive would hand
//!   out several datagrams as one.
//! * What the virtual network leaves out is listed at [`VirtualNetwork`].

#![forbid(unsafe_code)]

mod address;
mod backend;
mod error;
mod resolve;
mod split;
mod tcp;
mod udp;
mod unix;
mod virtual_network;

pub use address::ToAddress;
pub use error::NetError;
pub use resolve::{HostPort, Lookup, Resolve, ResolveCaps, SystemResolver, ToHostPort, resolve};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError, SplitStream};
pub use std::net::Shutdown;
pub use tcp::{ConnectOptions, ListenOptions, TcpListener, TcpStream};
pub use udp::{UdpOptions, UdpSocket};
pub use unix::{ReceivedFds, UnixAddr, UnixCredentials, UnixDatagram, UnixListener, UnixStream};
pub use virtual_network::{VirtualNetwork, VirtualOptions};
