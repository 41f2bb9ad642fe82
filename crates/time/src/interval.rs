//! Ticks at a fixed period.

use asupersync_core::cap::HasTime;
use asupersync_core::{Cancelled, Cx, Time};
use std::future::Future;
use std::time::Duration;

/// What becomes of ticks whose time passed before they were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum MissedTicks {
    /// All of them are delivered, one after the other without waiting, until the schedule is caught up.
    #[default]
    Burst,
    /// They are forgotten, and the schedule starts anew: the next tick comes a whole period after the
    /// late one was delivered.
    Delay,
    /// They are forgotten, and the schedule stays: the next tick comes at the next multiple of the
    /// period that is still to come.
    Skip,
}

/// Ticks at a fixed period; made by [`interval`] or [`interval_at`].
#[derive(Clone, Debug)]
pub struct Interval {
    next: Time,
    period: Duration,
    missed: MissedTicks,
}

/// An interval whose first tick is due now. A period of zero counts as one nanosecond.
///
/// ```
/// use asupersync_core::{Cancelled, Cx};
/// use asupersync_time::{MissedTicks, interval};
/// use std::time::Duration;
///
/// async fn heartbeat(cx: &Cx) -> Result<(), Cancelled> {
///     let mut ticks = interval(cx, Duration::from_secs(1)).with_missed(MissedTicks::Skip);
///     loop {
///         let due = ticks.tick(cx).await?;
///         cx.trace(format!("beat, due at {due}"));
///     }
/// }
/// ```
#[must_use = "an interval does nothing until `tick` is awaited"]
pub fn interval<C: HasTime>(cx: &Cx<C>, period: Duration) -> Interval {
    interval_at(cx.now(), period)
}

/// An interval whose first tick is due at `start`. A period of zero counts as one nanosecond.
#[must_use = "an interval does nothing until `tick` is awaited"]
pub fn interval_at(start: Time, period: Duration) -> Interval {
    let period = period.max(Duration::from_nanos(1));
    Interval { next: start, period, missed: MissedTicks::default() }
}

impl Interval {
    /// The same interval with another policy for missed ticks.
    #[must_use]
    pub fn with_missed(mut self, missed: MissedTicks) -> Interval {
        self.missed = missed;
        self
    }

    /// The distance between two ticks.
    #[must_use]
    pub fn period(&self) -> Duration {
        self.period
    }

    /// When the next tick is due.
    #[must_use]
    pub fn next_due(&self) -> Time {
        self.next
    }

    /// Waits for the next tick and answers when it was due, which is not later than now.
    ///
    /// # Errors
    /// [`Cancelled`] when the scope is cancelled.
    ///
    /// # Cancel safety
    /// A tick that was waited for in vain comes again: the schedule moves on only with an `Ok`. A cancel
    /// request is answered within one poll.
    #[track_caller]
    pub fn tick<'a, C: HasTime>(
        &'a mut self,
        cx: &'a Cx<C>,
    ) -> impl Future<Output = Result<Time, Cancelled>> + 'a {
        let sleep = cx.sleep_until(self.next);
        async move {
            sleep.await?;
            let due = self.next;
            self.next = following(due, self.period, self.missed, cx.now());
            Ok(due)
        }
    }
}

/// When the tick after the one due at `due` comes, if that one was delivered at `now`.
fn following(due: Time, period: Duration, missed: MissedTicks, now: Time) -> Time {
    let next = due + period;
    if next > now {
        return next;
    }
    match missed {
        MissedTicks::Burst => next,
        MissedTicks::Delay => now + period,
        MissedTicks::Skip => {
            let period = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
            let behind = now.as_nanos() - due.as_nanos();
            let periods = behind / period + 1;
            Time::from_nanos(due.as_nanos().saturating_add(periods.saturating_mul(period)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(10);

    fn check(missed: MissedTicks, delivered_at: u64, next: u64) {
        let now = Time::from_secs(delivered_at);
        assert_eq!(following(Time::from_secs(100), PERIOD, missed, now), Time::from_secs(next));
    }

    #[test]
    fn a_late_tick_that_missed_none_keeps_the_schedule_under_every_policy() {
        for missed in [MissedTicks::Burst, MissedTicks::Delay, MissedTicks::Skip] {
            check(missed, 100, 110);
            check(missed, 109, 110);
        }
    }

    #[test]
    fn burst_catches_up_delay_starts_anew_skip_stays_in_step() {
        check(MissedTicks::Burst, 134, 110);
        check(MissedTicks::Delay, 134, 144);
        check(MissedTicks::Skip, 134, 140);
    }

    #[test]
    fn a_tick_due_at_this_very_moment_counts_as_missed() {
        check(MissedTicks::Skip, 130, 140);
        check(MissedTicks::Delay, 110, 120);
    }
}
