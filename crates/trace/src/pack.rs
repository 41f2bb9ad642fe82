//! The crash pack: all that is needed to see a failure again, in one file.
//!
//! Layout: `ASYPACK` and a version byte, 3; seed (u64), fingerprint (u128); then as numbers in LEB128 and texts
//! with their lengths: the cancelled step plus one or zero, the count of choices and the choices, the two
//! polls whose order matters, each plus one or zero, what failed, how it was shrunk, the command that replays it, the count of
//! shares of failing classes and their three numbers each, the lengths and bytes of the trace and of the passing twin's
//! trace; then XXH3-64 of everything before it. Fixed-width numbers
//! are little-endian. A choice among fewer than 129 tasks takes one byte, and a step with one enabled task none.

use crate::coding::{Decoder, Encoder};
use crate::error::TraceError;
use crate::fingerprint::Fingerprint;
use crate::reader::{Limits, Trace};
use twox_hash::XxHash3_64;

const MAGIC: [u8; 7] = *b"ASYPACK";
pub(crate) const VERSION: u8 = 3;

/// A failure, to be replayed elsewhere.
///
/// ```
/// use asupersync_trace::{Limits, Pack};
///
/// let pack = Pack { seed: 7, choices: vec![0, 2, 1], ..Pack::default() };
/// assert_eq!(Pack::parse(&pack.to_bytes(), &Limits::default()).unwrap(), pack);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pack {
    /// The run's seed.
    pub seed: u64,
    /// The run's class.
    pub fingerprint: Fingerprint,
    /// The step before which the root region was cancelled.
    pub cancel_at: Option<u64>,
    /// The position taken wherever more than one task could run.
    pub choices: Vec<u32>,
    /// The poll, counted from 0, that came first and should not have.
    pub first: Option<u64>,
    /// The poll that should have come before it.
    pub second: Option<u64>,
    /// What failed, in a line.
    pub failure: String,
    /// How large the run was at each stage of its shrinking, in a line. Empty when it was not shrunk.
    pub shrunk: String,
    /// What replays it, with `{}` for the pack's own path.
    pub command: String,
    /// How many of the classes that begin as the run does fail, for ever longer beginnings, from the shortest that was
    /// counted; one for each change. Empty when nothing was counted.
    pub shares: Vec<Share>,
    /// The trace file of the run.
    pub trace: Vec<u8>,
    /// The trace file of the run with the two polls the other way round, which passes. Empty when none was
    /// found.
    pub twin: Vec<u8>,
}

/// How many of the classes that begin with a run's first so many polls fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// The polls that they begin with, and more up to the next share.
    pub steps: u64,
    /// Those of them that fail.
    pub failed: u64,
    /// All of them.
    pub classes: u64,
}

impl Pack {
    /// Whether these bytes begin as a pack does, of whatever version.
    #[must_use]
    pub fn is_pack(bytes: &[u8]) -> bool {
        bytes.starts_with(&MAGIC)
    }

    /// The file.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Encoder::default();
        out.bytes.extend_from_slice(&MAGIC);
        out.byte(VERSION);
        out.bytes.extend_from_slice(&self.seed.to_le_bytes());
        out.bytes.extend_from_slice(&self.fingerprint.0.to_le_bytes());
        let optional = |value: Option<u64>| value.map_or(0, |value| value.saturating_add(1));
        out.number(optional(self.cancel_at));
        out.number(self.choices.len() as u64);
        for choice in &self.choices {
            out.number((*choice).into());
        }
        out.number(optional(self.first));
        out.number(optional(self.second));
        out.text(&self.failure);
        out.text(&self.shrunk);
        out.text(&self.command);
        out.number(self.shares.len() as u64);
        for Share { steps, failed, classes } in &self.shares {
            for number in [steps, failed, classes] {
                out.number(*number);
            }
        }
        for file in [&self.trace, &self.twin] {
            out.number(file.len() as u64);
            out.bytes.extend_from_slice(file);
        }
        let sum = XxHash3_64::oneshot(&out.bytes);
        out.bytes.extend_from_slice(&sum.to_le_bytes());
        out.bytes
    }

    /// Reads a pack.
    ///
    /// # Errors
    /// [`TraceError`] says what is wrong with the bytes. The traces inside are not looked into.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Pack, TraceError> {
        if bytes.len() > limits.file_bytes {
            return Err(TraceError::Limit { what: "bytes", limit: limits.file_bytes });
        }
        if !Pack::is_pack(bytes) {
            return Err(TraceError::NotATrace);
        }
        let truncated = TraceError::Truncated { offset: bytes.len() };
        match bytes.get(MAGIC.len()) {
            Some(&VERSION) => {}
            Some(found) => return Err(TraceError::PackVersion { found: *found }),
            None => return Err(truncated),
        }
        let (body, sum) = bytes.split_last_chunk::<8>().ok_or(truncated)?;
        if XxHash3_64::oneshot(body) != u64::from_le_bytes(*sum) {
            return Err(TraceError::Checksum);
        }
        let mut input = Decoder::new(body, limits);
        input.slice(MAGIC.len() + 1)?;
        let seed = u64::from_le_bytes(input.array()?);
        let fingerprint = Fingerprint(u128::from_le_bytes(input.array()?));
        let cancel_at = input.number()?.checked_sub(1);
        let count = input.number()?;
        if count > limits.events as u64 {
            return Err(TraceError::Limit { what: "choices", limit: limits.events });
        }
        let mut choices = Vec::new();
        for _ in 0..count {
            let choice = u32::try_from(input.number()?);
            choices.push(choice.map_err(|_| input.corrupt("a choice is beyond 32 bits"))?);
        }
        let first = input.number()?.checked_sub(1);
        let second = input.number()?.checked_sub(1);
        let failure = input.text()?.to_owned();
        let shrunk = input.text()?.to_owned();
        let command = input.text()?.to_owned();
        let count = input.number()?;
        if count > limits.events as u64 {
            return Err(TraceError::Limit { what: "shares", limit: limits.events });
        }
        let mut shares = Vec::new();
        for _ in 0..count {
            let [steps, failed, classes] = [input.number()?, input.number()?, input.number()?];
            if failed > classes {
                return Err(input.corrupt("more classes fail than there are"));
            }
            shares.push(Share { steps, failed, classes });
        }
        let mut file = || -> Result<Vec<u8>, TraceError> {
            let length = usize::try_from(input.number()?).unwrap_or(usize::MAX);
            Ok(input.slice(length)?.to_vec())
        };
        let (trace, twin) = (file()?, file()?);
        if input.position() != body.len() {
            return Err(input.corrupt("bytes follow the end"));
        }
        Ok(Pack {
            seed,
            fingerprint,
            cancel_at,
            choices,
            first,
            second,
            failure,
            shrunk,
            command,
            shares,
            trace,
            twin,
        })
    }
}

/// A recorded run, from a trace file or from a pack.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its events.
    pub trace: Trace,
    /// The pack that it was in.
    pub pack: Option<Pack>,
}

impl Recording {
    /// Reads either sort of file.
    ///
    /// # Errors
    /// [`TraceError`] says what is wrong with the bytes.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Recording, TraceError> {
        if !Pack::is_pack(bytes) {
            return Ok(Recording { trace: Trace::parse(bytes, limits)?, pack: None });
        }
        let mut pack = Pack::parse(bytes, limits)?;
        let trace = Trace::parse(&std::mem::take(&mut pack.trace), limits)?;
        Ok(Recording { trace, pack: Some(pack) })
    }

    /// The passing twin, if the pack has one that can be read.
    #[must_use]
    pub fn twin(&self, limits: &Limits) -> Option<Trace> {
        let pack = self.pack.as_ref()?;
        Trace::parse(&pack.twin, limits).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Header, Writer};

    fn pack() -> Pack {
        let trace = Writer::new(Header::new(3).with_option("max-steps", 9)).finish();
        Pack {
            seed: 3,
            fingerprint: Fingerprint(77),
            cancel_at: Some(0),
            choices: vec![0, 1, 127, 128, u32::MAX],
            first: Some(4),
            second: None,
            failure: "it \"broke\"".to_owned(),
            shrunk: "9 steps became 3".to_owned(),
            command: "REPLAY={} cargo test".to_owned(),
            shares: vec![Share { steps: 2, failed: 1, classes: 300 }],
            trace: trace.clone(),
            twin: trace,
        }
    }

    #[test]
    fn a_pack_comes_back_as_it_went() {
        let read = Pack::parse(&pack().to_bytes(), &Limits::default()).unwrap();
        assert_eq!(read, pack());
        let recording = Recording::parse(&pack().to_bytes(), &Limits::default()).unwrap();
        assert_eq!(recording.trace.header().seed, 3);
        assert!(recording.twin(&Limits::default()).is_some());
    }

    #[test]
    fn a_choice_among_few_costs_a_byte() {
        let with = |choices| Pack { choices, ..Pack::default() }.to_bytes().len();
        assert_eq!(with(vec![127; 100]) - with(Vec::new()), 100);
    }

    #[test]
    fn a_damaged_pack_is_refused_at_every_byte() {
        let good = pack().to_bytes();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x40;
            assert!(Pack::parse(&bad, &Limits::default()).is_err(), "byte {at}");
            assert!(Pack::parse(&good[..at], &Limits::default()).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_pack_of_another_version_is_told_from_what_is_no_pack() {
        let mut other = pack().to_bytes();
        other[7] += 1;
        let error = Recording::parse(&other, &Limits::default()).unwrap_err();
        assert_eq!(error, TraceError::PackVersion { found: VERSION + 1 });
        assert_eq!(error.code(), "ASY-0611");
        let cut = Recording::parse(&other[..7], &Limits::default()).unwrap_err();
        assert!(matches!(cut, TraceError::Truncated { .. }), "{cut}");
    }

    #[test]
    fn a_pack_that_promises_too_much_is_refused() {
        let limits = Limits { events: 2, ..Limits::default() };
        let error = Pack::parse(&pack().to_bytes(), &limits).unwrap_err();
        assert!(matches!(error, TraceError::Limit { what: "choices", .. }), "{error}");
        let share = Share { steps: 0, failed: 1, classes: 1 };
        let many = Pack { shares: vec![share; 3], ..Pack::default() };
        let error = Pack::parse(&many.to_bytes(), &limits).unwrap_err();
        assert!(matches!(error, TraceError::Limit { what: "shares", .. }), "{error}");
        let share = Share { steps: 0, failed: 2, classes: 1 };
        let wrong = Pack { shares: vec![share], ..Pack::default() };
        let error = Pack::parse(&wrong.to_bytes(), &limits).unwrap_err();
        assert!(matches!(error, TraceError::Corrupt { .. }), "{error}");
    }
}
