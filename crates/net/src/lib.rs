//! TCP, on the machine's sockets or on a virtual network, behind the same types.
//!
//! [`TcpListener`] and [`TcpStream`] ask the host of their context what they are made of: where it
//! offers the reactor ([`asupersync_reactor::Reactor`]) they are kernel sockets, where it offers a
//! [`VirtualNetwork`] they are streams in memory whose timing and failures are drawn from a seed. A
//! program sees no difference but the one it should: the second is repeatable.
//!
//! Streams read and write by `futures-io`'s traits, which [`asupersync_io`] extends with calls that
//! take the context. [`TcpStream::into_split`] gives halves for two tasks.
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
//! * TCP only.
//! * What the virtual network leaves out is listed at [`VirtualNetwork`].

#![forbid(unsafe_code)]

mod address;
mod error;
mod resolve;
mod tcp;
mod virtual_network;

pub use address::ToAddress;
pub use error::NetError;
pub use resolve::{HostPort, Lookup, Resolve, ResolveCaps, SystemResolver, ToHostPort, resolve};
pub use std::net::Shutdown;
pub use tcp::{
    ConnectOptions, ListenOptions, OwnedReadHalf, OwnedWriteHalf, ReuniteError, TcpListener,
    TcpStream,
};
pub use virtual_network::{VirtualNetwork, VirtualOptions};
