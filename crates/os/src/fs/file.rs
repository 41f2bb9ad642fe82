//! An open file.

use super::disk::{Handle, run, run_on};
use super::{FileStream, HasFiles, Metadata, OpenOptions, at};
use crate::blocking::Wanted;
use asupersync_core::Cx;
use asupersync_io::{LimitExceeded, SeekFrom};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An open file, with a position of its own. For plain files; pipes, terminals and devices are for
/// [`AsyncFd`](crate::AsyncFd).
///
/// Calls read and write *at the position*, which moves when their answer is taken. So a read that is
/// dropped has taken nothing, and a write that is tried again after being dropped writes the same bytes to
/// the same place. (A file opened for appending is the exception: a dropped write may have appended.)
///
/// For code that wants a stream there is [`stream`](Self::stream).
#[derive(Debug)]
pub struct File {
    pub(super) handle: Arc<Handle>,
    pub(super) path: Arc<Path>,
    pub(super) position: u64,
}

/// The most bytes that one call moves.
pub(super) const MOST: usize = 1 << 20;

impl File {
    /// Opens a file for reading.
    ///
    /// # Errors
    /// The system's, with the path. ASY-0004 inside when the host has no files. `Cancelled`.
    ///
    /// # Cancel safety
    /// A file that nobody waits for any more is closed. A cancel request is answered within one
    /// poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn open<C: HasFiles>(
        cx: &Cx<C>,
        path: impl Into<PathBuf>,
    ) -> impl Future<Output = io::Result<File>> + Send + '_ {
        open(cx, path.into(), OpenOptions::new().read(true), Location::caller())
    }

    /// Opens a file for writing, empty, making it if it is not there.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    /// A call whose future is dropped may have made or emptied the file. A cancel request is
    /// answered within one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn create<C: HasFiles>(
        cx: &Cx<C>,
        path: impl Into<PathBuf>,
    ) -> impl Future<Output = io::Result<File>> + Send + '_ {
        let options = OpenOptions::new().write(true).create(true).truncate(true);
        open(cx, path.into(), options, Location::caller())
    }

    /// Opens a file as the options say.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    /// A call whose future is dropped may have made or emptied the file, if the options say so. A
    /// cancel request is answered within one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn open_with<C: HasFiles>(
        cx: &Cx<C>,
        path: impl Into<PathBuf>,
        options: OpenOptions,
    ) -> impl Future<Output = io::Result<File>> + Send + '_ {
        open(cx, path.into(), options, Location::caller())
    }

    /// Reads some bytes at the position; 0 at the end.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has taken nothing. A cancel request is answered within one poll, or when
    /// the system's call ends that has begun.
    #[track_caller]
    pub fn read<'a, C: HasFiles>(
        &'a mut self,
        cx: &'a Cx<C>,
        buf: &'a mut [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let site = Location::caller();
        async move {
            let bytes = self.bytes_at(cx, buf.len(), self.position, site).await?;
            buf[..bytes.len()].copy_from_slice(&bytes);
            self.position += bytes.len() as u64;
            Ok(bytes.len())
        }
    }

    /// Reads some bytes at `offset`; 0 at the end. The position stays.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has taken nothing. A cancel request is answered within one poll, or when
    /// the system's call ends that has begun.
    #[track_caller]
    pub fn read_at<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
        buf: &'a mut [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let site = Location::caller();
        async move {
            let bytes = self.bytes_at(cx, buf.len(), offset, site).await?;
            buf[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }
    }

    async fn bytes_at<C: HasFiles>(
        &self,
        cx: &Cx<C>,
        wanted: usize,
        offset: u64,
        site: &'static Location<'static>,
    ) -> io::Result<Vec<u8>> {
        let read = move |file: &Handle, _: Wanted<'_>| {
            let mut bytes = vec![0; wanted.min(MOST)];
            let n = file.read_at(&mut bytes, offset)?;
            bytes.truncate(n);
            Ok(bytes)
        };
        self.call(cx, "File::read", site, read).await
    }

    /// Reads to the end of the file and appends to `content`: at most `limit` bytes.
    ///
    /// # Errors
    /// [`LimitExceeded`] inside when there is more, the system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// What was read is in `content`, and the position behind it: call again. A cancel request is
    /// answered within one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn read_to_end<'a, C: HasFiles>(
        &'a mut self,
        cx: &'a Cx<C>,
        content: &'a mut Vec<u8>,
        limit: usize,
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        self.read_rest(cx, content, limit, Location::caller())
    }

    pub(super) async fn read_rest<C: HasFiles>(
        &mut self,
        cx: &Cx<C>,
        content: &mut Vec<u8>,
        limit: usize,
        site: &'static Location<'static>,
    ) -> io::Result<usize> {
        let (before, mut room) = (content.len(), limit);
        let mut step = 64 * 1024;
        loop {
            // One byte more than there is room for shows that there is more.
            let wanted = step.min(room.saturating_add(1));
            let bytes = self.bytes_at(cx, wanted, self.position, site).await?;
            if bytes.is_empty() {
                return Ok(content.len() - before);
            }
            if bytes.len() > room {
                return Err(LimitExceeded::new("read_to_end", limit).into());
            }
            room -= bytes.len();
            content.extend_from_slice(&bytes);
            self.position += bytes.len() as u64;
            step = (step * 2).min(MOST);
        }
    }

    /// Writes some bytes at the position, or at the end for a file opened to append. Answers how many; the
    /// position moves by so many, which for such a file is not its end.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A call that answers `Cancelled` has written nothing. One whose future is dropped may have;
    /// tried again, it writes the same to the same place. A cancel request is answered within one
    /// poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn write<'a, C: HasFiles>(
        &'a mut self,
        cx: &'a Cx<C>,
        bytes: &'a [u8],
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        let site = Location::caller();
        async move { self.write_from(cx, bytes, site).await }
    }

    async fn write_from<C: HasFiles>(
        &mut self,
        cx: &Cx<C>,
        bytes: &[u8],
        site: &'static Location<'static>,
    ) -> io::Result<usize> {
        let n = self.put_at(cx, bytes, self.position, site).await?;
        self.position += n as u64;
        Ok(n)
    }

    async fn put_at<C: HasFiles>(
        &self,
        cx: &Cx<C>,
        bytes: &[u8],
        offset: u64,
        site: &'static Location<'static>,
    ) -> io::Result<usize> {
        let bytes = bytes[..bytes.len().min(MOST)].to_vec();
        let write = move |file: &Handle, wanted: Wanted<'_>| file.write_at(&bytes, offset, wanted);
        self.call(cx, "File::write", site, write).await
    }

    /// Writes some bytes at `offset`. The position stays.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// As [`write`](Self::write).
    #[track_caller]
    pub fn write_at<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
        bytes: &'a [u8],
        offset: u64,
    ) -> impl Future<Output = io::Result<usize>> + Send + 'a {
        self.put_at(cx, bytes, offset, Location::caller())
    }

    /// Writes all bytes.
    ///
    /// # Errors
    /// As [`write`](Self::write); `WriteZero` when the file takes no more.
    ///
    /// # Cancel safety
    /// A cancelled call has written an unknown part, up to the position and perhaps beyond. A
    /// cancel request is answered within one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn write_all<'a, C: HasFiles>(
        &'a mut self,
        cx: &'a Cx<C>,
        bytes: &'a [u8],
    ) -> impl Future<Output = io::Result<()>> + Send + 'a {
        self.write_whole(cx, bytes, Location::caller())
    }

    pub(super) async fn write_whole<C: HasFiles>(
        &mut self,
        cx: &Cx<C>,
        bytes: &[u8],
        site: &'static Location<'static>,
    ) -> io::Result<()> {
        let mut written = 0;
        while written < bytes.len() {
            match self.write_from(cx, &bytes[written..], site).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                n => written += n,
            }
        }
        Ok(())
    }

    /// Moves the position, and answers it. Beyond the end is allowed.
    ///
    /// # Errors
    /// `InvalidInput` before the beginning, the system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has not moved it. A cancel request is answered within one poll, or when the
    /// system's call ends that has begun.
    #[track_caller]
    pub fn seek<'a, C: HasFiles>(
        &'a mut self,
        cx: &'a Cx<C>,
        to: SeekFrom,
    ) -> impl Future<Output = io::Result<u64>> + Send + 'a {
        let site = Location::caller();
        async move {
            let position = match to {
                SeekFrom::Start(position) => Some(position),
                SeekFrom::Current(by) => self.position.checked_add_signed(by),
                SeekFrom::End(by) => self.known(cx, site).await?.len.checked_add_signed(by),
            };
            let before = || io::Error::new(io::ErrorKind::InvalidInput, "no position in a file");
            self.position = position.ok_or_else(before)?;
            Ok(self.position)
        }
    }

    /// The position.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// The path it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Cuts the file, or fills it with zeros, to a length.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A call that answers `Cancelled` was not carried out; one whose future is dropped may have
    /// been. A cancel request is answered within one poll, or when the system's call ends that has
    /// begun.
    #[track_caller]
    pub fn set_len<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
        len: u64,
    ) -> impl Future<Output = io::Result<()>> + Send + 'a {
        let set = move |file: &Handle, wanted: Wanted<'_>| file.set_len(len, wanted);
        self.call(cx, "File::set_len", Location::caller(), set)
    }

    /// Sets the permissions, as `chmod` has them.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A call that answers `Cancelled` was not carried out; one whose future is dropped may have
    /// been. A cancel request is answered within one poll, or when the system's call ends that has
    /// begun.
    #[track_caller]
    pub fn set_mode<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
        mode: u32,
    ) -> impl Future<Output = io::Result<()>> + Send + 'a {
        self.call(cx, "File::set_mode", Location::caller(), move |file, _| file.set_mode(mode))
    }

    /// Makes the content and what is known about the file durable (`fsync`).
    ///
    /// # Errors
    /// The system's, with the path; what was written since the last success may then be lost. `Cancelled`.
    ///
    /// # Cancel safety
    /// A call that answers `Cancelled` was not carried out; one whose future is dropped may have
    /// been. A cancel request is answered within one poll, or when the system's call ends that has
    /// begun.
    #[track_caller]
    pub fn sync_all<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'a {
        self.call(cx, "File::sync_all", Location::caller(), |file, _| file.sync(true))
    }

    /// Makes the content durable (`fdatasync`).
    ///
    /// # Errors
    /// As [`sync_all`](Self::sync_all).
    ///
    /// # Cancel safety
    /// A call that answers `Cancelled` was not carried out; one whose future is dropped may have
    /// been. A cancel request is answered within one poll, or when the system's call ends that has
    /// begun.
    #[track_caller]
    pub fn sync_data<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = io::Result<()>> + Send + 'a {
        self.call(cx, "File::sync_data", Location::caller(), |file, _| file.sync(false))
    }

    /// What is known about the file.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// Nothing has changed. A cancel request is answered within one poll, or when the system's call
    /// ends that has begun.
    #[track_caller]
    pub fn metadata<'a, C: HasFiles>(
        &'a self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = io::Result<Metadata>> + Send + 'a {
        self.known(cx, Location::caller())
    }

    pub(super) async fn known<C: HasFiles>(
        &self,
        cx: &Cx<C>,
        site: &'static Location<'static>,
    ) -> io::Result<Metadata> {
        self.call(cx, "File::metadata", site, |file, _| file.metadata()).await
    }

    /// The file as a stream at its position, by `futures-io`'s traits: for `copy`, buffers, codecs.
    pub fn stream<'a, C: HasFiles>(&'a mut self, cx: &'a Cx<C>) -> FileStream<'a, C> {
        FileStream::new(cx, self)
    }

    async fn call<C: HasFiles, T: Send + 'static>(
        &self,
        cx: &Cx<C>,
        label: &'static str,
        site: &'static Location<'static>,
        call: impl FnOnce(&Handle, Wanted<'_>) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let path = Arc::clone(&self.path);
        let call = move |file: &Handle, wanted: Wanted<'_>| {
            call(file, wanted).map_err(|error| at(&path, error))
        };
        run_on(cx, &self.handle, label, site, call).await
    }
}

pub(super) async fn open<C: HasFiles>(
    cx: &Cx<C>,
    path: PathBuf,
    options: OpenOptions,
    site: &'static Location<'static>,
) -> io::Result<File> {
    let path: Arc<Path> = path.into();
    let of = Arc::clone(&path);
    let open = move |disk: &dyn super::disk::Disk| {
        disk.open(&of, &options).map_err(|error| at(&of, error))
    };
    let handle = run(cx, "File::open", site, open).await?;
    Ok(File { handle: Arc::new(handle), path, position: 0 })
}
