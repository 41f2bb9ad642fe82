//! One stream, two owners.

use crate::Waiter;
use asupersync_core::primitive::{Arc, Mutex};
use asupersync_core::{Error, ErrorKind, ExclusiveCell, Object, WakeList};
use futures_io::{AsyncRead, AsyncWrite, IoSlice, IoSliceMut};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

/// Splits a stream into two halves that different tasks may own. Dropping the write half does not close
/// the stream while the read half lives: `close` it.
///
/// The halves take turns: each claims the stream for the length of one poll, and one that finds it
/// claimed waits to be woken, it does not spin. Streams that can read and write through a shared
/// reference (TCP's) have an `into_split` of their own that needs no turns.
///
/// # Cancel safety
/// That of the stream itself.
pub fn split<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> (ReadHalf<S>, WriteHalf<S>) {
    let shared = Arc::new(Shared {
        object: Object::new("split stream"),
        stream: ExclusiveCell::new(stream),
        turn: Mutex::new([Waiter::new(), Waiter::new()]),
    });
    (ReadHalf { shared: shared.clone() }, WriteHalf { shared })
}

struct Shared<S> {
    object: Object,
    stream: ExclusiveCell<S>,
    /// Whom to wake when the claim ends: the reader at `READ`, the writer at `WRITE`.
    turn: Mutex<[Waiter; 2]>,
}

const READ: usize = 0;
const WRITE: usize = 1;

impl<S: Unpin> Shared<S> {
    fn poll<T>(
        &self,
        half: usize,
        context: &mut Context<'_>,
        operation: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        self.object.write();
        let claim = match self.stream.try_claim() {
            Some(claim) => claim,
            None => {
                self.park(half, context);
                // Whoever releases looks at `turn` afterwards, under its lock: either it sees the
                // waker just parked, or its release came first and this claim succeeds.
                match self.stream.try_claim() {
                    Some(claim) => claim,
                    None => return Poll::Pending,
                }
            }
        };
        // Locals drop in reverse: first the claim ends, then the turn passes, even if a poll panics.
        let _turn = PassTurn { turn: &self.turn, to: 1 - half };
        let mut claim = claim;
        operation(Pin::new(&mut *claim), context)
    }

    fn park(&self, half: usize, context: &Context<'_>) {
        let mut spare = None;
        loop {
            let mut turn = self.turn.lock();
            if turn[half].park(context, &mut spare) {
                return;
            }
            drop(turn);
            spare = Some(context.waker().clone());
        }
    }
}

struct PassTurn<'a> {
    turn: &'a Mutex<[Waiter; 2]>,
    to: usize,
}

impl Drop for PassTurn<'_> {
    fn drop(&mut self) {
        let waker = self.turn.lock()[self.to].take();
        if let Some(waker) = waker {
            WakeList::wake_one(waker);
        }
    }
}

/// The reading half of a [`split`] stream.
pub struct ReadHalf<S> {
    shared: Arc<Shared<S>>,
}

/// The writing half of a [`split`] stream.
pub struct WriteHalf<S> {
    shared: Arc<Shared<S>>,
}

impl<S: Unpin> ReadHalf<S> {
    /// Whether `write` is the other half of the same stream.
    #[must_use]
    pub fn is_pair_of(&self, write: &WriteHalf<S>) -> bool {
        Arc::ptr_eq(&self.shared, &write.shared)
    }

    /// Puts the stream together again.
    ///
    /// # Errors
    /// When the halves are of different streams; both are handed back.
    pub fn unsplit(self, write: WriteHalf<S>) -> Result<S, UnsplitError<S>> {
        if !self.is_pair_of(&write) {
            return Err(UnsplitError { read: self, write });
        }
        drop(write);
        match Arc::try_unwrap(self.shared) {
            Ok(shared) => Ok(shared.stream.into_inner()),
            Err(_) => unreachable!("a split stream has two halves, and both are here"),
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ReadHalf<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll(READ, context, |stream, context| stream.poll_read(context, buf))
    }

    fn poll_read_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &mut [IoSliceMut<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll(READ, context, |stream, context| stream.poll_read_vectored(context, bufs))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WriteHalf<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.shared.poll(WRITE, context, |stream, context| stream.poll_write(context, buf))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.shared
            .poll(WRITE, context, |stream, context| stream.poll_write_vectored(context, bufs))
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll(WRITE, context, |stream, context| stream.poll_flush(context))
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.shared.poll(WRITE, context, |stream, context| stream.poll_close(context))
    }
}

impl<S> fmt::Debug for ReadHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHalf").finish_non_exhaustive()
    }
}

impl<S> fmt::Debug for WriteHalf<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteHalf").finish_non_exhaustive()
    }
}

/// Two halves that do not belong together, handed back.
#[derive(Debug)]
pub struct UnsplitError<S> {
    /// The reading half.
    pub read: ReadHalf<S>,
    /// The writing half, of another stream.
    pub write: WriteHalf<S>,
}

impl<S> fmt::Display for UnsplitError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these halves are of different streams; put each with its own other half")
    }
}

impl<S: fmt::Debug> std::error::Error for UnsplitError<S> {}

/// The halves are dropped.
impl<S> From<UnsplitError<S>> for Error {
    #[track_caller]
    fn from(error: UnsplitError<S>) -> Error {
        Error::new(ErrorKind::InvalidInput, error.to_string())
    }
}
