//! Copies of files.

use super::disk::{Handle, run_on};
use super::file::{File, MOST, open};
use super::{FileKind, HasFiles, OpenOptions, at};
use crate::blocking::Wanted;
use asupersync_core::Cx;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::path::PathBuf;
use std::sync::Arc;

/// So many times [`MOST`] bytes are copied by one call on the blocking pool; between two calls a cancellation
/// is seen.
const ROUNDS: u32 = 8;

/// Copies a file's content and permissions to another path, in place of what the file there held, and answers
/// how many bytes that were. Symbolic links are followed on both sides. A reader may see the copy half
/// written.
///
/// # Errors
/// The system's, with the path; `InvalidInput` when the first path is no plain file, or both are the same
/// file. ASY-0004 inside when the host has no files. `Cancelled`.
///
/// # Cancel safety
/// A cancelled call has copied an unknown part. A cancel request is answered within one poll, or when the
/// system's calls end that copy 8 MiB.
#[track_caller]
pub fn copy<C: HasFiles>(
    cx: &Cx<C>,
    from: impl Into<PathBuf>,
    to: impl Into<PathBuf>,
) -> impl Future<Output = io::Result<u64>> + Send + '_ {
    let (from, to, site) = (from.into(), to.into(), Location::caller());
    async move {
        let source = open(cx, from, OpenOptions::new().read(true), site).await?;
        let known = source.known(cx, site).await?;
        if known.kind != FileKind::File {
            let what = io::Error::new(io::ErrorKind::InvalidInput, "only plain files are copied");
            return Err(at(&source.path, what));
        }
        let options = OpenOptions::new().write(true).create(true).mode(known.mode);
        let target = open(cx, to, options, site).await?;
        empty(cx, &source, &target, known.mode, site).await?;
        let mut copied = 0;
        loop {
            match some(cx, &source, &target, copied, site).await? {
                0 => return Ok(copied),
                n => copied += n,
            }
        }
    }
}

/// Makes the target an empty file with these permissions, if it is not the source.
async fn empty<C: HasFiles>(
    cx: &Cx<C>,
    source: &File,
    target: &File,
    mode: u32,
    site: &'static Location<'static>,
) -> io::Result<()> {
    let (from, path) = (Arc::clone(&source.handle), Arc::clone(&target.path));
    let empty = move |to: &Handle, wanted: Wanted<'_>| {
        if to.is_same(&from)? {
            let what = "a file cannot be copied to itself";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        to.set_len(0, wanted)?;
        to.set_mode(mode)
    };
    let empty =
        move |to: &Handle, wanted: Wanted<'_>| empty(to, wanted).map_err(|error| at(&path, error));
    run_on(cx, &target.handle, "fs::copy", site, empty).await
}

/// Copies what one call may, and answers how much that was: zero at the end.
async fn some<C: HasFiles>(
    cx: &Cx<C>,
    source: &File,
    target: &File,
    begin: u64,
    site: &'static Location<'static>,
) -> io::Result<u64> {
    let from = Arc::clone(&source.handle);
    let (source, target_path) = (Arc::clone(&source.path), Arc::clone(&target.path));
    let copy = move |to: &Handle, wanted: Wanted<'_>| {
        let (mut bytes, mut offset) = (vec![0; MOST], begin);
        for _ in 0..ROUNDS {
            let n = from.read_at(&mut bytes, offset).map_err(|error| at(&source, error))?;
            let mut left = &bytes[..n];
            while !left.is_empty() && wanted() {
                let written = to.write_at(left, offset, wanted);
                let n = written.map_err(|error| at(&target_path, error))?;
                (left, offset) = (&left[n..], offset + n as u64);
            }
            if n == 0 || !wanted() {
                break;
            }
        }
        Ok(offset - begin)
    };
    run_on(cx, &target.handle, "fs::copy", site, copy).await
}
