//! Reads a trace file, however hostile, within stated limits.

use crate::coding::Decoder;
use crate::error::TraceError;
use crate::event::{END, Event};
use crate::step::{Step, StepBuilder};
use crate::tables::{LONGEST, Tables};
use crate::writer::{Header, MAGIC, VERSION};
use twox_hash::XxHash3_64;

/// How much a reader accepts. Memory is bounded by about 64 bytes an event plus the file's own
/// size for names, whatever the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Length of the file; 1 GiB by default.
    pub file_bytes: usize,
    /// Number of events; 16 Mi by default.
    pub events: usize,
    /// Number of names of one sort (texts, sites, ids); 4 Mi by default.
    pub names: usize,
    /// Length of one text; 64 KiB by default, to which a writer cuts a longer one.
    pub text_bytes: usize,
    /// Length of one answer of the machine's; 16 MiB by default.
    pub blob_bytes: usize,
    /// Number of options in the header; 64 by default.
    pub options: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            file_bytes: 1 << 30,
            events: 1 << 24,
            names: 1 << 22,
            text_bytes: LONGEST,
            blob_bytes: 1 << 24,
            options: 64,
        }
    }
}

/// The header without options, the end without records, and the sum.
const SHORTEST: usize = 21 + 2 + 8;

/// Reads events one by one. The checksum has been verified before the first.
///
/// After an error, or the end of the trace, it yields nothing more.
pub struct Reader<'a> {
    decoder: Decoder<'a>,
    header: Header,
    records: u64,
    limit: usize,
    done: bool,
}

impl<'a> Reader<'a> {
    /// Checks length, beginning, version and checksum, and reads the header.
    ///
    /// # Errors
    /// [`TraceError`] says what is wrong with the bytes.
    pub fn new(bytes: &'a [u8], limits: &Limits) -> Result<Reader<'a>, TraceError> {
        if bytes.len() > limits.file_bytes {
            return Err(TraceError::Limit { what: "bytes", limit: limits.file_bytes });
        }
        if !bytes.starts_with(&MAGIC) {
            return Err(TraceError::NotATrace);
        }
        let mut decoder = Decoder::new(bytes, limits);
        decoder.slice(MAGIC.len())?;
        let version = u16::from_le_bytes(decoder.array()?);
        if version != VERSION {
            return Err(TraceError::Version { found: version });
        }
        let split = bytes.split_last_chunk::<8>().filter(|_| bytes.len() >= SHORTEST);
        let (body, sum) = split.ok_or(TraceError::Truncated { offset: bytes.len() })?;
        if XxHash3_64::oneshot(body) != u64::from_le_bytes(*sum) {
            return Err(TraceError::Checksum);
        }
        if decoder.array()? != [0, 0] {
            return Err(decoder.corrupt("flags of a later version are set"));
        }
        let mut header = Header::new(u64::from_le_bytes(decoder.array()?));
        let options = decoder.number()?;
        if options > limits.options as u64 {
            return Err(TraceError::Limit { what: "options", limit: limits.options });
        }
        for _ in 0..options {
            let name = decoder.text()?.to_owned();
            let value = decoder.text()?.to_owned();
            header.options.push((name, value));
        }
        Ok(Reader { decoder, header, records: 0, limit: limits.events, done: false })
    }

    /// What the trace says about its run.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The names that the events read so far use.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.decoder.tables
    }

    fn read(&mut self) -> Result<Option<Event>, TraceError> {
        let tag = self.decoder.byte()?;
        if tag == END {
            let records = self.decoder.number()?;
            if records != self.records {
                return Err(self.decoder.corrupt("the count of records is another"));
            }
            let body = self.decoder.position();
            self.decoder.array::<8>()?;
            return match self.decoder.byte() {
                Ok(_) => Err(TraceError::Corrupt { offset: body, what: "bytes follow the end" }),
                Err(_) => Ok(None),
            };
        }
        if self.records >= self.limit as u64 {
            return Err(TraceError::Limit { what: "events", limit: self.limit });
        }
        self.records += 1;
        Event::take(tag, &mut self.decoder).map(Some)
    }
}

impl Iterator for Reader<'_> {
    type Item = Result<Event, TraceError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let item = self.read().transpose();
        self.done = !matches!(item, Some(Ok(_)));
        item
    }
}

/// A trace in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    header: Header,
    tables: Tables,
    events: Vec<Event>,
}

impl Trace {
    /// Reads a whole trace file.
    ///
    /// # Errors
    /// [`TraceError`] says what is wrong with the bytes.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Trace, TraceError> {
        let mut reader = Reader::new(bytes, limits)?;
        let events = reader.by_ref().collect::<Result<Vec<_>, _>>()?;
        Ok(Trace { header: reader.header, tables: reader.decoder.tables, events })
    }

    /// What the trace says about its run.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The names that the events use.
    #[must_use]
    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// The events in the order in which they happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// The choices the host made, in order: what replays the run.
    pub fn choices(&self) -> impl Iterator<Item = u32> + '_ {
        self.events.iter().filter_map(|event| match event {
            Event::Chosen { index, .. } => Some(*index),
            _ => None,
        })
    }

    /// The run as steps with their footprints.
    #[must_use]
    pub fn steps(&self) -> Vec<Step> {
        let mut builder = StepBuilder::default();
        let mut steps = Vec::new();
        for event in &self.events {
            for effect in crate::Effect::of_event(event) {
                steps.extend(builder.feed(effect).map(|view| view.to_step()));
            }
        }
        steps.extend(builder.finish().map(|view| view.to_step()));
        steps
    }
}

#[cfg(test)]
mod tests;
