//! Files and directories.
//!
//! On a machine each call runs on the blocking pool, as a child of the caller's region: a region closes
//! only when its calls have ended, and what they had opened is closed again if nobody took it. A call
//! that is cancelled before it has begun is taken back; once begun it is seen through, and its answer is
//! the call's. In the lab files are those of a [`VirtualFiles`]; each call is one step.

mod copy;
mod disk;
mod file;
mod options;
mod read_dir;
mod stream;
mod temp;
mod virtual_files;

pub use self::copy::copy;
pub use self::disk::{FileKind, HasFiles, Metadata};
pub use self::file::File;
pub use self::options::OpenOptions;
pub use self::read_dir::{DirEntry, ReadDir};
pub use self::stream::FileStream;
pub use self::temp::{TempDir, TempFile};
pub use self::virtual_files::VirtualFiles;

use self::disk::{Disk, run};
use asupersync_core::Cx;
use asupersync_core::cap::HasRandom;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};

/// A call with one path.
macro_rules! call {
    ($(#[$doc:meta])* $name:ident($label:literal) -> $answer:ty = |$disk:ident, $path:ident| $call:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// The system's, with the path. ASY-0004 inside when the host has no files. `Cancelled`.
        ///
        /// # Cancel safety
        /// A call that answers `Cancelled` was not carried out; one whose future is dropped may have been.
        #[track_caller]
        pub fn $name<C: HasFiles>(
            cx: &Cx<C>,
            path: impl Into<PathBuf>,
        ) -> impl Future<Output = io::Result<$answer>> + Send + '_ {
            let ($path, site) = (path.into(), Location::caller());
            async move {
                run(cx, $label, site, move |$disk| $call.map_err(|error| at(&$path, error))).await
            }
        }
    };
}

call! {
    /// What is known about the file, following symbolic links.
    metadata("fs::metadata") -> Metadata = |disk, path| disk.metadata(&path, true)
}
call! {
    /// What is known about the file; about a symbolic link itself where it is one.
    symlink_metadata("fs::symlink_metadata") -> Metadata = |disk, path| disk.metadata(&path, false)
}
call! {
    /// Makes a directory, whose parent must exist.
    create_dir("fs::create_dir") -> () = |disk, path| disk.create_dir(&path)
}
call! {
    /// Makes a directory and those above it that are missing.
    create_dir_all("fs::create_dir_all") -> () = |disk, path| create_all(disk, &path)
}
call! {
    /// Removes a file.
    remove_file("fs::remove_file") -> () = |disk, path| disk.remove_file(&path)
}
call! {
    /// Removes an empty directory.
    remove_dir("fs::remove_dir") -> () = |disk, path| disk.remove_dir(&path)
}
call! {
    /// Removes a directory and all that is in it. Symbolic links are removed, not followed.
    remove_dir_all("fs::remove_dir_all") -> () = |disk, path| disk.remove_dir_all(&path)
}
call! {
    /// Makes the names in a directory durable: what was created, renamed or removed there.
    sync_dir("fs::sync_dir") -> () = |disk, path| disk.sync_dir(&path)
}

/// Gives a file another name, in place of a file that has it. Within one file system.
///
/// # Errors
/// The system's, with the first path. ASY-0004 inside when the host has no files. `Cancelled`.
///
/// # Cancel safety
/// A call that answers `Cancelled` was not carried out; one whose future is dropped may have been.
/// A cancel request is answered within one poll, or when the system's call ends that has begun.
#[track_caller]
pub fn rename<C: HasFiles>(
    cx: &Cx<C>,
    from: impl Into<PathBuf>,
    to: impl Into<PathBuf>,
) -> impl Future<Output = io::Result<()>> + Send + '_ {
    let (from, to, site) = (from.into(), to.into(), Location::caller());
    async move {
        let rename =
            move |disk: &dyn Disk| disk.rename(&from, &to).map_err(|error| at(&from, error));
        run(cx, "fs::rename", site, rename).await
    }
}

/// The whole content of a file of at most `limit` bytes.
///
/// # Errors
/// The system's, with the path; [`LimitExceeded`](asupersync_io::LimitExceeded) inside for a longer
/// file. ASY-0004 inside when the host has no files. `Cancelled`.
///
/// # Cancel safety
/// Nothing has changed. A cancel request is answered within one poll, or when the system's call
/// ends that has begun.
#[track_caller]
pub fn read<C: HasFiles>(
    cx: &Cx<C>,
    path: impl Into<PathBuf>,
    limit: usize,
) -> impl Future<Output = io::Result<Vec<u8>>> + Send + '_ {
    let (path, site) = (path.into(), Location::caller());
    async move {
        let mut file = file::open(cx, path, OpenOptions::new().read(true), site).await?;
        let mut content = Vec::new();
        file.read_rest(cx, &mut content, limit, site).await?;
        Ok(content)
    }
}

/// As [`read`](read()), as text.
///
/// # Errors
/// As [`read`](read()); `InvalidData` for what is not UTF-8.
///
/// # Cancel safety
/// As [`read`](read()).
#[track_caller]
pub fn read_to_string<C: HasFiles>(
    cx: &Cx<C>,
    path: impl Into<PathBuf>,
    limit: usize,
) -> impl Future<Output = io::Result<String>> + Send + '_ {
    let reading = read(cx, path, limit);
    async move {
        let content = reading.await?;
        String::from_utf8(content)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}

/// Writes a file anew, making it if it is not there. A reader may see it half written, and so may the
/// next start after a crash: see [`replace`].
///
/// # Errors
/// The system's, with the path. ASY-0004 inside when the host has no files. `Cancelled`.
///
/// # Cancel safety
/// A cancelled call has written an unknown part. A cancel request is answered within one poll, or
/// when the system's call ends that has begun.
#[track_caller]
pub fn write<C: HasFiles>(
    cx: &Cx<C>,
    path: impl Into<PathBuf>,
    content: impl Into<Vec<u8>>,
) -> impl Future<Output = io::Result<()>> + Send + '_ {
    let (path, content, site) = (path.into(), content.into(), Location::caller());
    async move {
        let options = OpenOptions::new().write(true).create(true).truncate(true);
        let mut file = file::open(cx, path, options, site).await?;
        file.write_whole(cx, &content, site).await
    }
}

/// Replaces a file's content as a whole: who looks, also after a crash at any moment, finds the old
/// content or the new one. The content goes to a temporary file beside it, is made durable, takes the
/// name, and the name is made durable. The permissions of a file that is replaced are kept; a new file
/// may be read by its owner only. A symbolic link is replaced itself, not what it points to.
///
/// # Errors
/// The system's, with the path. ASY-0004 inside when the host has no files. `Cancelled`.
///
/// # Cancel safety
/// A cancelled call has replaced the file or not, and leaves no temporary file. A cancel request is
/// answered within one poll, or when the system's call ends that has begun.
pub async fn replace<C: HasFiles + HasRandom>(
    cx: &Cx<C>,
    path: impl Into<PathBuf>,
    content: impl AsRef<[u8]>,
) -> io::Result<()> {
    let path = path.into();
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    let mode = match metadata(cx, &path).await {
        Ok(known) => Some(known.mode),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let mut temp = TempFile::new_in(cx, &folder).await?;
    temp.file_mut().write_all(cx, content.as_ref()).await?;
    if let Some(mode) = mode {
        temp.file_mut().set_mode(cx, mode).await?;
    }
    temp.file_mut().sync_all(cx).await?;
    temp.persist(cx, path).await?;
    sync_dir(cx, folder).await
}

/// Whether there is something at a path; a symbolic link to nothing is nothing.
///
/// # Errors
/// The system's, when it cannot tell. ASY-0004 inside when the host has no files. `Cancelled`.
///
/// # Cancel safety
/// Nothing has changed. A cancel request is answered within one poll, or when the system's call
/// ends that has begun.
pub async fn exists<C: HasFiles>(cx: &Cx<C>, path: impl Into<PathBuf>) -> io::Result<bool> {
    match metadata(cx, path).await {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn create_all(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    // The parent of a name alone, and so the directory we are in.
    if path.as_os_str().is_empty() {
        return Ok(());
    }
    let is_missing = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
    let mut made = disk.create_dir(path);
    if made.as_ref().is_err_and(is_missing) {
        let Some(parent) = path.parent() else { return made };
        create_all(disk, parent)?;
        made = disk.create_dir(path);
    }
    made.or_else(|error| match disk.metadata(path, true) {
        // It was there already, or somebody else has just made it.
        Ok(known) if known.kind == FileKind::Directory => Ok(()),
        _ => Err(error),
    })
}

/// A file operation that failed, with its path.
#[derive(Debug)]
struct FileError {
    path: PathBuf,
    source: io::Error,
}

impl std::fmt::Display for FileError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path.display(), self.source)
    }
}

impl std::error::Error for FileError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

fn at(path: &Path, source: io::Error) -> io::Error {
    io::Error::new(source.kind(), FileError { path: path.to_owned(), source })
}
