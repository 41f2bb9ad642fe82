//! An atomic number that the lab can see.

use crate::host::LabHost;
use crate::strategy::OpKind;
use asupersync_core::cap::HasIo;
use asupersync_core::{Cancelled, Cx, Object};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) const LABEL: &str = "lab::Atomic";

/// A number that several tasks change in single steps, sequentially consistent.
///
/// As with [`Shared`](crate::Shared), each operation is one step after one yield. A compare-and-swap
/// that fails is a read: it commutes with reads. Clones are handles to one number.
///
/// # Cancel safety
/// A cancelled operation answers `Err(Cancelled)` and has not happened.
#[derive(Clone)]
pub struct Atomic {
    cell: Arc<Cell>,
}

struct Cell {
    object: Object,
    value: AtomicU64,
}

impl Atomic {
    /// A number. Made inside a task it is named after that task.
    #[must_use]
    pub fn new(value: u64) -> Atomic {
        let object = Object::new(LABEL);
        object.write();
        Atomic { cell: Arc::new(Cell { object, value: AtomicU64::new(value) }) }
    }

    /// Yields, then reads.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was read.
    pub async fn load<C: HasIo>(&self, cx: &Cx<C>) -> Result<u64, Cancelled> {
        cx.yield_now().await?;
        let value = self.cell.value.load(Ordering::SeqCst);
        self.cell.object.read();
        note(cx, None, (value, value));
        Ok(value)
    }

    /// Yields, then writes.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was written.
    pub async fn store<C: HasIo>(&self, cx: &Cx<C>, value: u64) -> Result<(), Cancelled> {
        cx.yield_now().await?;
        let before = self.cell.value.swap(value, Ordering::SeqCst);
        self.cell.object.write();
        note(cx, None, (before, value));
        Ok(())
    }

    /// Yields, then adds, wrapping around; answers the value before.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was added.
    pub async fn fetch_add<C: HasIo>(&self, cx: &Cx<C>, value: u64) -> Result<u64, Cancelled> {
        cx.yield_now().await?;
        let before = self.cell.value.fetch_add(value, Ordering::SeqCst);
        self.cell.object.write();
        note(cx, None, (before, before.wrapping_add(value)));
        Ok(before)
    }

    /// Yields, then writes `new` if the value is `expected`; the inner result is the value before,
    /// `Err` when it was another.
    ///
    /// # Errors
    /// `Cancelled`, and nothing was compared.
    pub async fn compare_exchange<C: HasIo>(
        &self,
        cx: &Cx<C>,
        expected: u64,
        new: u64,
    ) -> Result<Result<u64, u64>, Cancelled> {
        cx.yield_now().await?;
        let (seq, value) = (Ordering::SeqCst, &self.cell.value);
        let result = value.compare_exchange(expected, new, seq, seq);
        match result {
            Ok(before) => {
                self.cell.object.write();
                note(cx, Some(expected), (before, new));
            }
            Err(before) => {
                self.cell.object.read();
                note(cx, Some(expected), (before, before));
            }
        }
        Ok(result)
    }
}

fn note<C: HasIo>(cx: &Cx<C>, expected: Option<u64>, change: (u64, u64)) {
    if let Some(host) = cx.service::<LabHost>() {
        host.note(OpKind::Plain, expected, change);
    }
}

impl fmt::Debug for Atomic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Atomic").field(&self.cell.value).finish()
    }
}
