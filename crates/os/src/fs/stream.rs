//! A file as a stream.

use super::File;
use super::HasFiles;
use super::disk::Handle;
use super::file::MOST;
use crate::blocking::{Call, Wanted};
use asupersync_core::Cx;
use asupersync_io::{AsyncRead, AsyncSeek, AsyncWrite, SeekFrom};
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A [`File`] as a stream at its position; made by [`File::stream`]. Its calls on the blocking pool are
/// children of the region of the context it was made with.
///
/// # Cancel safety
/// As the file's own: a read whose bytes were not handed out has not moved the position. Bytes that a
/// cancelled write took may be in the file; written again, they go to the same place, and so do others that
/// are written instead. (A file opened for appending is the exception: they may have been appended.)
pub struct FileStream<'a, C> {
    cx: &'a Cx<C>,
    file: &'a mut File,
    call: Option<Under>,
}

/// The call under way, or its answer, and the position it is for.
enum Under {
    Reading(Call<Vec<u8>>, u64),
    Read(Vec<u8>, u64),
    /// These bytes, to there.
    Writing(Call<usize>, Arc<[u8]>, u64),
    Syncing(Call<()>),
    Measuring(Call<u64>),
}

impl<'a, C: HasFiles> FileStream<'a, C> {
    pub(super) fn new(cx: &'a Cx<C>, file: &'a mut File) -> FileStream<'a, C> {
        FileStream { cx, file, call: None }
    }

    fn start<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Handle) -> io::Result<T> + Send + 'static,
    ) -> Call<T> {
        let handle = Arc::clone(&self.file.handle);
        Call::start(self.cx, move || call(&handle))
    }

    /// Sees a write through that nobody asks for any more: what comes next finds it done, and not undone by it.
    fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if let Some(Under::Writing(call, ..)) = &mut self.call {
            let _: io::Result<usize> = ready!(call.poll(context));
            self.call = None;
        }
        Poll::Ready(())
    }
}

impl<C: HasFiles> AsyncRead for FileStream<'_, C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let offset = this.file.position;
        if let Handle::Virtual(file) = &*this.file.handle {
            let n = file.read_at(buf, offset)?;
            this.file.position += n as u64;
            return Poll::Ready(Ok(n));
        }
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(this.poll_written(context));
        loop {
            match &mut this.call {
                Some(Under::Read(bytes, of)) if *of == offset => {
                    let n = bytes.len().min(buf.len());
                    buf[..n].copy_from_slice(&bytes[..n]);
                    bytes.drain(..n);
                    *of += n as u64;
                    this.file.position += n as u64;
                    if bytes.is_empty() {
                        this.call = None;
                    }
                    return Poll::Ready(Ok(n));
                }
                Some(Under::Reading(call, of)) if *of == offset => {
                    let bytes = ready!(call.poll(context));
                    this.call = None;
                    this.call = Some(Under::Read(bytes?, offset));
                }
                // What was under way is of no use any more: another direction, another place.
                _ => {
                    let wanted = buf.len().min(MOST);
                    let read = move |file: &Handle| {
                        let mut bytes = vec![0; wanted];
                        let n = file.read_at(&mut bytes, offset)?;
                        bytes.truncate(n);
                        Ok(bytes)
                    };
                    this.call = Some(Under::Reading(this.start(read), offset));
                }
            }
        }
    }
}

impl<C: HasFiles> AsyncWrite for FileStream<'_, C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let offset = this.file.position;
        if let Handle::Virtual(file) = &*this.file.handle {
            let n = file.write_at(bytes, offset)?;
            this.file.position += n as u64;
            return Poll::Ready(Ok(n));
        }
        loop {
            if let Some(Under::Writing(call, taken, to)) = &mut this.call {
                let written = ready!(call.poll(context));
                // The traits' callers offer the same bytes again until they are taken. Not so one that has
                // given up, and now writes something else.
                let common = taken.len().min(bytes.len());
                let is_this = *to == offset && taken[..common] == bytes[..common];
                this.call = None;
                if is_this {
                    let n = written?.min(common);
                    this.file.position += n as u64;
                    return Poll::Ready(Ok(n));
                }
            }
            let taken: Arc<[u8]> = bytes[..bytes.len().min(MOST)].into();
            let writes = Arc::clone(&taken);
            let handle = Arc::clone(&this.file.handle);
            let write = move |wanted: Wanted<'_>| handle.write_at(&writes, offset, wanted);
            let call = Call::start_while_wanted(this.cx, write);
            this.call = Some(Under::Writing(call, taken, offset));
        }
    }

    /// There is nothing to flush: what was written is the system's. See [`File::sync_all`].
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Makes the content durable.
    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if let Handle::Virtual(file) = &*this.file.handle {
            return Poll::Ready(file.sync());
        }
        ready!(this.poll_written(context));
        loop {
            if let Some(Under::Syncing(call)) = &mut this.call {
                let synced = ready!(call.poll(context));
                this.call = None;
                return Poll::Ready(synced);
            }
            this.call = Some(Under::Syncing(this.start(|file| file.sync(false))));
        }
    }
}

impl<C: HasFiles> AsyncSeek for FileStream<'_, C> {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        to: SeekFrom,
    ) -> Poll<io::Result<u64>> {
        let this = &mut *self;
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::Current(by) => this.file.position.checked_add_signed(by),
            SeekFrom::End(by) => {
                let len = loop {
                    if let Handle::Virtual(file) = &*this.file.handle {
                        break file.metadata().len;
                    }
                    ready!(this.poll_written(context));
                    if let Some(Under::Measuring(call)) = &mut this.call {
                        let len = ready!(call.poll(context));
                        this.call = None;
                        break len?;
                    }
                    let measure = |file: &Handle| Ok(file.metadata()?.len);
                    this.call = Some(Under::Measuring(this.start(measure)));
                };
                len.checked_add_signed(by)
            }
        };
        let before = || io::Error::new(io::ErrorKind::InvalidInput, "no position in a file");
        this.file.position = position.ok_or_else(before)?;
        Poll::Ready(Ok(this.file.position))
    }
}

impl<C> fmt::Debug for FileStream<'_, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileStream").field("file", &self.file).finish_non_exhaustive()
    }
}
