//! A source's place in the reactor.

use crate::reactor::Reactor;
use crate::readiness::{Direction, Readiness, Ready};
use mio::event::Source;
use mio::{Interest, Token};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// A registered source's readiness. Dropping it ends the registration on this side; see [`Io`] for
/// the pair of a source and its registration.
///
/// Any number of tasks may wait for each direction. An event wakes all that wait for its direction;
/// who comes too late is told to block again, and waits for the next event.
pub struct Registration {
    reactor: Reactor,
    token: Token,
    readiness: Arc<Readiness>,
}

impl Registration {
    pub(crate) fn new(reactor: Reactor, token: Token, readiness: Arc<Readiness>) -> Registration {
        Registration { reactor, token, readiness }
    }

    /// Waits until the direction is ready, or closed, or has failed.
    ///
    /// # Cancel safety
    /// Nothing is consumed. A waker left behind is woken by the next event, or let go when many pile up.
    pub fn poll_ready(&self, direction: Direction, context: &mut Context<'_>) -> Poll<Ready> {
        self.readiness.poll(direction, context)
    }

    /// The readiness known at this moment.
    #[must_use]
    pub fn ready(&self, direction: Direction) -> Option<Ready> {
        self.readiness.ready(direction)
    }

    /// Forgets readiness whose operation answered `WouldBlock`. An event that came after `ready` was
    /// obtained is kept, so the order is: obtain, try the operation, clear.
    pub fn clear_ready(&self, ready: Ready) {
        self.readiness.clear(ready);
    }

    /// Forgets readiness after an operation on a byte stream moved fewer bytes than it was given room
    /// for: the system's buffer is empty (or full), and the next try would block. Saves that try.
    /// A closed direction stays ready, because what is left to learn is the end of the stream; and one in
    /// which something urgent came (registered for `PRIORITY`), because a read ends there with more behind it.
    pub fn clear_drained(&self, ready: Ready) {
        if !ready.is_closed() && !ready.is_urgent() {
            self.readiness.clear(ready);
        }
    }

    /// Tries an operation whenever the direction is ready, until it answers something other than
    /// `WouldBlock`. `Interrupted` is tried again at once.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn poll_io<T>(
        &self,
        direction: Direction,
        context: &mut Context<'_>,
        mut operation: impl FnMut() -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        loop {
            let ready = ready!(self.poll_ready(direction, context));
            match operation() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.clear_ready(ready),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return Poll::Ready(result),
            }
        }
    }

    /// Changes what is watched.
    ///
    /// # Errors
    /// When the source is not the registered one.
    pub fn reregister(
        &self,
        source: &mut (impl Source + ?Sized),
        interests: Interest,
    ) -> io::Result<()> {
        self.reactor.reregister(source, self.token, interests)
    }

    /// Stops watching the source.
    ///
    /// # Errors
    /// When the source is not registered.
    pub fn deregister(self, source: &mut (impl Source + ?Sized)) -> io::Result<()> {
        self.reactor.deregister(source)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.reactor.release(self.token);
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("read", &self.ready(Direction::Read))
            .field("write", &self.ready(Direction::Write))
            .finish()
    }
}

/// A source together with its registration, deregistered when dropped.
///
/// Operations go through `&S`: mio's sockets read and write by shared reference, so the two
/// directions can be used by two tasks at once.
#[derive(Debug)]
pub struct Io<S: Source> {
    source: Option<S>,
    registration: Option<Registration>,
}

impl<S: Source> Io<S> {
    /// Registers a source, which must not block.
    ///
    /// # Errors
    /// Those of [`Reactor::register`]; the source is dropped then.
    pub fn new(reactor: &Reactor, mut source: S, interests: Interest) -> io::Result<Io<S>> {
        let registration = reactor.register(&mut source, interests)?;
        Ok(Io { source: Some(source), registration: Some(registration) })
    }

    /// The source.
    pub fn get_ref(&self) -> &S {
        self.source.as_ref().expect("present until dropped or taken apart")
    }

    /// Its registration.
    pub fn registration(&self) -> &Registration {
        self.registration.as_ref().expect("present until dropped or taken apart")
    }

    /// [`Registration::poll_io`] with the source at hand.
    ///
    /// # Errors
    /// Those of the operation.
    pub fn poll_io<T>(
        &self,
        direction: Direction,
        context: &mut Context<'_>,
        mut operation: impl FnMut(&S) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        self.registration().poll_io(direction, context, || operation(self.get_ref()))
    }

    /// Stops watching, and gives the source back.
    ///
    /// # Errors
    /// Those of [`Registration::deregister`]; the source is dropped then.
    pub fn into_inner(mut self) -> io::Result<S> {
        let mut source = self.source.take().expect("present until dropped or taken apart");
        let registration = self.registration.take().expect("present until dropped or taken apart");
        registration.deregister(&mut source)?;
        Ok(source)
    }
}

impl<S: Source> Drop for Io<S> {
    fn drop(&mut self) {
        if let (Some(mut source), Some(registration)) =
            (self.source.take(), self.registration.take())
        {
            // The source is about to be closed; there is nobody to tell, and nothing to undo.
            let _ = registration.deregister(&mut source);
        }
    }
}
