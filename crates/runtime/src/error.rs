//! What can be wrong with a recording while it is made.

use asupersync_core::{Error, ErrorKind};
use std::fmt;
use std::io;
use std::path::Path;

/// Why a run is not, or not wholly, in its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordError {
    /// The runtime has recorded a program already; it records one.
    Used,
    /// Something happened that cannot be replayed. The file holds what came before it.
    Stopped {
        /// What.
        why: String,
    },
    /// The file cannot be written.
    File {
        /// Which, and the system's error.
        message: String,
    },
}

impl RecordError {
    pub(crate) fn file(path: &Path, error: &io::Error) -> RecordError {
        RecordError::File { message: format!("{}: {error}", path.display()) }
    }

    /// The code under which `asupersync explain` knows it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "ASY-0602"
    }
}

impl fmt::Display for RecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.code())?;
        match self {
            RecordError::Used => f.write_str(
                "this runtime has recorded a program already; build another one with a file of its own",
            ),
            RecordError::Stopped { why } => write!(
                f,
                "the recording ends before its run: {why}; the file holds what came before that"
            ),
            RecordError::File { message } => write!(f, "the recording cannot be written: {message}"),
        }
    }
}

impl std::error::Error for RecordError {}

impl From<RecordError> for Error {
    #[track_caller]
    fn from(error: RecordError) -> Error {
        let kind = match error {
            RecordError::Used => ErrorKind::InvalidInput,
            RecordError::Stopped { .. } => ErrorKind::Other,
            RecordError::File { .. } => ErrorKind::Io,
        };
        Error::new(kind, error.to_string()).with_source(error)
    }
}
