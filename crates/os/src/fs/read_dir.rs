//! What is in a directory.

use super::disk::{Disk, Entries, run};
use super::{FileKind, HasFiles, at};
use asupersync_core::Cx;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The entries of a directory, one after the other, in the system's order (in the lab: by name).
///
/// # Cancel safety
/// A cancelled [`next`](Self::next) loses no entry.
pub struct ReadDir {
    path: Arc<Path>,
    shared: Arc<Mutex<Shared>>,
}

/// Shared with the call under way, which may outlive a cancelled `next`.
struct Shared {
    entries: Entries,
    fetched: VecDeque<io::Result<(OsString, FileKind)>>,
    ended: bool,
}

/// How many entries one call fetches.
const BATCH: usize = 64;

/// Something in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    path: PathBuf,
    kind: FileKind,
}

impl DirEntry {
    /// The directory's path, with its name.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its name.
    #[must_use]
    pub fn file_name(&self) -> &OsStr {
        self.path.file_name().unwrap_or_default()
    }

    /// What it is. A symbolic link is not followed.
    #[must_use]
    pub fn kind(&self) -> FileKind {
        self.kind
    }
}

impl ReadDir {
    /// Opens a directory.
    ///
    /// # Errors
    /// The system's, with the path. ASY-0004 inside when the host has no files. `Cancelled`.
    ///
    /// # Cancel safety
    /// A directory that nobody waits for any more is closed. A cancel request is answered within
    /// one poll, or when the system's call ends that has begun.
    #[track_caller]
    pub fn open<C: HasFiles>(
        cx: &Cx<C>,
        path: impl Into<PathBuf>,
    ) -> impl Future<Output = io::Result<ReadDir>> + Send + '_ {
        let (path, site) = (Arc::<Path>::from(path.into()), Location::caller());
        async move {
            let of = path.clone();
            let open = move |disk: &dyn Disk| {
                let entries = disk.read_dir(&of).map_err(|error| at(&of, error))?;
                Ok(Mutex::new(Shared { entries, fetched: VecDeque::new(), ended: false }))
            };
            let shared = run(cx, "ReadDir::open", site, open).await?;
            Ok(ReadDir { path, shared: Arc::new(shared) })
        }
    }

    /// The next entry; none after the last.
    ///
    /// # Errors
    /// The system's, with the directory's path. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call takes no entry. A cancel request is answered within one poll, or when the
    /// system's call ends that has begun.
    #[track_caller]
    pub fn next<'a, C: HasFiles>(
        &'a mut self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = io::Result<Option<DirEntry>>> + Send + 'a {
        let site = Location::caller();
        async move {
            loop {
                {
                    let mut shared = lock(&self.shared);
                    if let Some(entry) = shared.fetched.pop_front() {
                        let (name, kind) = entry.map_err(|error| at(&self.path, error))?;
                        return Ok(Some(DirEntry { path: self.path.join(name), kind }));
                    }
                    if shared.ended {
                        return Ok(None);
                    }
                }
                let shared = self.shared.clone();
                run(cx, "ReadDir::next", site, move |_| {
                    fetch(&shared);
                    Ok(())
                })
                .await?;
            }
        }
    }
}

fn fetch(shared: &Mutex<Shared>) {
    let mut shared = lock(shared);
    while shared.fetched.len() < BATCH && !shared.ended {
        match shared.entries.next() {
            Some(entry) => shared.fetched.push_back(entry),
            None => shared.ended = true,
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> std::sync::MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for ReadDir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadDir").field("path", &self.path).finish_non_exhaustive()
    }
}
