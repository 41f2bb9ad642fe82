//! What a context may do, as types.
//!
//! A `Cx<C>` carries a set of capabilities `C`: a [`Set`] of seven yes/no answers. [`All`] is the
//! default; `cx.narrow()` gives a context with fewer, and nothing gives one with more. A method that
//! performs an effect asks for its capability by a bound ([`HasSpawn`], [`HasTime`], ..), so a
//! missing one is a compile error that names it.

use std::marker::PhantomData;

/// The capability is there.
#[derive(Debug)]
pub enum Yes {}
/// The capability is not there.
#[derive(Debug)]
pub enum No {}

/// A set of capabilities, one answer each: spawn, time, random, io, trace, blocking, remote.
#[derive(Debug)]
#[expect(clippy::type_complexity, reason = "one parameter for each capability")]
pub struct Set<S, T, R, I, Tr, B, Rm>(PhantomData<fn() -> (S, T, R, I, Tr, B, Rm)>);

/// Every capability; what a task gets unless its scope was narrowed.
pub type All = Set<Yes, Yes, Yes, Yes, Yes, Yes, Yes>;
/// No capability: such a task can compute, wait on channels and locks, and be cancelled.
pub type Nothing = Set<No, No, No, No, No, No, No>;
/// Spawning only: structure without effects.
pub type SpawnOnly = Set<Yes, No, No, No, No, No, No>;
/// The clock only.
pub type TimeOnly = Set<No, Yes, No, No, No, No, No>;
/// Sockets and clock, but no new tasks.
pub type IoOnly = Set<No, Yes, No, Yes, No, No, No>;

mod sealed {
    pub trait Answer {}
    pub trait Capabilities: Send + Sync + 'static {}
}

impl sealed::Answer for Yes {}
impl sealed::Answer for No {}

impl<S, T, R, I, Tr, B, Rm> sealed::Capabilities for Set<S, T, R, I, Tr, B, Rm>
where
    S: sealed::Answer + 'static,
    T: sealed::Answer + 'static,
    R: sealed::Answer + 'static,
    I: sealed::Answer + 'static,
    Tr: sealed::Answer + 'static,
    B: sealed::Answer + 'static,
    Rm: sealed::Answer + 'static,
{
}

/// Implemented by every [`Set`] and nothing else.
pub trait Capabilities: sealed::Capabilities {}
impl<C: sealed::Capabilities> Capabilities for C {}

/// `Self` gives at least what `Less` gives, answer by answer.
#[diagnostic::on_unimplemented(
    message = "a context cannot be narrowed to a capability it does not have",
    label = "this asks for more than the context has",
    note = "a narrowed context never regains what it gave up; pass the wider `&Cx` down instead"
)]
pub trait AtLeast<Less>: sealed::Answer {}
impl AtLeast<No> for No {}
impl AtLeast<No> for Yes {}
impl AtLeast<Yes> for Yes {}

/// `Self` may be narrowed to `Less`.
#[diagnostic::on_unimplemented(
    message = "a context cannot be narrowed to capabilities it does not have",
    label = "`{Less}` asks for more than `{Self}` has",
    note = "a narrowed context never regains what it gave up; pass the wider `&Cx` down instead"
)]
pub trait Includes<Less>: Capabilities {}

impl<S, T, R, I, Tr, B, Rm, S2, T2, R2, I2, Tr2, B2, Rm2>
    Includes<Set<S2, T2, R2, I2, Tr2, B2, Rm2>> for Set<S, T, R, I, Tr, B, Rm>
where
    Self: Capabilities,
    S: AtLeast<S2>,
    T: AtLeast<T2>,
    R: AtLeast<R2>,
    I: AtLeast<I2>,
    Tr: AtLeast<Tr2>,
    B: AtLeast<B2>,
    Rm: AtLeast<Rm2>,
{
}

macro_rules! capability {
    ($(#[$doc:meta])* $name:ident, $message:literal, [$($param:ident)*], [$($answer:ident)*]) => {
        $(#[$doc])*
        #[diagnostic::on_unimplemented(
            message = $message,
            label = "this needs a wider `Cx`",
            note = "the scope or caller narrowed it away; take the effect as a parameter, or ask for a wider `&Cx`"
        )]
        pub trait $name: Capabilities {}
        impl<$($param),*> $name for Set<$($answer),*> where Self: Capabilities {}
    };
}

capability!(
    /// May spawn tasks and open regions.
    HasSpawn, "this context lacks the `spawn` capability", [T R I Tr B Rm], [Yes T R I Tr B Rm]
);
capability!(
    /// May read the clock and sleep.
    HasTime, "this context lacks the `time` capability", [S R I Tr B Rm], [S Yes R I Tr B Rm]
);
capability!(
    /// May draw random numbers.
    HasRandom, "this context lacks the `random` capability", [S T I Tr B Rm], [S T Yes I Tr B Rm]
);
capability!(
    /// May reach the host's drivers: sockets, files, names.
    HasIo, "this context lacks the `io` capability", [S T R Tr B Rm], [S T R Yes Tr B Rm]
);
capability!(
    /// May write trace events.
    HasTrace, "this context lacks the `trace` capability", [S T R I B Rm], [S T R I Yes B Rm]
);
capability!(
    /// May run closures on the blocking pool.
    HasBlocking, "this context lacks the `blocking` capability", [S T R I Tr Rm], [S T R I Tr Yes Rm]
);
capability!(
    /// May reach other nodes.
    HasRemote, "this context lacks the `remote` capability", [S T R I Tr B], [S T R I Tr B Yes]
);
