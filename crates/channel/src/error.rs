//! What sending and receiving can answer instead of success.

use asupersync_core::{Cancelled, Error, ErrorKind};
use asupersync_sync::slots::{NotTaken, Refused};
use std::fmt;

/// Why no permit was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendError {
    /// The receiver is gone, or closed the channel.
    Closed,
    /// The waiting scope was cancelled; nothing was reserved.
    Cancelled(Cancelled),
    /// More permits were asked for at once than the channel can ever hold.
    TooMany {
        /// How many were asked for.
        asked: usize,
        /// How many messages the channel holds at most.
        capacity: usize,
    },
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SendError::Closed => f.write_str("the channel is closed: its receiver takes no more"),
            SendError::Cancelled(cancelled) => cancelled.fmt(f),
            SendError::TooMany { asked, capacity } => write!(
                f,
                "{asked} permits at once are more than the channel's capacity of {capacity}: \
                 reserve in parts, or make the channel larger"
            ),
        }
    }
}

impl std::error::Error for SendError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            SendError::Cancelled(cancelled) => Some(cancelled),
            SendError::Closed | SendError::TooMany { .. } => None,
        }
    }
}

impl From<Cancelled> for SendError {
    fn from(cancelled: Cancelled) -> SendError {
        SendError::Cancelled(cancelled)
    }
}

impl From<NotTaken> for SendError {
    fn from(error: NotTaken) -> SendError {
        match error {
            NotTaken::Closed => SendError::Closed,
            NotTaken::Cancelled(cancelled) => SendError::Cancelled(cancelled),
        }
    }
}

impl From<SendError> for Error {
    #[track_caller]
    fn from(error: SendError) -> Error {
        match error {
            SendError::Closed => Error::new(ErrorKind::ChannelClosed, error.to_string()),
            SendError::Cancelled(cancelled) => cancelled.into(),
            SendError::TooMany { .. } => Error::new(ErrorKind::InvalidInput, error.to_string()),
        }
    }
}

/// A value that was not sent, and why.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unsent<T> {
    /// The value, handed back.
    pub value: T,
    /// Why it was not sent.
    pub error: SendError,
}

impl<T> fmt::Debug for Unsent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unsent").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<T> fmt::Display for Unsent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<T> std::error::Error for Unsent<T> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl<T> From<Unsent<T>> for Error {
    #[track_caller]
    fn from(unsent: Unsent<T>) -> Error {
        unsent.error.into()
    }
}

/// Why a value, or a permit (`T = ()`), could not be sent or had at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// No capacity is free, or other senders were first.
    Full(T),
    /// The receiver is gone, or closed the channel.
    Closed(T),
}

impl<T> TrySendError<T> {
    pub(crate) fn refused(refused: Refused, value: T) -> TrySendError<T> {
        match refused {
            Refused::Short => TrySendError::Full(value),
            Refused::Closed => TrySendError::Closed(value),
        }
    }

    /// The value, handed back.
    pub fn into_inner(self) -> T {
        match self {
            TrySendError::Full(value) | TrySendError::Closed(value) => value,
        }
    }
}

impl<T> fmt::Debug for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "Full(..)",
            TrySendError::Closed(_) => "Closed(..)",
        })
    }
}

impl<T> fmt::Display for TrySendError<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TrySendError::Full(_) => "no capacity is free, or other senders were first",
            TrySendError::Closed(_) => "the channel is closed: its receiver takes no more",
        })
    }
}

impl<T> std::error::Error for TrySendError<T> {}

impl<T> From<TrySendError<T>> for Error {
    #[track_caller]
    fn from(error: TrySendError<T>) -> Error {
        let kind = match error {
            TrySendError::Full(_) => ErrorKind::Other,
            TrySendError::Closed(_) => ErrorKind::ChannelClosed,
        };
        Error::new(kind, error.to_string())
    }
}

/// Why nothing was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvError {
    /// The channel is empty, and nobody is left who could send.
    Closed,
    /// The waiting scope was cancelled; every message is still in the channel.
    Cancelled(Cancelled),
}

impl fmt::Display for RecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RecvError::Closed => {
                f.write_str("the channel is empty, and nobody is left who could send")
            }
            RecvError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl std::error::Error for RecvError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            RecvError::Cancelled(cancelled) => Some(cancelled),
            RecvError::Closed => None,
        }
    }
}

impl From<Cancelled> for RecvError {
    fn from(cancelled: Cancelled) -> RecvError {
        RecvError::Cancelled(cancelled)
    }
}

impl From<RecvError> for Error {
    #[track_caller]
    fn from(error: RecvError) -> Error {
        match error {
            RecvError::Closed => Error::new(ErrorKind::ChannelClosed, error.to_string()),
            RecvError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// Why nothing was received at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing is there now.
    Empty,
    /// Nothing is there, and nobody is left who could send.
    Closed,
}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryRecvError::Empty => "the channel is empty",
            TryRecvError::Closed => "the channel is empty, and nobody is left who could send",
        })
    }
}

impl std::error::Error for TryRecvError {}

impl From<TryRecvError> for Error {
    #[track_caller]
    fn from(error: TryRecvError) -> Error {
        let kind = match error {
            TryRecvError::Empty => ErrorKind::Other,
            TryRecvError::Closed => ErrorKind::ChannelClosed,
        };
        Error::new(kind, error.to_string())
    }
}

/// What became of a value that a permit sent.
///
/// Sending through a permit cannot fail, so this need not be looked at: it says whether the value is
/// in the channel, or came back because the receiver had gone meanwhile.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Delivery<T> {
    /// The value is in the channel.
    Queued,
    /// The receiver is gone; here is the value.
    HandedBack(T),
}

impl<T> Delivery<T> {
    /// Whether the value is in the channel.
    pub fn is_queued(&self) -> bool {
        matches!(self, Delivery::Queued)
    }

    /// The value, if it came back.
    pub fn handed_back(self) -> Option<T> {
        match self {
            Delivery::Queued => None,
            Delivery::HandedBack(value) => Some(value),
        }
    }

    /// As a `Result` whose error is the value that came back.
    ///
    /// # Errors
    /// The value, when the receiver is gone.
    pub fn into_result(self) -> Result<(), T> {
        match self {
            Delivery::Queued => Ok(()),
            Delivery::HandedBack(value) => Err(value),
        }
    }
}

impl<T> fmt::Debug for Delivery<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Delivery::Queued => "Queued",
            Delivery::HandedBack(_) => "HandedBack(..)",
        })
    }
}
