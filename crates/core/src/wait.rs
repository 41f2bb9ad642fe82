//! The wait door's futures.

use crate::cancel::Cancelled;
use crate::cx::TaskCx;
use crate::event::Event;
use crate::host::TimerKey;
use crate::mutant::mutant;
use crate::primitive::Ordering;
use crate::task::scopes::{WaitEntry, WaitId};
use crate::task::waker;
use crate::time::Time;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

/// One party's passage through the door: where it waits, and whether it is parked.
struct Door<'a> {
    cx: &'a TaskCx,
    label: &'static str,
    site: &'static Location<'static>,
    parked: Parked,
}

/// Whether a wait is entered, and where.
#[derive(Clone, Copy)]
enum Parked {
    No,
    /// The task's plain wait.
    Plain,
    /// In the list under the task's lock.
    Listed(WaitId),
}

impl Door<'_> {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<Result<T, Cancelled>> {
        let header = self.cx.header();
        let looks_first = mutant!(WaitIgnoresCancel);
        if !looks_first && header.cancelled_now().is_some() {
            if let Some(cancelled) = header.tell() {
                self.end(true);
                return Poll::Ready(Err(cancelled));
            }
        }
        if let Poll::Ready(value) = poll(context) {
            self.end(false);
            return Poll::Ready(Ok(value));
        }
        if self.park(context) {
            return Poll::Pending;
        }
        match header.tell() {
            Some(cancelled) => {
                self.end(true);
                Poll::Ready(Err(cancelled))
            }
            None => {
                // Masked in the same breath, from another thread: look again soon.
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    /// Enters the wait in its scope. False when the scope was cancelled while the event was looked at:
    /// that cancellation found nothing here to wake.
    fn park(&mut self, context: &mut Context<'_>) -> bool {
        let header = self.cx.header();
        // In the task's own scope and on its own waker, inside its step: whatever cancels that scope wakes
        // the task, and a wake during a poll has it polled again, so there is nothing to look at twice.
        let plain = !header.nested.load(Ordering::Relaxed)
            && waker::is_of(context.waker(), self.cx.task())
            && crate::step::is_of(header);
        let moved = matches!(self.parked, Parked::Plain);
        match self.parked {
            Parked::Plain if plain => return true,
            Parked::Plain => _ = self.leave(),
            Parked::No if plain && header.wait.enter(self.label, self.site) => {
                self.parked = Parked::Plain;
                self.observe_parked();
                return true;
            }
            Parked::No | Parked::Listed(_) => {}
        }
        let mut waker = Some(context.waker().clone());
        let fresh = {
            let mut inner = header.inner.lock();
            let scope = inner.scopes.current;
            let looks_again = !mutant!(ParkLooksOnce);
            if looks_again && inner.scopes.effective(scope).is_some() {
                return false;
            }
            let soft = self.label == WaitEntry::SOFT_CANCEL && inner.scopes.is_soft(scope);
            if soft && !mutant!(SoftLooksOnce) {
                return false;
            }
            let listed = match self.parked {
                Parked::Listed(id) => inner.scopes.wait_in(id, scope),
                Parked::No | Parked::Plain => None,
            };
            match listed {
                Some(entry) => {
                    std::mem::swap(&mut entry.waker, &mut waker);
                    false
                }
                None => {
                    let waker = waker.take();
                    let entry = WaitEntry { waker, scope, label: self.label, site: self.site };
                    self.parked = Parked::Listed(inner.scopes.park(entry));
                    header.count_listed();
                    true
                }
            }
        };
        drop(waker);
        if fresh && !moved {
            self.observe_parked();
        }
        true
    }

    fn observe_parked(&self) {
        let header = self.cx.header();
        header.observe(|| Event::WaitParked {
            task: header.id,
            label: self.label,
            site: self.site,
        });
    }

    fn end(&mut self, cancelled: bool) {
        if self.leave() {
            let header = self.cx.header();
            header.observe(|| Event::WaitEnded { task: header.id, label: self.label, cancelled });
        }
    }

    /// Takes the wait out of its scope. True when it was in.
    fn leave(&mut self) -> bool {
        match std::mem::replace(&mut self.parked, Parked::No) {
            Parked::No => return false,
            Parked::Plain => self.cx.header().wait.leave(),
            Parked::Listed(id) => {
                let header = self.cx.header();
                let entry = header.inner.lock().scopes.unpark(id);
                header.count_listed();
                // The waker in it goes after the lock.
                drop(entry);
            }
        }
        true
    }
}

impl Drop for Door<'_> {
    fn drop(&mut self) {
        self.leave();
    }
}

impl fmt::Debug for Door<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("label", &self.label).field("site", &self.site).finish()
    }
}

/// A wait for an event, made by [`TaskCx::wait`].
///
/// # Cancel safety
/// Dropping it takes the wait out of its scope. What `poll` registered with the event is the business of
/// whoever wrote it. A cancelled wait answers at its next poll.
#[must_use = "futures do nothing unless awaited"]
pub struct Wait<'a, F> {
    door: Door<'a>,
    poll: F,
}

impl<'a, F> Wait<'a, F> {
    pub(crate) fn new(
        cx: &'a TaskCx,
        label: &'static str,
        site: &'static Location<'static>,
        poll: F,
    ) -> Self {
        Wait { door: Door { cx, label, site, parked: Parked::No }, poll }
    }
}

// The closure is called through `&mut`, never pinned, so moving a `Wait` moves nothing that was pinned.
impl<F> Unpin for Wait<'_, F> {}

impl<T, F> Future for Wait<'_, F>
where
    F: FnMut(&mut Context<'_>) -> Poll<T>,
{
    type Output = Result<T, Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        this.door.poll(context, &mut this.poll)
    }
}

impl<F> fmt::Debug for Wait<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.door.fmt(f)
    }
}

/// A wait for a moment, made by `cx.sleep(..)` and `cx.sleep_until(..)`.
///
/// # Cancel safety
/// Nothing is lost by dropping it; the timer is disarmed. A cancelled sleep answers at its next poll.
#[derive(Debug)]
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep<'a> {
    door: Door<'a>,
    deadline: Time,
    alarm: Alarm<'a>,
}

impl<'a> Sleep<'a> {
    pub(crate) fn new(
        cx: &'a TaskCx,
        deadline: Time,
        ahead: bool,
        site: &'static Location<'static>,
    ) -> Sleep<'a> {
        let door = Door { cx, label: "sleep", site, parked: Parked::No };
        Sleep { door, deadline, alarm: Alarm { cx, ahead, timer: None } }
    }
}

impl Future for Sleep<'_> {
    type Output = Result<(), Cancelled>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (alarm, deadline) = (&mut this.alarm, this.deadline);
        this.door.poll(context, |context| alarm.poll(deadline, context))
    }
}

/// A host timer that is disarmed when nobody waits for it any more.
#[derive(Debug)]
struct Alarm<'a> {
    cx: &'a TaskCx,
    /// The deadline was ahead when it was made, a moment ago: the first look needs no clock, and a timer
    /// whose time has come meanwhile is due at once.
    ahead: bool,
    timer: Option<(TimerKey, Whose)>,
}

/// Whom an armed timer wakes.
#[derive(Debug)]
enum Whose {
    /// The task itself, by its own waker.
    Tasks,
    Others(Waker),
}

impl Alarm<'_> {
    fn poll(&mut self, deadline: Time, context: &mut Context<'_>) -> Poll<()> {
        let region = &self.cx.header().region;
        if !std::mem::take(&mut self.ahead) && region.host.now() >= deadline {
            self.disarm();
            return Poll::Ready(());
        }
        let own = waker::is_of(context.waker(), self.cx.task());
        let current = match &self.timer {
            None => false,
            Some((_, Whose::Tasks)) => own,
            Some((_, Whose::Others(waker))) => waker.will_wake(context.waker()),
        };
        if !current {
            self.disarm();
            let key = region.host.arm_timer(deadline, context.waker().clone());
            region.observe(|| Event::TimerArmed { at: deadline });
            let whose = if own { Whose::Tasks } else { Whose::Others(context.waker().clone()) };
            self.timer = Some((key, whose));
        }
        Poll::Pending
    }

    fn disarm(&mut self) {
        if let Some((key, _)) = self.timer.take() {
            self.cx.header().region.host.disarm_timer(key);
        }
    }
}

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        self.disarm();
    }
}
