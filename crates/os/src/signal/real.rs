//! The process's own signals.
//!
//! A handler may do next to nothing: it sets a bit and writes to an event descriptor, which the reactor
//! watches like a socket.

use super::Signal;
use asupersync_reactor::{Direction, FdSource, Io, Reactor};
use mio::Interest;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use signal_hook_registry::SigId;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

/// What the handlers and the stream share.
struct Bell {
    /// One bit a signal that arrived and was not taken.
    pending: AtomicU64,
    event: OwnedFd,
}

impl Bell {
    /// Called by signal handlers: only an atomic operation and a system call, no allocation, no lock.
    /// `errno` is left alone, because rustix makes the system call itself.
    fn ring(&self, bit: u64) {
        // SeqCst costs nothing beside the system call. The bit is set before the descriptor becomes
        // readable, so whoever reads the descriptor first finds the bit afterwards.
        self.pending.fetch_or(bit, Ordering::SeqCst);
        // It fails only when the counter is full, and then the descriptor is readable already.
        let _ = rustix::io::write(&self.event, &1u64.to_ne_bytes());
    }
}

struct SharedBell(Arc<Bell>);

impl AsFd for SharedBell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.event.as_fd()
    }
}

pub(super) struct ProcessSignals {
    source: Io<FdSource<SharedBell>>,
    handlers: Vec<SigId>,
    /// The one that was received last.
    last: Option<Signal>,
}

impl ProcessSignals {
    pub(super) fn new(reactor: &Reactor, wanted: u64) -> io::Result<ProcessSignals> {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let bell = Arc::new(Bell { pending: AtomicU64::new(0), event });
        let source = Io::new(reactor, FdSource(SharedBell(bell.clone())), Interest::READABLE)?;
        // Handlers already registered are taken back by `Drop` when a later one is refused.
        let mut signals = ProcessSignals { source, handlers: Vec::new(), last: None };
        let mut left = wanted;
        while let Some(signal) = Signal::lowest_in(left) {
            left &= !signal.bit();
            signals.handlers.push(register(signal, bell.clone())?);
        }
        Ok(signals)
    }

    pub(super) fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Signal>> {
        let bell = &self.source.get_ref().0.0;
        loop {
            if let Some(signal) = Signal::after(self.last, bell.pending.load(Ordering::SeqCst)) {
                bell.pending.fetch_and(!signal.bit(), Ordering::SeqCst);
                self.last = Some(signal);
                return Poll::Ready(Ok(signal));
            }
            let registration = self.source.registration();
            let ready = ready!(registration.poll_ready(Direction::Read, context));
            match rustix::io::read(&bell.event, &mut [0; 8]) {
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => registration.clear_ready(ready),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
    }
}

#[expect(unsafe_code, reason = "a signal handler")]
fn register(signal: Signal, bell: Arc<Bell>) -> io::Result<SigId> {
    let bit = signal.bit();
    // SAFETY: the handler must be safe to run between any two instructions of the process
    // (signal-safety(7)). `Bell::ring` is an atomic operation and write(2) on a descriptor that the
    // closure's own reference keeps open; it allocates, locks and panics nowhere. The reference is
    // dropped by `unregister`, which does that outside of handlers. `Signal` keeps out the signals that
    // `register` refuses.
    unsafe { signal_hook_registry::register(signal.number(), move || bell.ring(bit)) }
}

impl Drop for ProcessSignals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            signal_hook_registry::unregister(handler);
        }
    }
}

impl fmt::Debug for ProcessSignals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProcessSignals").field("watched", &self.handlers.len()).finish()
    }
}
