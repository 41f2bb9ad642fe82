//! A value made once, by whoever needs it first.

use crate::slots::{NotTaken, Slots};
use asupersync_core::{Cancelled, Holding, ObligationKind, TaskCx};
use std::fmt;
use std::panic::Location;

static TURN: ObligationKind = ObligationKind::abort_on_drop("OnceLock::get_or_try_init");

/// A cell that is written once, by an asynchronous initialiser.
///
/// Those who come while the initialiser runs wait for it, in order. If it fails, panics, is cancelled
/// or dropped, the cell stays empty and the next in line runs *its* initialiser. So an initialiser may
/// be started more than once, but at most one ever succeeds; side effects of half-run ones are theirs
/// to undo.
///
/// ```
/// # use asupersync_core::{Cx, Error};
/// use asupersync_sync::OnceLock;
///
/// async fn config(cx: &Cx, cell: &OnceLock<String>) -> Result<usize, Error> {
///     let text = cell.get_or_try_init(cx, async || Ok::<_, Error>(String::from("a=1"))).await?;
///     Ok(text.len())
/// }
/// ```
pub struct OnceLock<T> {
    value: std::sync::OnceLock<T>,
    /// One slot: the right to initialise. Closed once there is a value, which sends the line home.
    turn: Slots,
}

impl<T> OnceLock<T> {
    /// An empty cell.
    #[must_use]
    pub fn new() -> OnceLock<T> {
        OnceLock { value: std::sync::OnceLock::new(), turn: Slots::new("OnceLock", 1) }
    }

    /// The value, if it is there.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        // Set by who closes the turn.
        let _ = self.turn.is_closed();
        self.value.get()
    }

    /// The value, in place.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.value.get_mut()
    }

    /// Takes the value out.
    #[must_use]
    pub fn into_inner(self) -> Option<T> {
        self.value.into_inner()
    }

    /// Writes the value, unless one is there or an initialiser is running or waited for.
    ///
    /// # Errors
    /// The value, handed back.
    pub fn set(&self, value: T) -> Result<(), T> {
        if self.turn.try_take(1).is_err() {
            return Err(value);
        }
        let turn = Turn { slots: &self.turn, _holding: Holding::of_a_thread() };
        let set = self.value.set(value);
        turn.done();
        set
    }

    /// The value, made by `init` if nobody has made it yet.
    ///
    /// # Cancel safety
    /// A waiter loses nothing. Cancelling or dropping the one that runs `init` drops `init`'s future
    /// where it stands and gives the next in line its turn. A cancel request is answered within one
    /// poll while waiting; while `init` runs, it is answered by whatever `init` waits for.
    ///
    /// # Errors
    /// [`Cancelled`] as `E`, or `init`'s own error.
    #[track_caller]
    pub fn get_or_try_init<'a, E, F>(
        &'a self,
        cx: &'a TaskCx,
        init: F,
    ) -> impl Future<Output = Result<&'a T, E>>
    where
        E: From<Cancelled>,
        F: AsyncFnOnce() -> Result<T, E>,
    {
        let site = Location::caller();
        async move {
            match self.turn(cx, site).await? {
                None => {}
                Some(turn) => {
                    let value = init().await?;
                    // Set before the line is sent home: who is sent home finds it.
                    let _ = self.value.set(value);
                    turn.done();
                }
            }
            match self.value.get() {
                Some(value) => Ok(value),
                None => unreachable!("the line is sent home only after the value is set"),
            }
        }
    }

    /// Waits for the right to initialise; `None` once there is a value.
    async fn turn(
        &self,
        cx: &TaskCx,
        site: &'static Location<'static>,
    ) -> Result<Option<Turn<'_>>, Cancelled> {
        let label = "OnceLock::get_or_try_init";
        let taken = match self.turn.take_now(cx, 1) {
            Ok(true) => Ok(()),
            Ok(false) => self.turn.take_in_turn(cx, 1, label, site).await,
            Err(error) => Err(error),
        };
        match taken {
            Ok(()) => {
                let _holding = cx.holding_at(&TURN, site);
                Ok(Some(Turn { slots: &self.turn, _holding }))
            }
            Err(NotTaken::Closed) => Ok(None),
            Err(NotTaken::Cancelled(cancelled)) => Err(cancelled),
        }
    }
}

impl<T> Default for OnceLock<T> {
    fn default() -> OnceLock<T> {
        OnceLock::new()
    }
}

impl<T: fmt::Debug> fmt::Debug for OnceLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnceLock").field(&self.get()).finish()
    }
}

/// The right to initialise; dropped, it goes to the next in line.
struct Turn<'a> {
    slots: &'a Slots,
    /// Who initialises stands in reports: it may be what everybody waits for.
    _holding: Holding,
}

impl Turn<'_> {
    /// There is a value: nobody needs a turn any more.
    fn done(self) {
        self.slots.close();
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.slots.give(1);
    }
}
