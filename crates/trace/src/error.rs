//! What can be wrong with a trace file.

use std::fmt;

/// Why bytes were not accepted as a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceError {
    /// The bytes do not begin as a trace file does.
    NotATrace,
    /// Written by another version of the format.
    Version {
        /// The version in the file.
        found: u16,
    },
    /// A pack written by another version of its format.
    PackVersion {
        /// The version in the file.
        found: u8,
    },
    /// The bytes end in the middle of something.
    Truncated {
        /// Where more was expected, in bytes from the start.
        offset: usize,
    },
    /// The bytes cannot be what a writer wrote.
    Corrupt {
        /// Where, in bytes from the start.
        offset: usize,
        /// What was found wrong.
        what: &'static str,
    },
    /// Larger than the reader was told to accept.
    Limit {
        /// Which of the [`Limits`](crate::Limits) was reached.
        what: &'static str,
        /// Its value.
        limit: usize,
    },
    /// The checksum at the end does not match what precedes it.
    Checksum,
}

impl TraceError {
    /// The error's code, under which `asupersync explain` knows it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            TraceError::NotATrace => "ASY-0610",
            TraceError::Version { .. } | TraceError::PackVersion { .. } => "ASY-0611",
            TraceError::Truncated { .. } => "ASY-0612",
            TraceError::Corrupt { .. } => "ASY-0613",
            TraceError::Limit { .. } => "ASY-0614",
            TraceError::Checksum => "ASY-0615",
        }
    }
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            TraceError::NotATrace => {
                f.write_str("this is not a trace file: it does not begin with `ASYTRACE`, nor as a crash pack with `ASYPACK`")
            }
            TraceError::Version { found } => write!(
                f,
                "trace format version {found} is not the one this build reads ({}); read it with \
                 the build that wrote it, or record it again",
                crate::VERSION
            ),
            TraceError::PackVersion { found } => write!(
                f,
                "crash pack version {found} is not the one this build reads ({}); read it with the build \
                 that wrote it, or let the test fail again",
                crate::pack::VERSION
            ),
            TraceError::Truncated { offset } => write!(
                f,
                "the trace ends too early, at byte {offset}; the run that wrote it was cut off, or \
                 the copy is incomplete"
            ),
            TraceError::Corrupt { offset, what } => write!(
                f,
                "the trace is damaged at byte {offset}: {what}; record it again from its seed"
            ),
            TraceError::Limit { what, limit } => {
                write!(
                    f,
                    "the trace has more {what} than the limit of {limit}; raise the limit to read it"
                )
            }
            TraceError::Checksum => f.write_str(
                "the trace's checksum does not match its bytes; the copy is damaged, record it \
                 again from its seed",
            ),
        }
    }
}

impl std::error::Error for TraceError {}
