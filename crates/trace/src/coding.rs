//! How fields are written as bytes: LEB128 numbers, and names that are defined where first used.
//!
//! Texts, sites and 64-bit ids are numbered in order of first use. A number equal to the count so
//! far defines the next one, and its definition follows in place; so the file needs no table ahead
//! of its records and can be written in one pass.

use crate::error::TraceError;
use crate::ids::Numbers;
use crate::reader::Limits;
use crate::tables::{BlobId, Interner, Site, SiteId, StrId, Tables};
use asupersync_core::event::{Access, Resolution};
use asupersync_core::{CancelKind, ObjectId, ObligationId, RegionId, Severity, TaskId, Time};
use std::fmt;

#[derive(Debug, Default)]
pub(crate) struct Encoder {
    pub(crate) bytes: Vec<u8>,
    pub(crate) interner: Interner,
    ids: Numbers<u64>,
    /// How many texts and sites the bytes already define.
    strings: u32,
    sites: u32,
    time: u64,
    /// The bytes of the next [`BlobId`]; they are written once and not kept.
    pub(crate) blob: Vec<u8>,
}

impl Encoder {
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.interner.clear();
        self.ids.clear();
        self.strings = 0;
        self.sites = 0;
        self.time = 0;
    }

    pub(crate) fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    pub(crate) fn number(&mut self, value: u64) {
        put_number(&mut self.bytes, value);
    }

    pub(crate) fn text(&mut self, text: &str) {
        put_text(&mut self.bytes, text);
    }

    /// The most names there are of one sort, answers apart.
    pub(crate) fn names(&self) -> usize {
        self.ids.len().max(self.strings as usize).max(self.sites as usize)
    }

    fn id(&mut self, bits: u64) {
        let count = self.ids.len();
        let index = self.ids.number(bits);
        self.number(index.into());
        if index as usize == count {
            self.bytes.extend_from_slice(&bits.to_le_bytes());
        }
    }
}

fn put_number(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

fn put_text(bytes: &mut Vec<u8>, text: &str) {
    put_number(bytes, text.len() as u64);
    bytes.extend_from_slice(text.as_bytes());
}

pub(crate) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
    limits: Limits,
    pub(crate) tables: Tables,
    ids: Vec<u64>,
    time: u64,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8], limits: &Limits) -> Decoder<'a> {
        Decoder {
            bytes,
            at: 0,
            limits: limits.clone(),
            tables: Tables::default(),
            ids: Vec::new(),
            time: 0,
        }
    }

    pub(crate) fn corrupt(&self, what: &'static str) -> TraceError {
        TraceError::Corrupt { offset: self.at, what }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn slice(&mut self, len: usize) -> Result<&'a [u8], TraceError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(TraceError::Truncated { offset: self.bytes.len() })?;
        let slice = &self.bytes[self.at..end];
        self.at = end;
        Ok(slice)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], TraceError> {
        let slice = self.slice(N)?;
        Ok(slice.try_into().expect("`slice` answers as many bytes as asked"))
    }

    pub(crate) fn byte(&mut self) -> Result<u8, TraceError> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn number(&mut self) -> Result<u64, TraceError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(self.corrupt("a number exceeds 64 bits"));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.corrupt("a number has more than ten bytes"))
    }

    pub(crate) fn small(&mut self) -> Result<u32, TraceError> {
        let value = self.number()?;
        u32::try_from(value).map_err(|_| self.corrupt("a number exceeds 32 bits"))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, TraceError> {
        let len = self.number()?;
        let limit = self.limits.text_bytes;
        let len = usize::try_from(len).ok().filter(|len| *len <= limit);
        let len = len.ok_or(TraceError::Limit { what: "bytes in one text", limit })?;
        let bytes = self.slice(len)?;
        std::str::from_utf8(bytes).map_err(|_| self.corrupt("a text is not UTF-8"))
    }

    /// Reads a number that names an entry of a table of `len`; true when it defines the next one.
    fn entry(&mut self, len: usize) -> Result<(u32, bool), TraceError> {
        let index = self.small()?;
        match (index as usize).cmp(&len) {
            std::cmp::Ordering::Less => Ok((index, false)),
            std::cmp::Ordering::Greater => Err(self.corrupt("a name is used before it is defined")),
            std::cmp::Ordering::Equal if len >= self.limits.names => {
                Err(TraceError::Limit { what: "names", limit: self.limits.names })
            }
            std::cmp::Ordering::Equal => Ok((index, true)),
        }
    }

    fn id(&mut self) -> Result<u64, TraceError> {
        let (index, new) = self.entry(self.ids.len())?;
        if new {
            let bits = u64::from_le_bytes(self.array()?);
            self.ids.push(bits);
        }
        Ok(self.ids[index as usize])
    }
}

/// A field of an event: its bytes and its text.
pub(crate) trait Field: Sized {
    fn put(&self, out: &mut Encoder);
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError>;
    fn show(&self, tables: &Tables, out: &mut dyn fmt::Write) -> fmt::Result;
}

macro_rules! id_field {
    ($($id:ident)*) => { $(
        impl Field for $id {
            fn put(&self, out: &mut Encoder) {
                out.id(self.to_bits());
            }
            fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
                input.id().map($id::from_bits)
            }
            fn show(&self, _: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
                write!(out, "{self}")
            }
        }
    )* };
}

id_field!(TaskId RegionId ObligationId ObjectId);

/// Enums without fields, by their position in a list that only grows at its end.
macro_rules! enum_field {
    ($($name:ident: $($variant:ident)*;)*) => { $(
        impl Field for $name {
            fn put(&self, out: &mut Encoder) {
                const ALL: &[$name] = &[$($name::$variant),*];
                let position = ALL.iter().position(|variant| variant == self);
                out.byte(position.expect("the list is complete") as u8);
            }
            fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
                const ALL: &[$name] = &[$($name::$variant),*];
                let position = input.byte()?;
                let found = ALL.get(usize::from(position)).copied();
                found.ok_or_else(|| input.corrupt(concat!("no such ", stringify!($name))))
            }
            fn show(&self, _: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
                write!(out, "{self:?}")
            }
        }
    )* };
}

enum_field! {
    CancelKind: User Timeout Quota FailFast RaceLost ParentCancelled Shutdown;
    Severity: Ok Err Cancelled Panicked;
    Resolution: Committed Aborted Dropped Leaked Expired;
    Access: Read Write;
}

impl Field for bool {
    fn put(&self, out: &mut Encoder) {
        out.byte((*self).into());
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        match input.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(input.corrupt("a yes-or-no is neither")),
        }
    }
    fn show(&self, _: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Field for u32 {
    fn put(&self, out: &mut Encoder) {
        out.number((*self).into());
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        input.small()
    }
    fn show(&self, _: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl Field for u64 {
    fn put(&self, out: &mut Encoder) {
        out.number(*self);
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        input.number()
    }
    fn show(&self, _: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

/// As the zigzag difference from the time before it: mostly zero.
impl Field for Time {
    fn put(&self, out: &mut Encoder) {
        let difference = self.as_nanos().wrapping_sub(out.time) as i64;
        out.time = self.as_nanos();
        out.number(((difference << 1) ^ (difference >> 63)) as u64);
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        let zigzag = input.number()?;
        let difference = (zigzag >> 1) as i64 ^ -((zigzag & 1) as i64);
        input.time = input.time.wrapping_add(difference as u64);
        Ok(Time::from_nanos(input.time))
    }
    fn show(&self, _: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, out: &mut Encoder) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        Ok(if bool::take(input)? { Some(T::take(input)?) } else { None })
    }
    fn show(&self, tables: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        match self {
            Some(value) => value.show(tables, out),
            None => out.write_str("-"),
        }
    }
}

impl Field for StrId {
    fn put(&self, out: &mut Encoder) {
        out.number(self.0.into());
        if self.0 == out.strings {
            out.strings += 1;
            let text = &out.interner.strings[self.0 as usize];
            put_text(&mut out.bytes, text);
        }
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        let (index, new) = input.entry(input.tables.strings.len())?;
        if new {
            let text = input.text()?;
            input.tables.strings.push(text.into());
        }
        Ok(StrId(index))
    }
    fn show(&self, tables: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        write!(out, "{:?}", tables.text(*self))
    }
}

impl Field for SiteId {
    fn put(&self, out: &mut Encoder) {
        out.number(self.0.into());
        if self.0 == out.sites {
            out.sites += 1;
            let site = out.interner.sites[self.0 as usize];
            site.file.put(out);
            site.line.put(out);
            site.column.put(out);
        }
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        let (index, new) = input.entry(input.tables.sites.len())?;
        if new {
            let file = StrId::take(input)?;
            let line = u32::take(input)?;
            let column = u32::take(input)?;
            input.tables.sites.push(Site { file, line, column });
        }
        Ok(SiteId(index))
    }
    fn show(&self, tables: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        tables.write_site(*self, out)
    }
}

/// Bytes in place: no two are looked up to be the same.
impl Field for BlobId {
    fn put(&self, out: &mut Encoder) {
        put_number(&mut out.bytes, out.blob.len() as u64);
        out.bytes.append(&mut out.blob);
    }
    fn take(input: &mut Decoder<'_>) -> Result<Self, TraceError> {
        let index = input.tables.blobs.len();
        if index >= input.limits.names {
            return Err(TraceError::Limit { what: "answers", limit: input.limits.names });
        }
        let limit = input.limits.blob_bytes;
        let len = usize::try_from(input.number()?).ok().filter(|len| *len <= limit);
        let len = len.ok_or(TraceError::Limit { what: "bytes in one answer", limit })?;
        let bytes = input.slice(len)?;
        input.tables.blobs.push(bytes.into());
        Ok(BlobId(index as u32))
    }
    fn show(&self, tables: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
        let blob = tables.blob(*self);
        write!(out, "\"{}\"", blob[..blob.len().min(32)].escape_ascii())?;
        if blob.len() > 32 { write!(out, " and {} bytes", blob.len() - 32) } else { Ok(()) }
    }
}
