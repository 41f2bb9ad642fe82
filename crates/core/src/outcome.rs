//! How a task or region ended.

use crate::cancel::CancelReason;
use std::any::Any;
use std::fmt;
use std::sync::Mutex;

/// How badly something ended. Severities only ever rise: joining two outcomes keeps the worse.
///
/// A total order `Ok < Err < Cancelled < Panicked`, and so a lattice: [`join`](Severity::join) is
/// associative, commutative and idempotent, with identity `Ok` and `Panicked` absorbing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// It finished.
    Ok,
    /// It failed with an application error.
    Err,
    /// It was cancelled before it could finish.
    Cancelled,
    /// It panicked.
    Panicked,
}

impl Severity {
    /// The worse of two severities: the lattice's join.
    #[must_use]
    pub fn join(self, other: Severity) -> Severity {
        self.max(other)
    }
}

/// The four-valued result of a task or region.
///
/// A task's *body* returns `Result<T, E>`; what a join or a region yields is an `Outcome`, because
/// the one who waits must also hear of cancellation and panics. The order of severities is
/// `Ok < Err < Cancelled < Panicked`.
///
/// ```
/// use asupersync_core::{Outcome, Severity};
///
/// let outcome: Outcome<u32, String> = Outcome::Ok(7);
/// assert_eq!(outcome.severity(), Severity::Ok);
/// assert_eq!(outcome.into_result().unwrap(), 7);
/// ```
#[derive(Debug)]
#[must_use = "an outcome may hold an error, a cancellation or a panic"]
pub enum Outcome<T, E> {
    /// The value the body returned.
    Ok(T),
    /// The error the body returned.
    Err(E),
    /// Cancelled before it could finish, and why.
    Cancelled(CancelReason),
    /// Panicked; the payload is kept.
    Panicked(PanicPayload),
}

impl<T, E> Outcome<T, E> {
    /// Where this outcome stands in the severity lattice.
    pub const fn severity(&self) -> Severity {
        match self {
            Outcome::Ok(_) => Severity::Ok,
            Outcome::Err(_) => Severity::Err,
            Outcome::Cancelled(_) => Severity::Cancelled,
            Outcome::Panicked(_) => Severity::Panicked,
        }
    }

    /// Whether this is `Ok`.
    pub const fn is_ok(&self) -> bool {
        matches!(self, Outcome::Ok(_))
    }

    /// Whether this is `Cancelled`.
    pub const fn is_cancelled(&self) -> bool {
        matches!(self, Outcome::Cancelled(_))
    }

    /// The value, when there is one.
    pub fn ok(self) -> Option<T> {
        match self {
            Outcome::Ok(value) => Some(value),
            _ => None,
        }
    }

    /// As a `Result`, so that the joiner has `?` again.
    ///
    /// # Errors
    /// Everything but `Ok`, with nothing lost.
    pub fn into_result(self) -> Result<T, OutcomeError<E>> {
        match self {
            Outcome::Ok(value) => Ok(value),
            Outcome::Err(error) => Err(OutcomeError::Err(error)),
            Outcome::Cancelled(reason) => Err(OutcomeError::Cancelled(reason)),
            Outcome::Panicked(payload) => Err(OutcomeError::Panicked(payload)),
        }
    }

    /// The HTTP status that answers a request which ended so: 200, what `of_error` says, 499 (client
    /// closed request, as nginx writes it), 500 (RFC 9110, section 15.6.1).
    ///
    /// ```
    /// use asupersync_core::{CancelReason, Outcome};
    ///
    /// let of_error = |error: &String| if error == "no such page" { 404 } else { 500 };
    /// let missing: Outcome<(), String> = Outcome::Err("no such page".into());
    /// assert_eq!(missing.http_status(of_error), 404);
    /// let gone: Outcome<(), String> = Outcome::Cancelled(CancelReason::user("the client left"));
    /// assert_eq!(gone.http_status(of_error), 499);
    /// ```
    pub fn http_status(&self, of_error: impl FnOnce(&E) -> u16) -> u16 {
        match self {
            Outcome::Ok(_) => 200,
            Outcome::Err(error) => of_error(error),
            Outcome::Cancelled(_) => 499,
            Outcome::Panicked(_) => 500,
        }
    }

    /// Applies `f` to the value of `Ok`.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U, E> {
        match self {
            Outcome::Ok(value) => Outcome::Ok(f(value)),
            Outcome::Err(error) => Outcome::Err(error),
            Outcome::Cancelled(reason) => Outcome::Cancelled(reason),
            Outcome::Panicked(payload) => Outcome::Panicked(payload),
        }
    }

    /// Applies `f` to the error of `Err`.
    pub fn map_err<F>(self, f: impl FnOnce(E) -> F) -> Outcome<T, F> {
        match self {
            Outcome::Ok(value) => Outcome::Ok(value),
            Outcome::Err(error) => Outcome::Err(f(error)),
            Outcome::Cancelled(reason) => Outcome::Cancelled(reason),
            Outcome::Panicked(payload) => Outcome::Panicked(payload),
        }
    }
}

impl<T, E> From<Result<T, E>> for Outcome<T, E> {
    fn from(result: Result<T, E>) -> Self {
        match result {
            Ok(value) => Outcome::Ok(value),
            Err(error) => Outcome::Err(error),
        }
    }
}

/// Both values, or the worse of the two endings; of two equally bad ones, the first.
///
/// The severity of the result is the [join](Severity::join) of the two, so it obeys that lattice's laws.
/// The payload does not: of two errors the first is kept, so the function is associative but not
/// commutative.
pub fn join_outcomes<T, U, E>(first: Outcome<T, E>, second: Outcome<U, E>) -> Outcome<(T, U), E> {
    if second.severity() > first.severity() {
        return match second {
            Outcome::Ok(_) => unreachable!("nothing is less severe than Ok"),
            Outcome::Err(error) => Outcome::Err(error),
            Outcome::Cancelled(reason) => Outcome::Cancelled(reason),
            Outcome::Panicked(payload) => Outcome::Panicked(payload),
        };
    }
    match (first, second) {
        (Outcome::Ok(first), Outcome::Ok(second)) => Outcome::Ok((first, second)),
        (first, _) => first.map(|_| unreachable!("an Ok joined with less than Ok")),
    }
}

/// Every ending but success; what [`Outcome::into_result`] yields.
#[derive(Debug)]
pub enum OutcomeError<E> {
    /// The error the body returned.
    Err(E),
    /// Cancelled, and why.
    Cancelled(CancelReason),
    /// Panicked; the payload is kept.
    Panicked(PanicPayload),
}

impl<E: fmt::Display> fmt::Display for OutcomeError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OutcomeError::Err(error) => error.fmt(f),
            OutcomeError::Cancelled(reason) => write!(f, "cancelled: {reason}"),
            OutcomeError::Panicked(payload) => write!(f, "panicked: {}", payload.message()),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for OutcomeError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            OutcomeError::Err(error) => Some(error),
            OutcomeError::Cancelled(_) | OutcomeError::Panicked(_) => None,
        }
    }
}

/// What a panicking body threw, kept whole.
pub struct PanicPayload {
    message: Box<str>,
    // `dyn Any + Send` is not `Sync`; outcomes are shared by reference, so the payload is locked.
    payload: Mutex<Box<dyn Any + Send>>,
}

impl PanicPayload {
    /// Wraps what `catch_unwind` returned.
    #[must_use]
    pub fn new(payload: Box<dyn Any + Send>) -> PanicPayload {
        let message = payload
            .downcast_ref::<&'static str>()
            .map(|text| Box::from(*text))
            .or_else(|| payload.downcast_ref::<String>().map(|text| Box::from(text.as_str())))
            .unwrap_or_else(|| Box::from("(a payload that is not text)"));
        PanicPayload { message, payload: Mutex::new(payload) }
    }

    /// The panic's message, when the payload was text.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The payload itself, to be inspected or thrown again with `std::panic::resume_unwind`.
    #[must_use]
    pub fn into_inner(self) -> Box<dyn Any + Send> {
        self.payload.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl fmt::Debug for PanicPayload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PanicPayload").field(&self.message).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(severity: Severity) -> Outcome<u8, u8> {
        match severity {
            Severity::Ok => Outcome::Ok(1),
            Severity::Err => Outcome::Err(2),
            Severity::Cancelled => Outcome::Cancelled(CancelReason::user("test")),
            Severity::Panicked => Outcome::Panicked(PanicPayload::new(Box::new("boom"))),
        }
    }

    #[test]
    fn joining_outcomes_keeps_the_worse_severity() {
        use Severity::{Cancelled, Err, Ok, Panicked};
        for a in [Ok, Err, Cancelled, Panicked] {
            for b in [Ok, Err, Cancelled, Panicked] {
                let joined = join_outcomes(outcome(a), outcome(b));
                assert_eq!(joined.severity(), a.join(b), "{a:?} with {b:?}");
            }
        }
    }

    #[test]
    fn a_panic_message_is_kept_for_both_kinds_of_text() {
        assert_eq!(PanicPayload::new(Box::new("literal")).message(), "literal");
        assert_eq!(PanicPayload::new(Box::new(String::from("built"))).message(), "built");
        let payload = PanicPayload::new(Box::new(42_u8));
        assert_eq!(*payload.into_inner().downcast::<u8>().unwrap(), 42);
    }
}
