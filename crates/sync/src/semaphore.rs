//! A counting semaphore whose permits are obligations.

use crate::blocking;
use crate::promptly::promptly;
use crate::slots::{NotTaken, Place, Refused, Slots};
use asupersync_core::{Cancelled, Error, Holding, ObligationKind, TaskCx};
use std::fmt;
use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;

static PERMIT: ObligationKind = ObligationKind::abort_on_drop("Semaphore::Permit");

/// Lets at most so many in at a time.
///
/// Acquiring may ask for several permits at once. The line is strictly first come, first served:
/// whoever asks for many is not overtaken by those who ask for few, and a permit that is given back
/// goes straight to the head of the line (no barging, also not by `try_acquire`).
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// use asupersync_sync::Semaphore;
///
/// async fn fetch(cx: &Cx, connections: &Semaphore) -> Result<(), Error> {
///     let permit = connections.acquire(cx).await?;
///     // .. at most as many tasks as there are permits are here at once ..
///     drop(permit);
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct Semaphore {
    slots: Slots,
}

/// Why a semaphore gave no permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcquireError {
    /// The semaphore was closed.
    Closed,
    /// The waiting scope was cancelled; the place in line is given up.
    Cancelled(Cancelled),
}

impl fmt::Display for AcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AcquireError::Closed => {
                f.write_str("the semaphore is closed and gives no more permits")
            }
            AcquireError::Cancelled(cancelled) => cancelled.fmt(f),
        }
    }
}

impl std::error::Error for AcquireError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            AcquireError::Closed => None,
            AcquireError::Cancelled(cancelled) => Some(cancelled),
        }
    }
}

impl From<Cancelled> for AcquireError {
    fn from(cancelled: Cancelled) -> AcquireError {
        AcquireError::Cancelled(cancelled)
    }
}

impl From<NotTaken> for AcquireError {
    fn from(error: NotTaken) -> AcquireError {
        match error {
            NotTaken::Closed => AcquireError::Closed,
            NotTaken::Cancelled(cancelled) => AcquireError::Cancelled(cancelled),
        }
    }
}

impl From<AcquireError> for Error {
    #[track_caller]
    fn from(error: AcquireError) -> Error {
        match error {
            AcquireError::Closed => Error::msg(error.to_string()).with_source(error),
            AcquireError::Cancelled(cancelled) => cancelled.into(),
        }
    }
}

/// Why a semaphore gave no permit at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryAcquireError {
    /// Too few permits are free, or others were first.
    NoPermits,
    /// The semaphore was closed.
    Closed,
}

impl fmt::Display for TryAcquireError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TryAcquireError::NoPermits => "too few permits are free, or others were first",
            TryAcquireError::Closed => "the semaphore is closed and gives no more permits",
        })
    }
}

impl std::error::Error for TryAcquireError {}

impl From<TryAcquireError> for Error {
    #[track_caller]
    fn from(error: TryAcquireError) -> Error {
        Error::msg(error.to_string()).with_source(error)
    }
}

impl Semaphore {
    /// The most permits a semaphore may have.
    pub const MAX_PERMITS: usize = Slots::MAX;

    /// A semaphore with this many permits; more than [`Semaphore::MAX_PERMITS`] are cut to that.
    #[must_use]
    pub fn new(permits: usize) -> Semaphore {
        Semaphore { slots: Slots::new("Semaphore", permits) }
    }

    /// Waits for one permit.
    ///
    /// # Cancel safety
    /// Nothing is lost. A waiter that is cancelled or dropped gives up its place; a permit that had
    /// already been handed to it goes to the next in line. A cancel request is answered within one
    /// poll.
    ///
    /// # Errors
    /// [`AcquireError`].
    #[track_caller]
    pub fn acquire<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<Permit<'a>, AcquireError>> {
        self.acquire_from(cx, 1, Location::caller())
    }

    /// Waits for `n` permits at once, which are then one guard. Zero are had at once.
    ///
    /// More than exist are waited for until [`add_permits`](Semaphore::add_permits) makes them.
    ///
    /// # Cancel safety
    /// As [`acquire`](Semaphore::acquire): permits are handed over all at once, so a waiter never
    /// sits on some of them.
    ///
    /// # Errors
    /// [`AcquireError`].
    #[track_caller]
    pub fn acquire_many<'a>(
        &'a self,
        cx: &'a TaskCx,
        n: usize,
    ) -> impl Future<Output = Result<Permit<'a>, AcquireError>> {
        self.acquire_from(cx, n, Location::caller())
    }

    fn acquire_from<'a>(
        &'a self,
        cx: &'a TaskCx,
        n: usize,
        site: &'static Location<'static>,
    ) -> impl Future<Output = Result<Permit<'a>, AcquireError>> {
        promptly(
            move || match self.slots.take_now(cx, n) {
                Ok(true) => Some(Ok(Ok(()))),
                Ok(false) => None,
                Err(error) => Some(Ok(Err(error))),
            },
            move || {
                let mut place = Place::new(&self.slots, n);
                cx.wait_at("Semaphore::acquire", site, move |context| place.poll(context))
            },
            move |taken| {
                taken??;
                Ok(Permit::new(self, n, cx, site))
            },
        )
    }

    /// Waits for one permit that keeps the semaphore alive instead of borrowing it.
    ///
    /// # Cancel safety
    /// As [`acquire`](Semaphore::acquire).
    ///
    /// # Errors
    /// [`AcquireError`].
    #[track_caller]
    pub fn acquire_owned<'a>(
        self: &'a Arc<Self>,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> {
        self.acquire_many_owned(cx, 1)
    }

    /// Waits for `n` permits that keep the semaphore alive instead of borrowing it.
    ///
    /// # Cancel safety
    /// As [`acquire_many`](Semaphore::acquire_many).
    ///
    /// # Errors
    /// [`AcquireError`].
    #[track_caller]
    pub fn acquire_many_owned<'a>(
        self: &'a Arc<Self>,
        cx: &'a TaskCx,
        n: usize,
    ) -> impl Future<Output = Result<OwnedPermit, AcquireError>> {
        let site = Location::caller();
        async move {
            if !self.slots.take_now(cx, n)? {
                self.slots.take_in_turn(cx, n, "Semaphore::acquire", site).await?;
            }
            Ok(OwnedPermit::new(Arc::clone(self), n, cx, site))
        }
    }

    /// One permit, if one is free and nobody is first.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    #[track_caller]
    pub fn try_acquire(&self, cx: &TaskCx) -> Result<Permit<'_>, TryAcquireError> {
        self.try_acquire_many(cx, 1)
    }

    /// `n` permits, if they are free and nobody is first.
    ///
    /// # Errors
    /// [`TryAcquireError`].
    #[track_caller]
    pub fn try_acquire_many(&self, cx: &TaskCx, n: usize) -> Result<Permit<'_>, TryAcquireError> {
        match self.slots.try_take(n) {
            Ok(()) => Ok(Permit::new(self, n, cx, Location::caller())),
            Err(Refused::Short) => Err(TryAcquireError::NoPermits),
            Err(Refused::Closed) => Err(TryAcquireError::Closed),
        }
    }

    /// Waits for one permit by parking the thread: for plain threads, and for closures on the blocking
    /// pool. They stand in the same line as tasks. Nothing cancels it but [`close`](Semaphore::close), and
    /// no report names the holder.
    ///
    /// # Errors
    /// [`AcquireError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<Permit<'_>, AcquireError> {
        self.blocking_acquire_many(1)
    }

    /// Waits for `n` permits at once by parking the thread; otherwise as
    /// [`blocking_acquire`](Semaphore::blocking_acquire).
    ///
    /// # Errors
    /// [`AcquireError::Closed`].
    ///
    /// # Panics
    /// When it would have to wait in a task.
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: usize) -> Result<Permit<'_>, AcquireError> {
        match self.slots.try_take(n) {
            Ok(()) => {}
            Err(Refused::Closed) => return Err(AcquireError::Closed),
            Err(Refused::Short) => {
                let mut place = Place::new(&self.slots, n);
                blocking::wait(|context| place.poll(context))?;
            }
        }
        let _holding = Holding::of_a_thread();
        Ok(Permit { _holding, share: Share { semaphore: self, n } })
    }

    /// How many permits are free now.
    #[must_use]
    pub fn available_permits(&self) -> usize {
        self.slots.free()
    }

    /// How many waiters stand in line now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.slots.waiting()
    }

    /// Adds permits. Those that are out when others take their places, and come home to a full semaphore,
    /// are gone.
    ///
    /// # Errors
    /// The number of free permits, when more would exceed [`Semaphore::MAX_PERMITS`]; none are
    /// added then.
    pub fn add_permits(&self, n: usize) -> Result<(), usize> {
        self.slots.try_add(n)
    }

    /// Destroys up to `n` free permits, and answers how many that were.
    pub fn forget_permits(&self, n: usize) -> usize {
        self.slots.remove_free(n)
    }

    /// Gives no more permits: everybody in line, and everybody who asks later, gets `Closed`.
    /// Permits that are out stay valid.
    pub fn close(&self) {
        self.slots.close();
    }

    /// Whether the semaphore was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.slots.is_closed()
    }
}

macro_rules! permit {
    ($(#[$doc:meta])* $name:ident $(<$a:lifetime>)?, $semaphore:ty, $share:expr) => {
        $(#[$doc])*
        #[must_use = "a permit that is dropped at once guards nothing"]
        pub struct $name $(<$a>)? {
            // Fields drop in this order.
            _holding: Holding,
            share: Share<$semaphore>,
        }

        impl $(<$a>)? $name $(<$a>)? {
            #[inline]
            fn new(
                semaphore: $semaphore,
                n: usize,
                cx: &TaskCx,
                site: &'static Location<'static>,
            ) -> Self {
                Self { _holding: cx.holding_at(&PERMIT, site), share: Share { semaphore, n } }
            }

            /// How many permits this guard stands for.
            #[must_use]
            pub fn count(&self) -> usize {
                self.share.n
            }

            /// Splits `n` permits off into a guard of their own, held by the task of `cx`; `None`
            /// when there are not that many.
            #[track_caller]
            pub fn split(&mut self, cx: &TaskCx, n: usize) -> Option<Self> {
                self.share.n = self.share.n.checked_sub(n)?;
                let semaphore = $share(&self.share.semaphore);
                Some(Self::new(semaphore, n, cx, Location::caller()))
            }

            /// Destroys the permits: the semaphore has that many fewer from now on.
            pub fn forget(mut self) {
                self.share.n = 0;
            }
        }

        impl $(<$a>)? fmt::Debug for $name $(<$a>)? {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).field("n", &self.count()).finish_non_exhaustive()
            }
        }
    };
}

permit!(
    /// Permits of a [`Semaphore`], given back when dropped. An obligation of the abort class.
    Permit<'a>, &'a Semaphore, |semaphore: &&'a Semaphore| *semaphore
);
permit!(
    /// Permits that keep their [`Semaphore`] alive, given back when dropped. An obligation of the
    /// abort class.
    OwnedPermit, Arc<Semaphore>, Arc::clone
);

/// So many permits of a semaphore, given back when dropped.
struct Share<S: Deref<Target = Semaphore>> {
    semaphore: S,
    n: usize,
}

impl<S: Deref<Target = Semaphore>> Drop for Share<S> {
    #[inline]
    fn drop(&mut self) {
        if self.n > 0 {
            self.semaphore.slots.give(self.n);
        }
    }
}
