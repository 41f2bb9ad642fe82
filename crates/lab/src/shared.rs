//! Plain shared state that the lab can see.

use asupersync_core::{Cancelled, Object, TaskCx};
use parking_lot::Mutex;
use std::fmt;
use std::panic::Location;
use std::sync::Arc;
use std::task::Poll;

/// A cell that several tasks read and write, for finding races in *programs*.
///
/// Each access is preceded by a yield point, so that any other task may run before it, and is told to
/// the kernel, so that the run's happens-before order knows of it. A read followed by a write is
/// therefore the two steps that it would be in a program over plain memory, and a lost update between
/// them is found by some seed. Clones are handles to one cell.
///
/// # Example
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::{Shared, run};
///
/// // Two tasks increment by reading and then writing: some order loses one of them.
/// let body = async |cx: &Cx| {
///     let count = Shared::new(0_u32);
///     cx.region(async |scope| {
///         for _ in 0..2 {
///             let count = count.clone();
///             let _ = scope.spawn(async move |cx: &Cx| {
///                 let seen = count.get(cx).await?;
///                 count.set(cx, seen + 1).await?;
///                 Ok::<_, Error>(())
///             });
///         }
///         Ok::<_, Error>(())
///     }).await.into_result()?;
///     Ok::<_, Error>(count.get(cx).await?)
/// };
/// let finals: std::collections::BTreeSet<_> =
///     (0..20).map(|seed| run(seed, body).outcome.ok().unwrap()).collect();
/// assert_eq!(finals.into_iter().collect::<Vec<_>>(), [1, 2]);
/// ```
///
/// # Cancel safety
/// A cancelled access answers `Err(Cancelled)` and has not happened.
pub struct Shared<T> {
    cell: Arc<Cell<T>>,
}

struct Cell<T> {
    object: Object,
    value: Mutex<T>,
}

impl<T> Shared<T> {
    /// A cell. Made inside a task it is named after that task, which keeps its name the same
    /// whatever the order of later accesses.
    #[must_use]
    pub fn new(value: T) -> Shared<T> {
        let object = Object::new("Shared");
        object.write();
        Shared { cell: Arc::new(Cell { object, value: Mutex::new(value) }) }
    }

    /// Yields, then reads.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was read.
    #[track_caller]
    pub fn get<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = Result<T, Cancelled>> + use<'a, T>
    where
        T: Clone,
    {
        let turn = turn(cx);
        async move {
            turn.await?;
            self.cell.object.read();
            Ok(self.cell.value.lock().clone())
        }
    }

    /// Yields, then writes.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was written.
    #[track_caller]
    pub fn set<'a>(
        &'a self,
        cx: &'a TaskCx,
        value: T,
    ) -> impl Future<Output = Result<(), Cancelled>> + use<'a, T> {
        let turn = turn(cx);
        async move {
            turn.await?;
            self.cell.object.write();
            let old = std::mem::replace(&mut *self.cell.value.lock(), value);
            drop(old);
            Ok(())
        }
    }

    /// Yields, then reads and writes in one step that nothing can come between; answers what
    /// `change` does. `change` must not touch the cell.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was changed.
    #[track_caller]
    pub fn update<'a, R, F: FnOnce(&mut T) -> R>(
        &'a self,
        cx: &'a TaskCx,
        change: F,
    ) -> impl Future<Output = Result<R, Cancelled>> + use<'a, T, R, F> {
        let turn = turn(cx);
        async move {
            turn.await?;
            self.cell.object.write();
            Ok(change(&mut self.cell.value.lock()))
        }
    }
}

/// One yield, at the line that asks for the access.
#[track_caller]
fn turn(cx: &TaskCx) -> impl Future<Output = Result<(), Cancelled>> + use<'_> {
    let mut yielded = false;
    cx.wait_at("yield_now", Location::caller(), move |context| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Shared<T> {
        Shared { cell: self.cell.clone() }
    }
}

impl<T> fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}
