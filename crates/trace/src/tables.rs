//! Text and source locations, each kept once and named by a small number in order of first use.

use crate::ids::IdMap;
use asupersync_core::DetHashMap;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;

/// Names a text of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrId(pub(crate) u32);

/// Names a source location of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub(crate) u32);

/// Names a string of bytes of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(pub(crate) u32);

/// A place in a source file; the path is as the compiler gave it, relative for the workspace's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Site {
    /// The file's path.
    pub file: StrId,
    /// Line, counted from 1.
    pub line: u32,
    /// Column, counted from 1.
    pub column: u32,
}

/// The texts, sites and bytes that a trace's events name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub(crate) strings: Vec<Box<str>>,
    pub(crate) sites: Vec<Site>,
    pub(crate) blobs: Vec<Box<[u8]>>,
}

impl Tables {
    /// The text of this name; empty for a name from another trace that has no text here.
    #[must_use]
    pub fn text(&self, id: StrId) -> &str {
        self.strings.get(id.0 as usize).map_or("", |text| text)
    }

    /// The site of this name, if it has one here.
    #[must_use]
    pub fn site(&self, id: SiteId) -> Option<Site> {
        self.sites.get(id.0 as usize).copied()
    }

    /// The bytes of this name; none for a name from another trace that has no bytes here.
    #[must_use]
    pub fn blob(&self, id: BlobId) -> &[u8] {
        self.blobs.get(id.0 as usize).map_or(&[], |blob| blob)
    }

    pub(crate) fn write_site(&self, id: SiteId, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.site(id) {
            Some(site) => write!(out, "{}:{}:{}", self.text(site.file), site.line, site.column),
            None => out.write_str("?"),
        }
    }
}

/// Tables under construction. Looked up by content: two copies of one literal must get one name, or
/// debug and release builds would differ. An address only shortens the way to what was found so before.
///
/// What one run looked up the next will too, so it is kept; names are given anew in each run.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    run: u32,
    texts: DetHashMap<Arc<str>, Named<StrId>>,
    locations: DetHashMap<&'static Location<'static>, Named<SiteId>>,
    by_address: IdMap<usize, Named<SiteId>>,
    /// The run's texts and sites by their names.
    pub(crate) strings: Vec<Arc<str>>,
    pub(crate) sites: Vec<Site>,
}

/// A name, and the run in which it was given.
#[derive(Clone, Copy, Debug)]
struct Named<I> {
    run: u32,
    id: I,
}

/// Texts kept from run to run; with more the tables start again empty.
const KEPT: usize = 10_000;
/// Bytes of a text: those of a longer one are left out from here, or no reader would take the file.
pub(crate) const LONGEST: usize = 1 << 16;

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> StrId {
        let text = fitting(text);
        let (run, id) = (self.run, StrId(next(self.strings.len())));
        match self.texts.get_key_value(text) {
            Some((_, named)) if named.run == run => return named.id,
            Some((text, _)) => self.strings.push(text.clone()),
            None => self.strings.push(text.into()),
        }
        let text = self.strings[id.0 as usize].clone();
        self.texts.insert(text, Named { run, id });
        id
    }

    pub(crate) fn site(&mut self, site: &'static Location<'static>) -> SiteId {
        let (run, address) = (self.run, std::ptr::from_ref(site).addr());
        if let Some(named) = self.by_address.get(&address).filter(|named| named.run == run) {
            return named.id;
        }
        let known = self.locations.get(site).filter(|named| named.run == run);
        let id = known.map(|named| named.id).unwrap_or_else(|| {
            let file = self.text(site.file());
            let id = SiteId(next(self.sites.len()));
            self.sites.push(Site { file, line: site.line(), column: site.column() });
            self.locations.insert(site, Named { run, id });
            id
        });
        self.by_address.insert(address, Named { run, id });
        id
    }

    #[cfg(test)]
    pub(crate) fn tables(&self) -> Tables {
        let strings = self.strings.iter().map(|text| (**text).into()).collect();
        Tables { strings, sites: self.sites.clone(), blobs: Vec::new() }
    }

    /// Starts the next run's names.
    pub(crate) fn clear(&mut self) {
        self.strings.clear();
        self.sites.clear();
        match self.run.checked_add(1) {
            Some(run) if self.texts.len() < KEPT => self.run = run,
            _ => *self = Interner::default(),
        }
    }
}

/// The text, or as many of its letters as fit.
pub(crate) fn fitting(text: &str) -> &str {
    if text.len() <= LONGEST {
        return text;
    }
    let end = (0..=LONGEST).rev().find(|at| text.is_char_boundary(*at));
    &text[..end.unwrap_or(0)]
}

fn next(len: usize) -> u32 {
    u32::try_from(len).expect("a run has fewer than 2^32 texts")
}
