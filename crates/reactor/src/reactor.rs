//! The driver that waits, and the shared handle that registers.

use crate::readiness::Readiness;
use crate::registration::Registration;
use asupersync_core::WakeList;
use mio::event::Source;
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::io::Errno;
use slab::Slab;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

/// The token of the reactor's own waker. Slots never reach it: their index is below 2^32 - 1.
const UNPARK: Token = Token(usize::MAX);
const EVENTS: usize = 1024;
const MILLISECOND: Duration = Duration::from_millis(1);

#[derive(Debug)]
struct Slot {
    generation: u32,
    readiness: Arc<Readiness>,
}

#[derive(Debug, Default)]
struct Slots {
    slab: Slab<Slot>,
    next_generation: u32,
}

#[derive(Debug)]
pub(crate) struct Shared {
    registry: Registry,
    waker: mio::Waker,
    slots: Mutex<Slots>,
}

/// The shared handle: registers sources and interrupts a waiting [`Driver`].
///
/// Cheap to clone. The production runtime offers it as a service: `cx.service::<Reactor>()`.
#[derive(Clone)]
pub struct Reactor {
    shared: Arc<Shared>,
}

/// The one that waits for events and wakes whom they concern.
///
/// Owned by whoever parks; see [`turn`](Driver::turn).
#[derive(Debug)]
pub struct Driver {
    poll: Poll,
    events: Events,
    shared: Arc<Shared>,
}

/// What one [`Driver::turn`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Turn {
    /// Events of registered sources.
    pub events: usize,
    /// Whether [`Reactor::unpark`] cut the wait short.
    pub unparked: bool,
}

impl Driver {
    /// A driver with nothing registered, and its handle.
    ///
    /// # Errors
    /// When the system gives no epoll or event descriptor.
    pub fn new() -> io::Result<(Driver, Reactor)> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let waker = mio::Waker::new(poll.registry(), UNPARK)?;
        let slots = Mutex::new(Slots::default());
        let shared = Arc::new(Shared { registry, waker, slots });
        let driver = Driver { poll, events: Events::with_capacity(EVENTS), shared: shared.clone() };
        Ok((driver, Reactor { shared }))
    }

    /// Waits for events for at most `timeout` (without one: until there are some, or
    /// [`Reactor::unpark`]), records them, and collects their waiters' wakers, which the caller wakes.
    ///
    /// A signal that interrupts the wait ends it like a timeout. The wait may end up to a millisecond
    /// before the timeout, so that the next turn can wait for the exact rest.
    ///
    /// # Errors
    /// What the system's wait answers; not to be expected while the driver lives.
    pub fn turn(&mut self, timeout: Option<Duration>, wakers: &mut WakeList) -> io::Result<Turn> {
        let timeout = match timeout {
            Some(timeout) if timeout >= MILLISECOND => {
                Some(Duration::from_millis(timeout.as_millis() as u64))
            }
            Some(rest) if !rest.is_zero() => {
                self.wait_exactly(rest)?;
                Some(Duration::ZERO)
            }
            timeout => timeout,
        };
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(Turn::default()),
            Err(error) => return Err(error),
        }
        let mut turn = Turn::default();
        let slots = self.shared.slots.lock();
        for event in &self.events {
            if event.token() == UNPARK {
                turn.unparked = true;
                continue;
            }
            let (index, generation) = parts(event.token());
            // An event fetched before its source was deregistered finds nothing, or a successor.
            let Some(slot) = slots.slab.get(index) else { continue };
            if slot.generation == generation {
                slot.readiness.record(event, wakers);
                turn.events += 1;
            }
        }
        Ok(turn)
    }

    /// Epoll's timeouts count milliseconds, and mio rounds them up, which would make every timer late by
    /// half of one on average. Polling the epoll descriptor itself counts nanoseconds.
    fn wait_exactly(&self, timeout: Duration) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: timeout.subsec_nanos().into() };
        // SAFETY: the descriptor belongs to `self.poll`, which is borrowed until after the last use.
        #[expect(unsafe_code, reason = "mio lends its descriptor only as a number")]
        let epoll = unsafe { BorrowedFd::borrow_raw(self.poll.as_raw_fd()) };
        let mut descriptors = [PollFd::new(&epoll, PollFlags::IN)];
        match rustix::event::poll(&mut descriptors, Some(&timeout)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

impl Reactor {
    /// Starts watching a source. Whatever is ready already is reported as an event.
    ///
    /// The source should be given to [`Registration::deregister`] before it is closed, unless closing
    /// it removes it from the system's list, as is so for a descriptor that was not duplicated.
    ///
    /// # Errors
    /// When the source cannot be watched (epoll refuses plain files), or is registered already.
    pub fn register(
        &self,
        source: &mut (impl Source + ?Sized),
        interests: Interest,
    ) -> io::Result<Registration> {
        let readiness = Arc::new(Readiness::new());
        let token = {
            let mut slots = self.shared.slots.lock();
            let generation = slots.next_generation;
            slots.next_generation = generation.wrapping_add(1);
            token(slots.slab.insert(Slot { generation, readiness: readiness.clone() }), generation)
        };
        let registration = Registration::new(self.clone(), token, readiness);
        self.shared.registry.register(source, token, interests)?;
        Ok(registration)
    }

    /// Makes the present or next [`Driver::turn`] return at once.
    pub fn unpark(&self) {
        // The event descriptor's counter cannot overflow: mio resets it and retries.
        let _ = self.shared.waker.wake();
    }

    /// How many sources are registered.
    #[must_use]
    pub fn registered(&self) -> usize {
        self.shared.slots.lock().slab.len()
    }

    pub(crate) fn reregister(
        &self,
        source: &mut (impl Source + ?Sized),
        token: Token,
        interests: Interest,
    ) -> io::Result<()> {
        self.shared.registry.reregister(source, token, interests)
    }

    pub(crate) fn deregister(&self, source: &mut (impl Source + ?Sized)) -> io::Result<()> {
        self.shared.registry.deregister(source)
    }

    pub(crate) fn release(&self, token: Token) {
        let (index, _) = parts(token);
        let slot = self.shared.slots.lock().slab.try_remove(index);
        // Its wakers, if any are left, are dropped here, after unlocking.
        drop(slot);
    }
}

impl fmt::Debug for Reactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reactor").field("registered", &self.registered()).finish()
    }
}

fn token(index: usize, generation: u32) -> Token {
    Token((generation as usize) << 32 | index)
}

fn parts(token: Token) -> (usize, u32) {
    (token.0 & u32::MAX as usize, (token.0 >> 32) as u32)
}
