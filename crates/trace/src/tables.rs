//! Text and source locations, each kept once and named by a small number in order of first use.

use asupersync_core::DetHashMap;
use std::fmt;
use std::panic::Location;

/// Names a text of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StrId(pub(crate) u32);

/// Names a source location of a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SiteId(pub(crate) u32);

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

/// The texts and sites that a trace's events name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tables {
    pub(crate) strings: Vec<Box<str>>,
    pub(crate) sites: Vec<Site>,
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

    pub(crate) fn write_site(&self, id: SiteId, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.site(id) {
            Some(site) => write!(out, "{}:{}:{}", self.text(site.file), site.line, site.column),
            None => out.write_str("?"),
        }
    }
}

/// Tables under construction. Looked up by content, never by address: two copies of one literal
/// must get one name, or debug and release builds would differ.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    pub(crate) tables: Tables,
    strings: DetHashMap<Box<str>, StrId>,
    sites: DetHashMap<&'static Location<'static>, SiteId>,
}

impl Interner {
    pub(crate) fn text(&mut self, text: &str) -> StrId {
        if let Some(id) = self.strings.get(text) {
            return *id;
        }
        let id = StrId(next(self.tables.strings.len()));
        self.tables.strings.push(text.into());
        self.strings.insert(text.into(), id);
        id
    }

    pub(crate) fn site(&mut self, site: &'static Location<'static>) -> SiteId {
        if let Some(id) = self.sites.get(site) {
            return *id;
        }
        let file = self.text(site.file());
        let id = SiteId(next(self.tables.sites.len()));
        self.tables.sites.push(Site { file, line: site.line(), column: site.column() });
        self.sites.insert(site, id);
        id
    }

    pub(crate) fn clear(&mut self) {
        self.tables.strings.clear();
        self.tables.sites.clear();
        self.strings.clear();
        self.sites.clear();
    }
}

fn next(len: usize) -> u32 {
    u32::try_from(len).expect("a run has fewer than 2^32 texts")
}
