//! What files are made of: the machine's, or those of a [`VirtualFiles`].

use super::virtual_files::VirtualFile;
use super::{OpenOptions, VirtualFiles};
use crate::blocking::{Call, Wanted};
use asupersync_core::cap::{HasBlocking, HasIo, HasSpawn};
use asupersync_core::{Cx, Error, ErrorKind, TaskCx};
use asupersync_reactor::Reactor;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::SystemTime;

/// May use files: drivers, and children that run on the blocking pool.
pub trait HasFiles: HasIo + HasSpawn + HasBlocking {}

impl<C: HasIo + HasSpawn + HasBlocking> HasFiles for C {}

/// What is known about a file.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// What it is.
    pub kind: FileKind,
    /// How many bytes it has.
    pub len: u64,
    /// Its permissions, as `chmod` has them.
    pub mode: u32,
    /// When its content last changed, by the machine's clock; none in the lab.
    pub modified: Option<SystemTime>,
}

/// What something in a directory is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// A plain file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A socket, pipe or device.
    Other,
}

impl FileKind {
    pub(super) fn of(kind: std::fs::FileType) -> FileKind {
        if kind.is_file() {
            FileKind::File
        } else if kind.is_dir() {
            FileKind::Directory
        } else if kind.is_symlink() {
            FileKind::Symlink
        } else {
            FileKind::Other
        }
    }
}

/// The calls of a file system, which block.
pub(super) trait Disk {
    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<Handle>;
    fn metadata(&self, path: &Path, follow: bool) -> io::Result<Metadata>;
    fn create_dir(&self, path: &Path) -> io::Result<()>;
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    fn remove_dir_all(&self, path: &Path) -> io::Result<()>;
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    fn read_dir(&self, path: &Path) -> io::Result<Entries>;
}

/// The rest of a directory's entries.
pub(super) type Entries = Box<dyn Iterator<Item = io::Result<(OsString, FileKind)>> + Send>;

/// An open file.
#[derive(Debug)]
pub(super) enum Handle {
    /// What changes the content takes its turn: a write that is given up in the middle of the system's call
    /// must not come after one that is begun later.
    Real(File, Mutex<()>),
    Virtual(VirtualFile),
}

impl Handle {
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Handle::Real(file, _) => retry(|| file.read_at(buf, offset)),
            Handle::Virtual(file) => file.read_at(buf, offset),
        }
    }

    /// With `append`, wherever the end is. Nothing is written that nobody wants any more.
    pub(super) fn write_at(
        &self,
        bytes: &[u8],
        offset: u64,
        wanted: Wanted<'_>,
    ) -> io::Result<usize> {
        match self {
            Handle::Real(file, turn) => {
                in_turn(turn, wanted, || retry(|| file.write_at(bytes, offset)))
            }
            Handle::Virtual(file) => file.write_at(bytes, offset),
        }
    }

    pub(super) fn set_len(&self, len: u64, wanted: Wanted<'_>) -> io::Result<()> {
        match self {
            Handle::Real(file, turn) => in_turn(turn, wanted, || file.set_len(len)),
            Handle::Virtual(file) => file.set_len(len),
        }
    }

    /// Whether both are the same file.
    pub(super) fn is_same(&self, other: &Handle) -> io::Result<bool> {
        Ok(match (self, other) {
            (Handle::Real(one, _), Handle::Real(other, _)) => {
                let (one, other) = (one.metadata()?, other.metadata()?);
                (one.dev(), one.ino()) == (other.dev(), other.ino())
            }
            (Handle::Virtual(one), Handle::Virtual(other)) => one.is_same(other),
            _ => false,
        })
    }

    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        match self {
            Handle::Real(file, _) => file.set_permissions(Permissions::from_mode(mode)),
            Handle::Virtual(file) => {
                file.set_mode(mode);
                Ok(())
            }
        }
    }

    pub(super) fn sync(&self, metadata: bool) -> io::Result<()> {
        match self {
            Handle::Real(file, _) if metadata => file.sync_all(),
            Handle::Real(file, _) => file.sync_data(),
            Handle::Virtual(file) => file.sync(),
        }
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Handle::Real(file, _) => Ok(known(&file.metadata()?)),
            Handle::Virtual(file) => Ok(file.metadata()),
        }
    }
}

/// Does a change after those that are under way, if it is still wanted then.
fn in_turn<T: Default>(
    turn: &Mutex<()>,
    wanted: Wanted<'_>,
    change: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let _turn = turn.lock().unwrap_or_else(PoisonError::into_inner);
    // Who has given up before this may have begun something else already.
    if wanted() { change() } else { Ok(T::default()) }
}

fn retry<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            answer => return answer,
        }
    }
}

fn known(metadata: &std::fs::Metadata) -> Metadata {
    Metadata {
        kind: FileKind::of(metadata.file_type()),
        len: metadata.len(),
        mode: metadata.mode() & 0o7777,
        modified: metadata.modified().ok(),
    }
}

/// The machine's.
pub(super) struct Machine;

impl Disk for Machine {
    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<Handle> {
        let file = std::fs::OpenOptions::new()
            .read(options.read)
            .write(options.write)
            .append(options.append)
            .truncate(options.truncate)
            .create(options.create)
            .create_new(options.create_new)
            .mode(options.mode)
            .open(path)?;
        Ok(Handle::Real(file, Mutex::default()))
    }

    fn metadata(&self, path: &Path, follow: bool) -> io::Result<Metadata> {
        let found = if follow { std::fs::metadata(path) } else { std::fs::symlink_metadata(path) };
        Ok(known(&found?))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::create_dir(path)
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir(path)
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn read_dir(&self, path: &Path) -> io::Result<Entries> {
        let entries = std::fs::read_dir(path)?;
        Ok(Box::new(entries.map(|entry| {
            let entry = entry?;
            Ok((entry.file_name(), FileKind::of(entry.file_type()?)))
        })))
    }
}

/// The host's files.
#[derive(Clone, Debug)]
pub(super) enum Files {
    Machine,
    Virtual(Arc<VirtualFiles>),
}

impl Files {
    pub(super) fn of<C: HasIo>(
        cx: &Cx<C>,
        what: &str,
        site: &'static Location<'static>,
    ) -> io::Result<Files> {
        if let Some(files) = cx.service::<VirtualFiles>() {
            Ok(Files::Virtual(files))
        } else if cx.service::<Reactor>().is_some() {
            Ok(Files::Machine)
        } else {
            let what = format!("cannot do {what}: this host has no files");
            let error = Error::at(ErrorKind::ServiceMissing, what, site);
            Err(io::Error::new(io::ErrorKind::Unsupported, error))
        }
    }

    /// The folder for temporary files: the environment is the machine's.
    pub(super) fn temp_dir(&self) -> PathBuf {
        match self {
            Files::Machine => std::env::temp_dir(),
            Files::Virtual(_) => "/tmp".into(),
        }
    }

    /// Does a call at once, for `Drop`.
    pub(super) fn now<T>(&self, call: impl FnOnce(&dyn Disk) -> T) -> T {
        match self {
            Files::Machine => call(&Machine),
            Files::Virtual(files) => call(&**files),
        }
    }
}

/// Does a call on the host's files: on the blocking pool, or as one step of the lab.
pub(super) async fn run<C: HasFiles, T: Send + 'static>(
    cx: &Cx<C>,
    label: &'static str,
    site: &'static Location<'static>,
    call: impl FnOnce(&dyn Disk) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    match Files::of(cx, label, site)? {
        Files::Machine => {
            cx.checkpoint()?;
            Call::start(cx, move || call(&Machine)).wait(cx).await
        }
        Files::Virtual(files) => one_step(cx, label, site, move || call(&*files)).await,
    }
}

/// Does a call in a step of its own: others may come between two calls, as on a machine.
async fn one_step<T>(
    cx: &TaskCx,
    label: &'static str,
    site: &'static Location<'static>,
    call: impl FnOnce() -> io::Result<T>,
) -> io::Result<T> {
    let mut call = Some(call);
    let mut waited = false;
    cx.wait_at(label, site, |context| {
        if !std::mem::replace(&mut waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let call = call.take().expect("the wait is over with the call");
        Poll::Ready(call())
    })
    .await?
}

/// The same for a file that is open already.
pub(super) async fn run_on<C: HasFiles, T: Send + 'static>(
    cx: &Cx<C>,
    handle: &Arc<Handle>,
    label: &'static str,
    site: &'static Location<'static>,
    call: impl FnOnce(&Handle, Wanted<'_>) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let handle = Arc::clone(handle);
    if matches!(*handle, Handle::Real(..)) {
        cx.checkpoint()?;
        return Call::start_while_wanted(cx, move |wanted| call(&handle, wanted)).wait(cx).await;
    }
    one_step(cx, label, site, move || call(&handle, &|| true)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    #[test]
    fn a_change_that_is_given_up_while_it_waits_for_its_turn_is_not_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let options = OpenOptions::new().write(true).create(true);
        let file = Machine.open(&path, &options).unwrap();
        let Handle::Real(_, turn) = &file else { unreachable!("on a machine") };
        let is_wanted = AtomicBool::new(true);
        let wanted = || is_wanted.load(Ordering::SeqCst);
        std::thread::scope(|threads| {
            let before = turn.lock().unwrap();
            let write = threads.spawn(|| file.write_at(b"too late", 0, &wanted));
            let cut = threads.spawn(|| file.set_len(100, &wanted));
            is_wanted.store(false, Ordering::SeqCst);
            drop(before);
            assert_eq!(write.join().unwrap().unwrap(), 0);
            cut.join().unwrap().unwrap();
        });
        assert_eq!(std::fs::read(&path).unwrap(), b"");
        assert_eq!(file.write_at(b"in time", 0, &|| true).unwrap(), 7);
        assert_eq!(std::fs::read(&path).unwrap(), b"in time");
    }
}
