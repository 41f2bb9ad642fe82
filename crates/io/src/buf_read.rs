//! Reading up to a delimiter.

use crate::BURST;
use crate::error::LimitExceeded;
use crate::read::invalid_utf8;
use asupersync_core::TaskCx;
use futures_core::Stream;
use futures_io::AsyncBufRead;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// Reading from any [`AsyncBufRead`] through the wait door.
pub trait AsyncBufReadExt: AsyncBufRead {
    /// Waits until the buffer holds something and answers how much; 0 is the end of the stream.
    /// Nothing is taken until [`consume`](AsyncBufRead::consume).
    ///
    /// # Cancel safety
    /// A cancelled call has taken nothing.
    #[track_caller]
    fn fill_buf<'a>(&'a mut self, cx: &'a TaskCx) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::fill_buf", site, |context| {
                Pin::new(&mut *self).poll_fill_buf(context).map_ok(<[u8]>::len)
            })
            .await?
        }
    }

    /// Appends to `bytes` up to and including `delimiter`, or to the end of the stream. Answers how
    /// many bytes this call appended.
    ///
    /// # Errors
    /// [`LimitExceeded`] when `bytes` would hold more than `limit` bytes and there is no delimiter
    /// among them.
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing: what it took is in `bytes`; call again with the same vector.
    #[track_caller]
    fn read_until<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        delimiter: u8,
        bytes: &'a mut Vec<u8>,
        limit: usize,
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let start = bytes.len();
            cx.wait_at("io::read_until", site, |context| {
                poll_until(Pin::new(&mut *self), context, delimiter, bytes, limit)
            })
            .await??;
            Ok(bytes.len() - start)
        }
    }

    /// Appends a line, its line feed included, of at most `limit` bytes; 0 is the end of the stream.
    ///
    /// # Errors
    /// `InvalidData` when the line is not UTF-8, [`LimitExceeded`] when it is longer than `limit`.
    ///
    /// # Cancel safety
    /// A cancelled call **loses** the part of the line it had taken (`line` is what it was).
    /// [`lines`](Self::lines) and [`read_until`](Self::read_until) do not.
    #[track_caller]
    fn read_line<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        line: &'a mut String,
        limit: usize,
    ) -> impl Future<Output = io::Result<usize>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            let mut bytes = Vec::new();
            cx.wait_at("io::read_line", site, |context| {
                poll_until(Pin::new(&mut *self), context, b'\n', &mut bytes, limit)
            })
            .await??;
            line.push_str(std::str::from_utf8(&bytes).map_err(invalid_utf8)?);
            Ok(bytes.len())
        }
    }

    /// The lines of this reader, each of at most `limit` bytes with its line ending.
    fn lines(self, limit: usize) -> Lines<Self>
    where
        Self: Sized,
    {
        Lines { reader: self, partial: Vec::new(), limit }
    }
}

impl<R: AsyncBufRead + ?Sized> AsyncBufReadExt for R {}

/// Lines without their endings (`\n` or `\r\n`); made by [`AsyncBufReadExt::lines`].
///
/// Also a `Stream`, for those who do not wait through a context.
///
/// # Cancel safety
/// The part of a line that has arrived waits in here.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    partial: Vec<u8>,
    limit: usize,
}

impl<R> Lines<R> {
    /// The reader; the part of a line that was already taken from it comes along.
    pub fn into_parts(self) -> (R, Vec<u8>) {
        (self.reader, self.partial)
    }
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    /// The next line; none at the end of the stream.
    ///
    /// # Errors
    /// `InvalidData` when the line is not UTF-8 (it is skipped), [`LimitExceeded`] when it is too long
    /// (what arrived of it stays, so every later call answers the same).
    ///
    /// # Cancel safety
    /// A cancelled call loses nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn next_line<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = io::Result<Option<String>>> + use<'a, R> {
        let site = Location::caller();
        async move {
            cx.wait_at("io::next_line", site, |context| self.poll_next_line(context))
                .await?
                .transpose()
        }
    }

    fn poll_next_line(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<String>>> {
        let reader = Pin::new(&mut self.reader);
        if let Err(error) =
            ready!(poll_until(reader, context, b'\n', &mut self.partial, self.limit))
        {
            return Poll::Ready(Some(Err(error)));
        }
        let mut line = std::mem::take(&mut self.partial);
        if line.is_empty() {
            return Poll::Ready(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
        }
        Poll::Ready(Some(String::from_utf8(line).map_err(|error| invalid_utf8(error.utf8_error()))))
    }
}

impl<R: AsyncBufRead + Unpin> Stream for Lines<R> {
    type Item = io::Result<String>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.get_mut().poll_next_line(context)
    }
}

fn poll_until<R: AsyncBufRead + ?Sized>(
    mut reader: Pin<&mut R>,
    context: &mut Context<'_>,
    delimiter: u8,
    bytes: &mut Vec<u8>,
    limit: usize,
) -> Poll<io::Result<()>> {
    for _ in 0..BURST {
        let available = match ready!(reader.as_mut().poll_fill_buf(context)) {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if available.is_empty() {
            return Poll::Ready(Ok(()));
        }
        let room = limit.saturating_sub(bytes.len());
        let within = &available[..available.len().min(room)];
        let (taken, found) = match memchr::memchr(delimiter, within) {
            Some(index) => (index + 1, true),
            None => (within.len(), false),
        };
        bytes.extend_from_slice(&within[..taken]);
        let full = taken < available.len() && !found;
        reader.as_mut().consume(taken);
        if found {
            return Poll::Ready(Ok(()));
        }
        if full {
            let exceeded = LimitExceeded { what: "the text before the delimiter", limit };
            return Poll::Ready(Err(exceeded.into()));
        }
    }
    context.waker().wake_by_ref();
    Poll::Pending
}
