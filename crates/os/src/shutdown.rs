//! The end of a program, asked for by signals.

use crate::signal::{Signal, Signals};
use asupersync_core::cap::{HasIo, HasTime};
use asupersync_core::primitive::Mutex;
use asupersync_core::{
    BranchEnd, BranchOptions, CancelReason, Cancelled, Cx, Object, TaskCx, Time, WakeList,
};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

/// Ends a program in order when a signal asks for it.
///
/// ```text
///   running ─▶ (SIGTERM or SIGINT) draining ─▶ (everything done) ended, code 0
///                                     └──────▶ (grace over, or a second signal) cancelled ─▶ ended, code 128 + signal
/// ```
///
/// While it drains, a program takes on nothing new and finishes what it has: it learns of it from a
/// [`Drain`]. What is left when the grace is over is cancelled by protocol, with a cleanup time of its own.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_os::{Drain, Shutdown};
/// use std::time::Duration;
///
/// async fn work(cx: &Cx, drain: Drain) -> Result<u64, Error> {
///     let mut done = 0;
///     while !drain.is_asked() {
///         cx.sleep(Duration::from_millis(10)).await?;
///         done += 1;
///     }
///     Ok(done)
/// }
///
/// async fn program(cx: &Cx) -> Result<u8, Error> {
///     let shutdown = Shutdown::on_signals(cx, Duration::from_secs(5))?;
///     let drain = shutdown.drain();
///     let ended = shutdown.run(cx, work(cx, drain)).await;
///     Ok(ended.exit_code())
/// }
/// # let _ = program;
/// ```
#[derive(Debug)]
pub struct Shutdown {
    signals: Signals,
    drain: Drain,
    grace: Duration,
    cleanup: Duration,
}

/// Whether the program shall end; given to whoever takes on work. Cheap to clone.
#[derive(Clone)]
pub struct Drain {
    shared: Arc<Asked>,
}

struct Asked {
    object: Object,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    asked: bool,
    waiting: Vec<Waker>,
}

/// How a program ended.
#[derive(Debug)]
#[non_exhaustive]
pub struct Ended<T> {
    /// What it answered; none when it did not end within its cleanup time.
    pub value: Option<T>,
    /// The first signal that asked for the end; none when the program ended by itself.
    pub signal: Option<Signal>,
    /// The drain took too long, or a second signal came: what was left was cancelled.
    pub cancelled: bool,
}

impl<T> Ended<T> {
    /// 0 when everything was done, also after a signal; 128 and the signal's number, as shells count, when
    /// the rest had to be cancelled.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self.signal {
            Some(signal) if self.cancelled => 128 + signal.number() as u8,
            _ => 0,
        }
    }
}

impl Shutdown {
    /// Watches SIGTERM and SIGINT from now on. A program has `grace` to drain after the first.
    ///
    /// # Errors
    /// As [`Signals::new`].
    #[track_caller]
    pub fn on_signals<C: HasIo>(cx: &Cx<C>, grace: Duration) -> io::Result<Shutdown> {
        Shutdown::on(cx, [Signal::TERMINATE, Signal::INTERRUPT], grace)
    }

    /// As [`on_signals`](Self::on_signals), for other signals.
    ///
    /// # Errors
    /// As [`Signals::new`].
    #[track_caller]
    pub fn on<C: HasIo>(
        cx: &Cx<C>,
        signals: impl IntoIterator<Item = Signal>,
        grace: Duration,
    ) -> io::Result<Shutdown> {
        let drain = Drain {
            shared: Arc::new(Asked { object: Object::new("drain"), state: Mutex::default() }),
        };
        let signals = Signals::new(cx, signals)?;
        Ok(Shutdown { signals, drain, grace, cleanup: Duration::from_secs(2) })
    }

    /// How long cancelled tasks may clean up: two seconds unless told otherwise.
    #[must_use]
    pub fn cleanup(mut self, cleanup: Duration) -> Shutdown {
        self.cleanup = cleanup;
        self
    }

    /// What the program asks whether it shall end.
    ///
    /// # Cancel safety
    /// Does not wait.
    #[must_use]
    pub fn drain(&self) -> Drain {
        self.drain.clone()
    }

    /// Runs a program to its end, in whichever way that comes: see [`Shutdown`].
    ///
    /// # Cancel safety
    /// When the scope around it is cancelled, the program is told so and runs to its end.
    pub async fn run<C: HasIo + HasTime, F: Future>(
        self,
        cx: &Cx<C>,
        program: F,
    ) -> Ended<F::Output> {
        let Shutdown { mut signals, drain, grace, cleanup } = self;
        let mut first = None;
        let mut cancelled = false;
        let mut deadline: Option<Time> = None;
        let mut program = pin!(cx.branch(BranchOptions::default(), program));
        loop {
            let next = {
                let mut signal = pin!(signals.recv(cx));
                let mut sleep = pin!(deadline.map(|deadline| cx.sleep_until(deadline)));
                let (mut hears, mut waits) = (!cancelled, true);
                poll_fn(|context| {
                    if let Poll::Ready(end) = program.as_mut().poll(context) {
                        return Poll::Ready(Next::Ended(end));
                    }
                    if hears {
                        match signal.as_mut().poll(context) {
                            Poll::Ready(Ok(signal)) => return Poll::Ready(Next::Signal(signal)),
                            // The scope around us is cancelled, which the program sees for itself.
                            Poll::Ready(Err(_)) => hears = false,
                            Poll::Pending => {}
                        }
                    }
                    let Some(sleep) = sleep.as_mut().as_pin_mut().filter(|_| waits) else {
                        return Poll::Pending;
                    };
                    match sleep.poll(context) {
                        Poll::Ready(Ok(())) => Poll::Ready(Next::GraceIsOver),
                        Poll::Ready(Err(Cancelled { .. })) => {
                            waits = false;
                            Poll::Pending
                        }
                        Poll::Pending => Poll::Pending,
                    }
                })
                .await
            };
            let reason = match next {
                Next::Ended(end) => {
                    let value = match end {
                        BranchEnd::Finished(value) => Some(value),
                        BranchEnd::Dropped(_) => None,
                    };
                    return Ended { value, signal: first, cancelled };
                }
                Next::Signal(signal) if first.is_none() => {
                    first = Some(signal);
                    deadline = Some(cx.now() + grace);
                    drain.ask();
                    continue;
                }
                Next::Signal(signal) => format!("a second signal, {signal}"),
                Next::GraceIsOver => format!("the program did not drain within {grace:?}"),
            };
            cancelled = true;
            deadline = None;
            let reason = CancelReason::shutdown(cleanup).with_message(reason);
            program.as_mut().cancel(reason);
        }
    }
}

enum Next<T> {
    Ended(BranchEnd<T>),
    Signal(Signal),
    GraceIsOver,
}

impl Drain {
    /// Whether the program shall end: take on nothing new.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.shared.object.read();
        self.shared.state.lock().asked
    }

    /// Waits until the program shall end.
    ///
    /// # Errors
    /// [`Cancelled`].
    ///
    /// # Cancel safety
    /// Nothing is lost. A cancel request is answered within one poll.
    #[track_caller]
    pub fn asked<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<(), Cancelled>> + Send + 'a {
        cx.wait_at("Drain::asked", Location::caller(), |context| {
            let waker = context.waker().clone();
            let mut state = self.shared.state.lock();
            let mut spare = Some(waker);
            let asked = state.asked;
            if !asked && !state.waiting.iter().any(|known| known.will_wake(context.waker())) {
                state.waiting.extend(spare.take());
            }
            drop(state);
            drop(spare);
            self.shared.object.read();
            if asked { Poll::Ready(()) } else { Poll::Pending }
        })
    }

    fn ask(&self) {
        self.shared.object.write();
        let mut wakers = WakeList::new();
        let mut state = self.shared.state.lock();
        state.asked = true;
        wakers.extend(state.waiting.drain(..));
        drop(state);
        wakers.wake();
    }
}

impl fmt::Debug for Drain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drain").field("asked", &self.shared.state.lock().asked).finish()
    }
}
