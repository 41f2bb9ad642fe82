//! Files in memory, for the lab.

use super::disk::{Disk, Entries, Handle};
use super::{FileKind, Metadata, OpenOptions};
use asupersync_core::primitive::Mutex;
use asupersync_core::{Object, SplitMix64};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

/// A file system in memory: the lab's driver behind [`File`](super::File) and its siblings, which a host
/// offers as the service of this type. Cheap to clone: clones are the same files, so a test keeps one to
/// fill the disk or pull the plug.
///
/// # What is modelled
/// Directories and plain files; what is durable and what is not: a [crash](Self::crash) takes each file's
/// content back to its last sync, and each directory's names to its last [`sync_dir`](super::sync_dir), and a
/// [torn one](Self::crash_torn) keeps some of what was not synced; a disk of [limited size](Self::set_capacity), on which a write is cut short and then fails with
/// `StorageFull`.
///
/// # What is not
/// Symbolic and hard links, permissions (they are remembered), times, latency, and errors of the medium. A
/// relative path is one from the root. A torn crash keeps all changes of a directory's names or none.
#[derive(Clone, Default)]
pub struct VirtualFiles {
    shared: Arc<Shared>,
}

struct Shared {
    object: Object,
    state: Mutex<State>,
}

impl Default for Shared {
    fn default() -> Self {
        let state = State { capacity: usize::MAX, ..State::default() };
        Shared { object: Object::new("virtual files"), state: Mutex::new(state) }
    }
}

#[derive(Default)]
struct State {
    names: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    capacity: usize,
}

#[derive(Clone)]
enum Node {
    Directory,
    File(Arc<Mutex<Content>>),
}

#[derive(Default)]
struct Content {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    mode: u32,
}

/// What a disk writes whole or not at all.
const SECTOR: usize = 512;

impl Content {
    /// What a power cut in the middle of writing back may leave: sector by sector the durable bytes or the
    /// new ones, and either length.
    fn torn(&self, mut survives: impl FnMut() -> bool) -> Vec<u8> {
        let length = if survives() { self.bytes.len() } else { self.durable.len() };
        let mut left = vec![0; length];
        for start in (0..length).step_by(SECTOR) {
            let from = if survives() { &self.bytes } else { &self.durable };
            let end = (start + SECTOR).min(length).min(from.len());
            if start < end {
                left[start..end].copy_from_slice(&from[start..end]);
            }
        }
        left
    }
}

impl Node {
    fn metadata(&self) -> Metadata {
        match self {
            Node::Directory => {
                Metadata { kind: FileKind::Directory, len: 0, mode: 0o755, modified: None }
            }
            Node::File(content) => {
                let content = content.lock();
                let len = content.bytes.len() as u64;
                Metadata { kind: FileKind::File, len, mode: content.mode, modified: None }
            }
        }
    }
}

impl State {
    fn used(&self) -> usize {
        let sizes = self.names.values().map(|node| match node {
            Node::Directory => 0,
            Node::File(content) => content.lock().bytes.len(),
        });
        sizes.sum()
    }

    fn find(&self, path: &Path) -> io::Result<Node> {
        if path.as_os_str().is_empty() {
            return Ok(Node::Directory);
        }
        self.names.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn parent_of(&self, path: &Path) -> io::Result<()> {
        match self.find(path.parent().unwrap_or(Path::new("")))? {
            Node::Directory => Ok(()),
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
        }
    }

    fn children<'a>(
        names: &'a BTreeMap<PathBuf, Node>,
        path: &'a Path,
    ) -> impl Iterator<Item = (&'a PathBuf, &'a Node)> {
        names.iter().filter(move |(name, _)| name.parent() == Some(path))
    }
}

impl VirtualFiles {
    /// An empty file system but for `/tmp`.
    #[must_use]
    pub fn new() -> VirtualFiles {
        let files = VirtualFiles::default();
        let mut state = files.shared.state.lock();
        state.names.insert("tmp".into(), Node::Directory);
        state.durable.insert("tmp".into(), Node::Directory);
        drop(state);
        files
    }

    /// Lets no file grow from now on when all together have so many bytes.
    pub fn set_capacity(&self, bytes: usize) {
        self.shared.object.write();
        self.shared.state.lock().capacity = bytes;
    }

    /// Pulls the plug and starts again: what was not made durable is gone. Files that are open stay open
    /// on what they were, out of reach.
    pub fn crash(&self) {
        self.crash_keeping(|| false);
    }

    /// Pulls the plug as [`crash`](Self::crash) does, while the disk was writing back: of what was not made
    /// durable some is there. Sector by sector of 512 bytes a file has its new content or its old one,
    /// whichever `seed` says, and so for its length; a directory has all its new names, or its old ones. What
    /// was made durable is there in any case.
    pub fn crash_torn(&self, seed: u64) {
        let mut stream = SplitMix64::new(seed);
        self.crash_keeping(|| stream.next_u64() >> 63 == 1);
    }

    fn crash_keeping(&self, mut survives: impl FnMut() -> bool) {
        self.shared.object.write();
        let mut state = self.shared.state.lock();
        let mut folders: BTreeMap<PathBuf, bool> = BTreeMap::new();
        let State { names, durable, .. } = &mut *state;
        // New names written back with their folder, in place of the old ones.
        let mut kept = BTreeMap::new();
        for (is_new, all) in [(false, &*durable), (true, &*names)] {
            for (path, node) in all {
                let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                if *folders.entry(folder).or_insert_with(&mut survives) == is_new {
                    kept.insert(path.clone(), node.clone());
                }
            }
        }
        *durable = kept;
        // What is still open keeps its old content to itself.
        let mut again = |node: &Node| match node {
            Node::Directory => Node::Directory,
            Node::File(content) => {
                let content = content.lock();
                let (bytes, mode) = (content.torn(&mut survives), content.mode);
                let durable = bytes.clone();
                Node::File(Arc::new(Mutex::new(Content { bytes, durable, mode })))
            }
        };
        let names: BTreeMap<_, _> =
            state.durable.iter().map(|(path, node)| (path.clone(), again(node))).collect();
        // A name in a directory that is not durable itself is out of reach.
        let reachable = |path: &Path| {
            path.ancestors()
                .skip(1)
                .all(|above| above.as_os_str().is_empty() || names.contains_key(above))
        };
        state.names = names
            .iter()
            .filter(|(path, _)| reachable(path))
            .map(|(p, n)| (p.clone(), n.clone()))
            .collect();
        state.durable = state.names.clone();
    }

    /// A file's content, without a step; none where there is no file.
    #[must_use]
    pub fn content(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        match self.shared.state.lock().find(&normal(path.as_ref())) {
            Ok(Node::File(content)) => Some(content.lock().bytes.clone()),
            _ => None,
        }
    }

    /// Everything there is, by path, without a step.
    #[must_use]
    pub fn paths(&self) -> Vec<PathBuf> {
        let state = self.shared.state.lock();
        state.names.keys().map(|path| Path::new("/").join(path)).collect()
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> io::Result<T>) -> io::Result<T> {
        self.shared.object.write();
        change(&mut self.shared.state.lock())
    }
}

/// From the root, without `.` and `..`.
fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            _ => {}
        }
    }
    normal
}

impl Disk for VirtualFiles {
    fn open(&self, path: &Path, options: &OpenOptions) -> io::Result<Handle> {
        let path = normal(path);
        let writes = options.write || options.append;
        if !(options.read || writes) || (options.truncate && !options.write) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let content = self.change(|state| match state.find(&path) {
            Ok(_) if options.create_new => Err(io::ErrorKind::AlreadyExists.into()),
            Ok(Node::File(content)) => {
                if options.truncate {
                    content.lock().bytes.clear();
                }
                Ok(content)
            }
            Ok(Node::Directory) => Err(io::ErrorKind::IsADirectory.into()),
            Err(_) if writes && (options.create || options.create_new) => {
                state.parent_of(&path)?;
                let content = Content { mode: options.mode, ..Content::default() };
                let content = Arc::new(Mutex::new(content));
                state.names.insert(path.clone(), Node::File(content.clone()));
                Ok(content)
            }
            Err(error) => Err(error),
        })?;
        Ok(Handle::Virtual(VirtualFile {
            files: self.clone(),
            content,
            read: options.read,
            write: writes,
            append: options.append,
        }))
    }

    fn metadata(&self, path: &Path, _: bool) -> io::Result<Metadata> {
        self.shared.object.read();
        Ok(self.shared.state.lock().find(&normal(path))?.metadata())
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.change(|state| {
            state.parent_of(&path)?;
            if state.find(&path).is_ok() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            state.names.insert(path, Node::Directory);
            Ok(())
        })
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.change(|state| match state.find(&path)? {
            Node::Directory => Err(io::ErrorKind::IsADirectory.into()),
            Node::File(_) => {
                state.names.remove(&path);
                Ok(())
            }
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.change(|state| match state.find(&path)? {
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
            Node::Directory if State::children(&state.names, &path).next().is_some() => {
                Err(io::ErrorKind::DirectoryNotEmpty.into())
            }
            Node::Directory => {
                state.names.remove(&path);
                Ok(())
            }
        })
    }

    fn remove_dir_all(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.change(|state| match state.find(&path)? {
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
            Node::Directory => {
                state.names.retain(|name, _| !name.starts_with(&path));
                Ok(())
            }
        })
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        self.change(|state| {
            let node = state.find(&from)?;
            state.parent_of(&to)?;
            match (&node, state.find(&to)) {
                (Node::File(_), Ok(Node::Directory)) => {
                    return Err(io::ErrorKind::IsADirectory.into());
                }
                (Node::Directory, Ok(Node::File(_))) => {
                    return Err(io::ErrorKind::NotADirectory.into());
                }
                (Node::Directory, Ok(Node::Directory))
                    if State::children(&state.names, &to).next().is_some() =>
                {
                    return Err(io::ErrorKind::DirectoryNotEmpty.into());
                }
                _ => {}
            }
            let moved: Vec<PathBuf> =
                state.names.keys().filter(|name| name.starts_with(&from)).cloned().collect();
            for name in moved {
                let rest = name.strip_prefix(&from).expect("it was filtered by this prefix");
                let new = if rest.as_os_str().is_empty() { to.clone() } else { to.join(rest) };
                let node = state.names.remove(&name).expect("it is one of the names");
                state.names.insert(new, node);
            }
            Ok(())
        })
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.change(|state| {
            state.find(&path)?;
            let State { names, durable, .. } = state;
            durable.retain(|name, _| name.parent() != Some(&path) || names.contains_key(name));
            let children = State::children(names, &path);
            durable.extend(children.map(|(name, node)| (name.clone(), node.clone())));
            Ok(())
        })
    }

    fn read_dir(&self, path: &Path) -> io::Result<Entries> {
        let path = normal(path);
        self.shared.object.read();
        let state = self.shared.state.lock();
        match state.find(&path)? {
            Node::File(_) => Err(io::ErrorKind::NotADirectory.into()),
            Node::Directory => {
                let entries = State::children(&state.names, &path).map(|(name, node)| {
                    let name = name.file_name().unwrap_or_default().to_owned();
                    Ok((name, node.metadata().kind))
                });
                Ok(Box::new(entries.collect::<Vec<_>>().into_iter()))
            }
        }
    }
}

/// An open file in memory.
pub(super) struct VirtualFile {
    files: VirtualFiles,
    content: Arc<Mutex<Content>>,
    read: bool,
    write: bool,
    append: bool,
}

const EBADF: i32 = 9;

impl VirtualFile {
    pub(super) fn is_same(&self, other: &VirtualFile) -> bool {
        Arc::ptr_eq(&self.content, &other.content)
    }

    pub(super) fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        if !self.read {
            return Err(io::Error::from_raw_os_error(EBADF));
        }
        self.files.shared.object.read();
        let content = self.content.lock();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.bytes.len());
        let n = (content.bytes.len() - from).min(buf.len());
        buf[..n].copy_from_slice(&content.bytes[from..from + n]);
        Ok(n)
    }

    pub(super) fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if !self.write {
            return Err(io::Error::from_raw_os_error(EBADF));
        }
        self.files.shared.object.write();
        let room = {
            let state = self.files.shared.state.lock();
            state.capacity.saturating_sub(state.used())
        };
        let mut content = self.content.lock();
        let from = if self.append { content.bytes.len() as u64 } else { offset };
        let from = usize::try_from(from).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let most = content.bytes.len().saturating_add(room);
        let end = from.saturating_add(bytes.len()).min(most.max(from.min(content.bytes.len())));
        if end <= from && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if content.bytes.len() < end {
            content.bytes.resize(end, 0);
        }
        let n = end - from;
        content.bytes[from..end].copy_from_slice(&bytes[..n]);
        Ok(n)
    }

    pub(super) fn set_len(&self, len: u64) -> io::Result<()> {
        if !self.write {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        self.files.shared.object.write();
        let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let room = {
            let state = self.files.shared.state.lock();
            state.capacity.saturating_sub(state.used())
        };
        let mut content = self.content.lock();
        if len.saturating_sub(content.bytes.len()) > room {
            return Err(io::ErrorKind::StorageFull.into());
        }
        content.bytes.resize(len, 0);
        Ok(())
    }

    pub(super) fn set_mode(&self, mode: u32) {
        self.files.shared.object.write();
        self.content.lock().mode = mode;
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.files.shared.object.write();
        let mut content = self.content.lock();
        content.durable = content.bytes.clone();
        Ok(())
    }

    pub(super) fn metadata(&self) -> Metadata {
        self.files.shared.object.read();
        Node::File(self.content.clone()).metadata()
    }
}

impl fmt::Debug for VirtualFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualFiles").field("paths", &self.paths()).finish()
    }
}

impl fmt::Debug for VirtualFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VirtualFile")
    }
}
