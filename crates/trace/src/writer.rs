//! Writes a trace file.
//!
//! Layout: `ASYTRACE`, version (u16), flags (u16, zero), seed (u64), the options as a count and
//! pairs of texts; then records, a tag byte and its fields each; then the tag 0, the number of
//! records, and XXH3-64 of everything before it. Fixed-width numbers are little-endian.

use crate::coding::Encoder;
use crate::event::{END, Event};
use crate::reader::Limits;
use crate::tables::BlobId;
use asupersync_core as kernel;
use std::fmt;
use std::hash::Hasher as _;
use twox_hash::XxHash3_64;

/// The version of the format that this crate writes, and the only one it reads.
pub const VERSION: u16 = 1;

/// The header's option that makes a trace a recording of a production run; its value is the runtime's flavour.
pub const RECORDED: &str = "recorded";

pub(crate) const MAGIC: [u8; 8] = *b"ASYTRACE";

/// Names of one sort that an event defines at most.
const NAMES_OF_AN_EVENT: usize = 4;

/// What a trace says about the run as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Header {
    /// The run's seed.
    pub seed: u64,
    /// Options under which it ran, in the order given; what a replay needs to know.
    pub options: Vec<(String, String)>,
}

impl Header {
    /// The header of a run with this seed and no options.
    #[must_use]
    pub const fn new(seed: u64) -> Header {
        Header { seed, options: Vec::new() }
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl ToString) -> Header {
        self.options.push((name.into(), value.to_string()));
        self
    }
}

/// Builds the bytes of a trace file, event by event. [`begin`](Writer::begin) reuses its memory for
/// the next run.
pub struct Writer {
    encoder: Encoder,
    records: u64,
    /// Answers of the machine.
    answers: usize,
    /// The sum of what was handed out before the end, if anything was.
    handed_out: Option<Box<XxHash3_64>>,
}

impl Writer {
    /// A writer that has written the header.
    #[must_use]
    pub fn new(header: Header) -> Writer {
        let encoder = Encoder::default();
        let mut writer = Writer { encoder, records: 0, answers: 0, handed_out: None };
        writer.begin(&header);
        writer
    }

    /// Forgets what was written and starts again with this header.
    pub fn begin(&mut self, header: &Header) {
        let encoder = &mut self.encoder;
        encoder.clear();
        encoder.bytes.extend_from_slice(&MAGIC);
        encoder.bytes.extend_from_slice(&VERSION.to_le_bytes());
        encoder.bytes.extend_from_slice(&0_u16.to_le_bytes());
        encoder.bytes.extend_from_slice(&header.seed.to_le_bytes());
        encoder.number(header.options.len() as u64);
        for (name, value) in &header.options {
            encoder.text(name);
            encoder.text(value);
        }
        self.records = 0;
        self.answers = 0;
        self.handed_out = None;
    }

    /// Appends a kernel event.
    pub fn kernel(&mut self, event: &kernel::Event<'_>) {
        let event = Event::from_kernel(event, &mut self.encoder.interner);
        event.put(&mut self.encoder);
        self.records += 1;
    }

    /// Appends one of the host's own events. Kernel events go through
    /// [`kernel`](Writer::kernel): the names in an owned one belong to another trace.
    ///
    /// # Panics
    /// If the event is not one of the host's.
    pub fn host(&mut self, event: &Event) {
        assert!(
            matches!(
                event,
                Event::Chosen { .. }
                    | Event::ClockAdvanced { .. }
                    | Event::TimerFired { .. }
                    | Event::CancelInjected { .. }
                    | Event::Abandoned { .. }
                    | Event::FaultInjected { .. }
                    | Event::ClockRead { .. }
                    | Event::TimersDue { .. }
                    | Event::SourceReady { .. }
                    | Event::BlockingEnded { .. }
                    | Event::TimePasses { .. }
                    | Event::TimePassed { .. }
                    | Event::ClockUsed { .. }
            ),
            "not an event of the host's own: {event:?}"
        );
        event.put(&mut self.encoder);
        self.records += 1;
    }

    /// Appends a call of the machine and its answer.
    pub fn called(&mut self, label: &str, source: u32, input: u32, answer: &[u8]) {
        let label = self.encoder.interner.text(label);
        self.encoder.blob.extend_from_slice(answer);
        // The number is the reader's: the bytes follow in place.
        Event::Called { label, source, input, answer: BlobId(0) }.put(&mut self.encoder);
        self.records += 1;
        self.answers += 1;
    }

    /// Appends that the recording ends before its run, and why.
    pub fn stopped(&mut self, why: &str) {
        let why = self.encoder.interner.text(why);
        Event::RecordingStopped { why }.put(&mut self.encoder);
        self.records += 1;
    }

    /// The number of events so far.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.records
    }

    /// Whether a reader with these limits, which took one event more (the one that says why the recording
    /// [stopped](Writer::stopped)), might not take two: there are as many events, or of one sort as many names, as it takes.
    #[must_use]
    pub fn is_full(&self, limits: &Limits) -> bool {
        let names = self.encoder.names().max(self.answers).saturating_add(2 * NAMES_OF_AN_EVENT);
        self.records.saturating_add(1) >= limits.events as u64 || names > limits.names
    }

    /// The bytes so far, but for those already handed out.
    #[must_use]
    pub fn written(&self) -> &[u8] {
        &self.encoder.bytes
    }

    /// Hands out the bytes so far, which must come before those of [`finish`](Writer::finish): a long
    /// recording need not be kept in memory.
    pub fn hand_out(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.encoder.bytes);
        self.handed_out.get_or_insert_default().write(&bytes);
        bytes
    }

    /// Ends the file and hands out its bytes; the writer needs a [`begin`](Writer::begin) to go on.
    pub fn finish(&mut self) -> Vec<u8> {
        self.encoder.byte(END);
        self.encoder.number(self.records);
        let sum = match self.handed_out.take() {
            Some(mut sum) => {
                sum.write(&self.encoder.bytes);
                sum.finish()
            }
            None => XxHash3_64::oneshot(&self.encoder.bytes),
        };
        self.encoder.bytes.extend_from_slice(&sum.to_le_bytes());
        self.encoder.bytes.clone()
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").field("events", &self.records).finish_non_exhaustive()
    }
}
