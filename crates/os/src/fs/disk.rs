//! What files are made of: the machine's, or those of a [`VirtualFiles`].

use super::virtual_files::VirtualFile;
use super::{OpenOptions, VirtualFiles};
use crate::blocking::Call;
use asupersync_core::cap::{HasBlocking, HasIo, HasSpawn};
use asupersync_core::{Cx, Error, ErrorKind, TaskCx};
use asupersync_reactor::Reactor;
use std::ffi::OsString;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::sync::Arc;
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
    Real(File),
    Virtual(VirtualFile),
}

impl Handle {
    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        match self {
            Handle::Real(file) => retry(|| file.read_at(buf, offset)),
            Handle::Virtual(file) => file.read_at(buf, offset),
        }
    }

    /// With `append`, wherever the end is.
    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        match self {
            Handle::Real(file) => retry(|| file.write_at(bytes, offset)),
            Handle::Virtual(file) => file.write_at(bytes, offset),
        }
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        match self {
            Handle::Real(file) => file.set_len(len),
            Handle::Virtual(file) => file.set_len(len),
        }
    }

    pub(super) fn set_mode(&self, mode: u32) -> io::Result<()> {
        match self {
            Handle::Real(file) => file.set_permissions(Permissions::from_mode(mode)),
            Handle::Virtual(file) => {
                file.set_mode(mode);
                Ok(())
            }
        }
    }

    pub(super) fn sync(&self, metadata: bool) -> io::Result<()> {
        match self {
            Handle::Real(file) if metadata => file.sync_all(),
            Handle::Real(file) => file.sync_data(),
            Handle::Virtual(file) => file.sync(),
        }
    }

    pub(super) fn metadata(&self) -> io::Result<Metadata> {
        match self {
            Handle::Real(file) => Ok(known(&file.metadata()?)),
            Handle::Virtual(file) => Ok(file.metadata()),
        }
    }
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
        Ok(Handle::Real(file))
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
    call: impl FnOnce(&Handle) -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let handle = Arc::clone(handle);
    if matches!(*handle, Handle::Real(_)) {
        cx.checkpoint()?;
        return Call::start(cx, move || call(&handle)).wait(cx).await;
    }
    one_step(cx, label, site, move || call(&handle)).await
}
