//! Signals as a stream.

mod real;
mod virtual_signals;

pub use self::virtual_signals::VirtualSignals;

use self::real::ProcessSignals;
use self::virtual_signals::Subscription;
use asupersync_core::cap::HasIo;
use asupersync_core::{Cx, Error, ErrorKind, TaskCx};
use asupersync_reactor::Reactor;
use futures_core::Stream;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll};

/// A signal, by its number on Linux.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signal(u8);

impl Signal {
    /// SIGHUP: the terminal is gone; by custom, "read your configuration again".
    pub const HANGUP: Signal = Signal(1);
    /// SIGINT: Ctrl-C.
    pub const INTERRUPT: Signal = Signal(2);
    /// SIGQUIT: Ctrl-\.
    pub const QUIT: Signal = Signal(3);
    /// SIGUSR1.
    pub const USER_1: Signal = Signal(10);
    /// SIGUSR2.
    pub const USER_2: Signal = Signal(12);
    /// SIGPIPE: a write to a pipe or socket nobody reads.
    pub const PIPE: Signal = Signal(13);
    /// SIGALRM.
    pub const ALARM: Signal = Signal(14);
    /// SIGTERM: please end.
    pub const TERMINATE: Signal = Signal(15);
    /// SIGCHLD: a child process changed its state.
    pub const CHILD: Signal = Signal(17);
    /// SIGWINCH: the terminal's size changed.
    pub const WINDOW: Signal = Signal(28);

    /// A signal by its number, 1 to 64.
    ///
    /// # Errors
    /// [`UnwatchableSignal`] for what cannot be caught (SIGKILL, SIGSTOP), what tells of a
    /// fault of the running instruction (SIGILL, SIGFPE, SIGSEGV), and what is no signal.
    pub const fn new(number: i32) -> Result<Signal, UnwatchableSignal> {
        const ILL: i32 = 4;
        const FPE: i32 = 8;
        const KILL: i32 = 9;
        const SEGV: i32 = 11;
        const STOP: i32 = 19;
        match number {
            ILL | FPE | KILL | SEGV | STOP => Err(UnwatchableSignal(number)),
            1..=64 => Ok(Signal(number as u8)),
            _ => Err(UnwatchableSignal(number)),
        }
    }

    /// Its number.
    #[must_use]
    pub const fn number(self) -> i32 {
        self.0 as i32
    }

    const fn bit(self) -> u64 {
        1 << (self.0 - 1)
    }

    fn lowest_in(bits: u64) -> Option<Signal> {
        (bits != 0).then(|| Signal(bits.trailing_zeros() as u8 + 1))
    }

    /// The signal to hand out after this one: the next number that is pending, then the lowest. One that
    /// keeps arriving does not keep others waiting.
    fn after(last: Option<Signal>, pending: u64) -> Option<Signal> {
        let done = last.map_or(0, |last| last.bit() | (last.bit() - 1));
        Signal::lowest_in(pending & !done).or_else(|| Signal::lowest_in(pending))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match *self {
            Signal::HANGUP => "SIGHUP",
            Signal::INTERRUPT => "SIGINT",
            Signal::QUIT => "SIGQUIT",
            Signal::USER_1 => "SIGUSR1",
            Signal::USER_2 => "SIGUSR2",
            Signal::PIPE => "SIGPIPE",
            Signal::ALARM => "SIGALRM",
            Signal::TERMINATE => "SIGTERM",
            Signal::CHILD => "SIGCHLD",
            Signal::WINDOW => "SIGWINCH",
            Signal(number) => return write!(f, "signal {number}"),
        };
        f.write_str(name)
    }
}

impl fmt::Debug for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A number that is no signal, or one that no program can or should catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnwatchableSignal(i32);

impl UnwatchableSignal {
    /// The stable code of this error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        "ASY-0520"
    }
}

impl fmt::Display for UnwatchableSignal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: signal number {} cannot be watched; SIGKILL, SIGSTOP, SIGILL, SIGFPE and SIGSEGV \
             cannot, nor can what lies outside 1..=64",
            self.code(),
            self.0
        )
    }
}

impl std::error::Error for UnwatchableSignal {}

impl From<UnwatchableSignal> for Error {
    #[track_caller]
    fn from(error: UnwatchableSignal) -> Error {
        Error::new(ErrorKind::InvalidInput, error.to_string()).with_source(error)
    }
}

/// The signals of a chosen set that arrive while this lives. Several may watch the same signal: each
/// receives it. Also a `Stream`, which never ends.
///
/// # Cancel safety
/// A cancelled [`recv`](Signals::recv) takes nothing.
#[derive(Debug)]
pub struct Signals {
    backend: Backend,
}

#[derive(Debug)]
enum Backend {
    Process(ProcessSignals),
    Virtual(Subscription),
}

impl Signals {
    /// Watches signals from now on: what they did by default they do no more. Make it before the
    /// moment from which no signal may be missed.
    ///
    /// # Errors
    /// ASY-0004 inside when the host delivers no signals, or the system's error.
    #[track_caller]
    pub fn new<C: HasIo>(
        cx: &Cx<C>,
        signals: impl IntoIterator<Item = Signal>,
    ) -> io::Result<Signals> {
        let wanted = signals.into_iter().fold(0, |bits, signal| bits | signal.bit());
        let backend = if let Some(signals) = cx.service::<VirtualSignals>() {
            Backend::Virtual(signals.subscribe(wanted))
        } else if let Some(reactor) = cx.service::<Reactor>() {
            Backend::Process(ProcessSignals::new(&reactor, wanted)?)
        } else {
            let what = "cannot watch signals: this host delivers none";
            let error = Error::new(ErrorKind::ServiceMissing, what);
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        };
        Ok(Signals { backend })
    }

    /// Waits for a signal. What arrives again before it is received is received once. Several that are
    /// pending come by number, in turns: one that keeps arriving does not keep others waiting.
    ///
    /// # Errors
    /// `Cancelled`, or the system's.
    ///
    /// # Cancel safety
    /// A cancelled call takes nothing. A cancel request is answered within one poll.
    #[track_caller]
    pub fn recv<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = io::Result<Signal>> + use<'a> {
        let site = Location::caller();
        async move { cx.wait_at("Signals::recv", site, |context| self.poll_recv(context)).await? }
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Signal>> {
        match &mut self.backend {
            Backend::Process(signals) => signals.poll_recv(context),
            Backend::Virtual(signals) => signals.poll_recv(context).map(Ok),
        }
    }
}

impl Stream for Signals {
    type Item = io::Result<Signal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll_recv(context).map(Some)
    }
}

/// Waits for Ctrl-C (SIGINT). Watching begins when the future is first polled; what comes earlier
/// ends the process. A program that must not miss it makes a [`Signals`] first.
///
/// # Errors
/// As [`Signals::new`] and [`Signals::recv`].
///
/// # Cancel safety
/// A cancelled call takes nothing, but Ctrl-C has lost its default action for good. A cancel
/// request is answered within one poll.
#[track_caller]
pub fn ctrl_c<C: HasIo>(cx: &Cx<C>) -> impl Future<Output = io::Result<()>> + '_ {
    let site = Location::caller();
    async move {
        let mut signals = Signals::new(cx, [Signal::INTERRUPT])?;
        cx.wait_at("ctrl_c", site, |context| signals.poll_recv(context)).await??;
        Ok(())
    }
}
