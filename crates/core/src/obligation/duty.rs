//! Duties, which must be resolved explicitly, and leases, which also end by themselves.

use super::{LeakReport, ObligationKind};
use crate::error::Error;
use crate::event::{Event, Resolution};
use crate::host::TimerKey;
use crate::id::{ObligationId, TaskId};
use crate::region::Region;
use crate::task::TaskRef;
use crate::time::Time;
use crate::timer::{Fires, arm};
use std::fmt;
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

/// How a duty or lease stands.
///
/// ```text
///              commit            ┌──▶ Committed
///   Reserved ──abort─────────────┼──▶ Aborted
///            ──drop, close───────┼──▶ Leaked    (duties)
///            ──time, close───────┴──▶ Expired   (leases)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Open.
    Reserved,
    /// Fulfilled.
    Committed,
    /// Given back by name.
    Aborted,
    /// Dropped, or left open when its region closed.
    Leaked,
    /// Its time ran out.
    Expired,
}

/// It was already settled when one tried to settle it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AlreadySettled(pub Settlement);

impl fmt::Display for AlreadySettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the obligation was settled before: {:?}", self.0)
    }
}

impl std::error::Error for AlreadySettled {}

impl From<AlreadySettled> for Error {
    #[track_caller]
    fn from(error: AlreadySettled) -> Error {
        Error::msg(error.to_string()).with_source(error)
    }
}

/// The ledger's entry for a duty or a lease.
pub(crate) struct Record {
    kind: &'static ObligationKind,
    id: ObligationId,
    task: TaskId,
    site: &'static Location<'static>,
    since: Time,
    timed: bool,
    state: Mutex<(Settlement, Option<Waker>)>,
}

impl Record {
    /// Reserved → `end`. The first to settle wins.
    fn settle(&self, end: Settlement) -> Result<(), AlreadySettled> {
        let watcher = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 != Settlement::Reserved {
                return Err(AlreadySettled(state.0));
            }
            state.0 = end;
            state.1.take()
        };
        if let Some(watcher) = watcher {
            crate::wake::wake(watcher);
        }
        Ok(())
    }

    /// What the region's close does with an entry that is still open. A leak is answered.
    pub(crate) fn close(&self, region: &Region) -> Option<LeakReport> {
        let (end, how) = if self.timed {
            (Settlement::Expired, Resolution::Expired)
        } else {
            (Settlement::Leaked, Resolution::Leaked)
        };
        self.settle(end).ok()?;
        region.observe(|| Event::ObligationResolved { obligation: self.id, by: None, how });
        (!self.timed).then(|| self.report(region))
    }

    pub(crate) fn report(&self, region: &Region) -> LeakReport {
        LeakReport {
            kind: self.kind.name,
            task: self.task,
            region: region.id,
            site: self.site,
            age: region.host.now().saturating_since(self.since),
        }
    }
}

/// An obligation that must be resolved: a reply owed, an acknowledgement, a registered name.
///
/// Dropping it is a leak. So is letting the region that it was taken on in close over it: a close never
/// waits for a duty. Either way it is reported, and whoever [`watch`](Duty::watch)es it is told at once.
#[must_use = "a duty that is dropped is a leak"]
pub struct Duty {
    record: Arc<Record>,
    region: Arc<Region>,
    place: usize,
}

impl Duty {
    pub(crate) fn reserve(
        task: &TaskRef,
        region: Arc<Region>,
        kind: &'static ObligationKind,
        site: &'static Location<'static>,
        timed: bool,
    ) -> Duty {
        let header = task.header();
        let id = ObligationId::of(header.id.to_bits(), header.next_ordinal());
        let record = Arc::new(Record {
            kind,
            id,
            task: header.id,
            site,
            since: region.host.now(),
            timed,
            state: Mutex::new((Settlement::Reserved, None)),
        });
        region.observe(|| Event::ObligationReserved {
            obligation: id,
            task: header.id,
            kind: kind.name,
            site,
        });
        let place = region.enter_ledger(Arc::clone(&record));
        Duty { record, region, place }
    }

    /// Fulfils it.
    ///
    /// # Errors
    /// When it had leaked or expired before.
    pub fn commit(self) -> Result<(), AlreadySettled> {
        self.settle(Settlement::Committed, Resolution::Committed)
    }

    /// Gives it back by name.
    ///
    /// # Errors
    /// When it had leaked or expired before.
    pub fn abort(self) -> Result<(), AlreadySettled> {
        self.settle(Settlement::Aborted, Resolution::Aborted)
    }

    /// Moves it into the ledger of the region that `cx`'s task lives in, so that it may outlast its own.
    pub fn transfer(mut self, cx: &crate::TaskCx) -> Duty {
        let region = Arc::clone(&cx.header().region);
        self.region.leave_ledger(self.place, &self.record);
        self.place = region.enter_ledger(Arc::clone(&self.record));
        self.region = region;
        self
    }

    /// How it stands.
    #[must_use]
    pub fn settlement(&self) -> Settlement {
        self.record.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// For the party to whom it is owed: sees how it ends.
    #[must_use]
    pub fn watch(&self) -> DutyWatch {
        DutyWatch { record: Arc::clone(&self.record) }
    }

    fn settle(&self, end: Settlement, how: Resolution) -> Result<(), AlreadySettled> {
        self.region.leave_ledger(self.place, &self.record);
        self.record.settle(end)?;
        self.region.observe(|| Event::ObligationResolved {
            obligation: self.record.id,
            by: crate::step::task(),
            how,
        });
        Ok(())
    }
}

impl Drop for Duty {
    fn drop(&mut self) {
        let (end, how) = if self.record.timed {
            (Settlement::Expired, Resolution::Expired)
        } else {
            (Settlement::Leaked, Resolution::Leaked)
        };
        // Settled before by `commit` or `abort`: then this does nothing.
        if self.settle(end, how).is_ok() && !self.record.timed {
            self.region.record_leak(self.record.report(&self.region));
        }
    }
}

impl fmt::Debug for Duty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Duty")
            .field("kind", &self.record.kind.name)
            .field("settlement", &self.settlement())
            .finish()
    }
}

/// Sees how a [`Duty`] ends. One watcher's waker is kept, the last.
#[derive(Clone)]
pub struct DutyWatch {
    record: Arc<Record>,
}

impl DutyWatch {
    /// Ready once the duty is no longer `Reserved`.
    pub fn poll_settled(&self, context: &mut Context<'_>) -> Poll<Settlement> {
        let mut waker = Some(context.waker().clone());
        let settlement = {
            let mut state = self.record.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.0 == Settlement::Reserved {
                std::mem::swap(&mut state.1, &mut waker);
            }
            state.0
        };
        match settlement {
            Settlement::Reserved => Poll::Pending,
            settled => Poll::Ready(settled),
        }
    }
}

impl fmt::Debug for DutyWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DutyWatch").field("kind", &self.record.kind.name).finish_non_exhaustive()
    }
}

/// A timed obligation: it expires at its deadline unless renewed.
#[must_use = "a lease that is dropped has expired"]
pub struct Lease {
    duty: Duty,
    timer: TimerKey,
}

impl Lease {
    pub(crate) fn reserve(duty: Duty, until: Time) -> Lease {
        let timer = arm(&duty.region.host, until, Fires::Lease(Lapse::of(&duty)));
        Lease { duty, timer }
    }

    /// Extends (or shortens) the lease.
    ///
    /// # Errors
    /// When it had expired before.
    pub fn renew(&mut self, until: Time) -> Result<(), AlreadySettled> {
        match self.duty.settlement() {
            Settlement::Reserved => {}
            settled => return Err(AlreadySettled(settled)),
        }
        let host = &self.duty.region.host;
        host.disarm_timer(self.timer);
        self.timer = arm(host, until, Fires::Lease(Lapse::of(&self.duty)));
        Ok(())
    }

    /// Ends it before its time.
    pub fn expire(self) {}

    /// How it stands.
    #[must_use]
    pub fn settlement(&self) -> Settlement {
        self.duty.settlement()
    }

    /// For the party that relies on it: sees how it ends.
    #[must_use]
    pub fn watch(&self) -> DutyWatch {
        self.duty.watch()
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.duty.region.host.disarm_timer(self.timer);
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("duty", &self.duty).finish_non_exhaustive()
    }
}

/// What a lease's timer holds.
pub(crate) struct Lapse {
    record: Arc<Record>,
    region: Arc<Region>,
    place: usize,
}

impl Lapse {
    fn of(duty: &Duty) -> Lapse {
        Lapse {
            record: Arc::clone(&duty.record),
            region: Arc::clone(&duty.region),
            place: duty.place,
        }
    }

    pub(crate) fn expire(&self) {
        self.region.leave_ledger(self.place, &self.record);
        if self.record.settle(Settlement::Expired).is_ok() {
            self.region.observe(|| Event::ObligationResolved {
                obligation: self.record.id,
                by: None,
                how: Resolution::Expired,
            });
        }
    }
}
