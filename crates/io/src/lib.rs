//! Byte streams for structured concurrency.
//!
//! The traits are the field's own: [`AsyncRead`], [`AsyncWrite`], [`AsyncBufRead`] and [`AsyncSeek`]
//! are those of `futures-io`, re-exported, so every stream of this family works with every library
//! that speaks them, and the other way round. What this crate adds is the way to *wait* on them:
//! the extension traits take `cx: &TaskCx` first and go through the kernel's wait door, so a read
//! that waits can be cancelled, meets its deadline, and shows up in the inspector with its source
//! line. A foreign stream that knows nothing of us becomes cancellable by being read this way.
//!
//! | wanted | here |
//! |---|---|
//! | read, write, seek | [`AsyncReadExt`], [`AsyncWriteExt`], [`AsyncBufReadExt`], [`AsyncSeekExt`] |
//! | buffering | [`BufReader`], [`BufWriter`], [`LineWriter`] |
//! | moving bytes | [`copy`], [`copy_buf`], [`copy_bidirectional`] |
//! | one stream, two tasks | [`split`] into [`ReadHalf`] and [`WriteHalf`] |
//! | in memory | [`duplex`], [`pipe`], [`empty`], [`repeat`], [`sink`], [`Cursor`] |
//! | messages | [`Framed`], [`FramedRead`], [`FramedWrite`] with [`LengthDelimited`], [`LineCodec`], [`BytesCodec`] |
//!
//! This crate does not know sockets, files, clocks or hosts. It spawns nothing.
//!
//! # Example
//!
//! ```
//! use asupersync_core::TaskCx;
//! use asupersync_io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex};
//!
//! async fn hello(cx: &TaskCx) -> std::io::Result<Option<String>> {
//!     let (mut near, far) = duplex(64);
//!     near.write_all(cx, b"hello\n").await?;
//!     BufReader::new(far).lines(1024).next_line(cx).await
//! }
//! # let _ = hello;
//! ```
//!
//! # Cancel safety
//!
//! "Cancelled" means two things: the scope was cancelled and the call answers an `io::Error` that
//! carries [`Cancelled`](asupersync_core::Cancelled) (find it with
//! [`cancelled_in`](asupersync_core::cancelled_in)), or the future is dropped. For both:
//!
//! | call | a cancelled call |
//! |---|---|
//! | `read`, `read_vectored`, `fill_buf`, `peek` | loses nothing |
//! | `read_exact_resume`, `read_until`, `read_to_end` | loses nothing: what arrived is in the caller's buffer, call again |
//! | `Lines::next_line`, `Framed::next` | loses nothing: the partial item waits inside |
//! | `read_exact`, `read_line`, `read_to_string` | **loses** what it had taken; each names its keeping twin |
//! | `write`, `write_vectored` | writes all it will say it wrote, or nothing |
//! | `write_all_resume` | loses nothing: the caller's counter says how far it came |
//! | `write_all` | has written an unknown part |
//! | `flush`, `close`, `seek` | call again |
//! | `copy_buf` | loses nothing; `copy` loses what lies in its buffer (at most 8 KiB) |
//! | `Framed::ready`, `Framed::flush` | loses nothing; `Framed::send` says in its docs |
//!
//! # Limitations
//!
//! * Reading into uninitialised memory is not offered: the buffers are zeroed first.
//! * A stream remembers one reader and one writer at a time; two tasks that read the same stream by
//!   shared reference must take turns.

#![forbid(unsafe_code)]

mod buf_read;
mod buf_reader;
mod buf_writer;
mod chain;
mod copy;
mod cursor;
mod duplex;
mod error;
mod framed;
mod line_writer;
mod memory;
mod read;
mod seek;
mod split;
mod take;
mod waiter;
mod write;

pub use buf_read::{AsyncBufReadExt, Lines};
pub use buf_reader::BufReader;
pub use buf_writer::BufWriter;
pub use chain::Chain;
pub use copy::{copy, copy_bidirectional, copy_buf};
pub use cursor::Cursor;
pub use duplex::{DuplexStream, PipeReader, PipeWriter, duplex, pipe};
pub use error::LimitExceeded;
pub use framed::{
    BytesCodec, Decoder, Encoder, FrameError, Framed, FramedParts, FramedRead, FramedWrite,
    LengthDelimited, LineCodec,
};
pub use futures_io::{
    AsyncBufRead, AsyncRead, AsyncSeek, AsyncWrite, IoSlice, IoSliceMut, SeekFrom,
};
pub use line_writer::LineWriter;
pub use memory::{Empty, Repeat, Sink, empty, repeat, sink};
pub use read::AsyncReadExt;
pub use seek::AsyncSeekExt;
pub use split::{ReadHalf, UnsplitError, WriteHalf, split};
pub use take::Take;
pub use waiter::Waiter;
pub use write::AsyncWriteExt;

/// How many times a loop over an always ready stream goes round before it lets others run.
///
/// The loops of this crate poll a stream until it is pending. One that never is would hold its
/// thread and never look at its cancellation, so after this many rounds the loop wakes itself and
/// answers "pending".
pub(crate) const BURST: u32 = 64;

/// The size of a copy's and a buffered stream's buffer unless told otherwise, in bytes.
pub(crate) const DEFAULT_BUFFER: usize = 8 * 1024;
