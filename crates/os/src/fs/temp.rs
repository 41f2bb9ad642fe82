//! Files and directories that go when their owner goes.

use super::disk::{Disk, Files, Handle, run};
use super::{File, FileKind, HasFiles, OpenOptions, at, rename};
use asupersync_core::Cx;
use asupersync_core::cap::HasRandom;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is removed when dropped.
#[derive(Debug)]
struct Removed {
    files: Files,
    path: PathBuf,
    kind: FileKind,
    armed: bool,
}

impl Drop for Removed {
    fn drop(&mut self) {
        if self.armed {
            // There is nobody to tell, and it may be gone already.
            let _ = self.files.now(|disk| match self.kind {
                FileKind::Directory => disk.remove_dir_all(&self.path),
                _ => disk.remove_file(&self.path),
            });
        }
    }
}

/// A file with a name nobody else has, removed when this is dropped: at the latest when the region ends
/// whose task holds it. Only its owner may read it.
#[derive(Debug)]
pub struct TempFile {
    file: File,
    removed: Removed,
}

/// A directory with a name nobody else has, removed with all that is in it when this is dropped. Dropping
/// it blocks the thread for that long; [`close`](Self::close) does not.
#[derive(Debug)]
pub struct TempDir {
    removed: Removed,
}

/// A name that is taken is tried again with another, so many times.
const TRIES: usize = 32;

fn names<C: HasRandom>(cx: &Cx<C>) -> Vec<String> {
    (0..TRIES).map(|_| format!(".asupersync-{:016x}", cx.random_u64())).collect()
}

/// Does `make` with one name after the other until one is free.
fn first_free<T>(
    folder: &Path,
    names: Vec<String>,
    mut make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(PathBuf, T)> {
    let mut last = io::ErrorKind::AlreadyExists.into();
    for name in names {
        let path = folder.join(name);
        match make(&path) {
            Ok(made) => return Ok((path, made)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => last = error,
            Err(error) => return Err(at(folder, error)),
        }
    }
    Err(at(folder, last))
}

impl TempFile {
    /// Makes one in the system's folder for such files.
    ///
    /// # Errors
    /// The system's, with the folder. ASY-0004 inside when the host has no files. `Cancelled`.
    ///
    /// # Cancel safety
    /// A file that nobody waits for any more is removed. A cancel request is answered within one
    /// poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn new<C: HasFiles + HasRandom>(
        cx: &Cx<C>,
    ) -> impl Future<Output = io::Result<TempFile>> + Send + '_ {
        make_file(cx, None, Location::caller())
    }

    /// Makes one in a folder.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Cancel safety
    /// A file that nobody waits for any more is removed. A cancel request is answered within one
    /// poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn new_in<C: HasFiles + HasRandom>(
        cx: &Cx<C>,
        folder: impl Into<PathBuf>,
    ) -> impl Future<Output = io::Result<TempFile>> + Send + '_ {
        make_file(cx, Some(folder.into()), Location::caller())
    }

    /// The file, open for reading and writing.
    #[must_use]
    pub fn file_mut(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.removed.path
    }

    /// Gives it a name to stay under, in place of a file that has it, within the same file system.
    ///
    /// # Errors
    /// The system's; the file is removed then. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has given it the name, or the file is removed. A cancel request is answered
    /// within one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn persist<C: HasFiles>(
        self,
        cx: &Cx<C>,
        path: impl Into<PathBuf>,
    ) -> impl Future<Output = io::Result<File>> + Send + '_ {
        let to = path.into();
        let renaming = rename(cx, self.removed.path.clone(), to.clone());
        async move {
            let TempFile { mut file, mut removed } = self;
            // If this is cancelled while the call is carried out, removing finds nothing under the old
            // name: nobody else takes it.
            renaming.await?;
            removed.armed = false;
            file.path = to.into();
            Ok(file)
        }
    }
}

impl TempDir {
    /// Makes one in the system's folder for such directories.
    ///
    /// # Errors
    /// The system's, with the folder. ASY-0004 inside when the host has no files. `Cancelled`.
    ///
    /// # Cancel safety
    /// A directory that nobody waits for any more is removed. A cancel request is answered within
    /// one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn new<C: HasFiles + HasRandom>(
        cx: &Cx<C>,
    ) -> impl Future<Output = io::Result<TempDir>> + Send + '_ {
        make_dir(cx, None, Location::caller())
    }

    /// Makes one in a folder.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    ///
    /// # Cancel safety
    /// A directory that nobody waits for any more is removed. A cancel request is answered within
    /// one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn new_in<C: HasFiles + HasRandom>(
        cx: &Cx<C>,
        folder: impl Into<PathBuf>,
    ) -> impl Future<Output = io::Result<TempDir>> + Send + '_ {
        make_dir(cx, Some(folder.into()), Location::caller())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.removed.path
    }

    /// Removes it, with all that is in it, on the blocking pool.
    ///
    /// # Errors
    /// The system's, with the path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call removes it all the same. A cancel request is answered within one poll, or
    /// when the system's call ends that has begun.
    pub async fn close<C: HasFiles>(self, cx: &Cx<C>) -> io::Result<()> {
        super::remove_dir_all(cx, self.removed.path.clone()).await
    }
}

async fn make_file<C: HasFiles + HasRandom>(
    cx: &Cx<C>,
    folder: Option<PathBuf>,
    site: &'static Location<'static>,
) -> io::Result<TempFile> {
    let files = Files::of(cx, "TempFile::new", site)?;
    let folder = folder.unwrap_or_else(|| files.temp_dir());
    let names = names(cx);
    let make = move |disk: &dyn Disk| {
        let options = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600);
        let (path, handle) = first_free(&folder, names, |path| disk.open(path, &options))?;
        let removed = Removed { files, path, kind: FileKind::File, armed: true };
        Ok((handle, removed))
    };
    let (handle, removed): (Handle, Removed) = run(cx, "TempFile::new", site, make).await?;
    let path = removed.path.clone().into();
    Ok(TempFile { file: File { handle: Arc::new(handle), path, position: 0 }, removed })
}

async fn make_dir<C: HasFiles + HasRandom>(
    cx: &Cx<C>,
    folder: Option<PathBuf>,
    site: &'static Location<'static>,
) -> io::Result<TempDir> {
    let files = Files::of(cx, "TempDir::new", site)?;
    let folder = folder.unwrap_or_else(|| files.temp_dir());
    let names = names(cx);
    let make = move |disk: &dyn Disk| {
        let (path, ()) = first_free(&folder, names, |path| disk.create_dir(path))?;
        Ok(Removed { files, path, kind: FileKind::Directory, armed: true })
    };
    Ok(TempDir { removed: run(cx, "TempDir::new", site, make).await? })
}
