//! Limits on what a task or region may spend.

use crate::time::Time;
use std::time::Duration;

/// What a task or region may spend before it is asked to stop.
///
/// Budgets compose by [`meet`](Budget::meet): the tighter limit wins. With `meet` they form a
/// bounded meet-semilattice (componentwise `min`; `max` on `priority`, that is `min` in the
/// reversed order) whose identity is [`Budget::UNLIMITED`]: `meet` is associative, commutative and
/// idempotent, and `b.meet(UNLIMITED) == b`. A child's budget is always the meet with its
/// parent's, so it can never be looser.
///
/// ```
/// use asupersync_core::Budget;
///
/// let request = Budget::new().with_deadline_secs(30).with_poll_quota(10_000);
/// let step = Budget::new().with_poll_quota(500).with_priority(100);
/// let both = request.meet(step);
/// assert_eq!(both.poll_quota, 500);
/// assert_eq!(both.priority, 100);
/// assert_eq!(both.meet(Budget::UNLIMITED), both);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Absolute time after which the holder is cancelled with
    /// [`CancelKind::Timeout`](crate::CancelKind::Timeout).
    pub deadline: Option<Time>,
    /// The same, counted from the moment the budget takes effect (a spawn, a region's opening).
    /// Turned into a `deadline` there; a budget read back from a context has none.
    pub timeout: Option<Duration>,
    /// Polls a *task* may use; each task counts its own. `u32::MAX` is no limit.
    pub poll_quota: u32,
    /// Abstract cost units, spent with `cx.charge(n)` by the holder and all its descendants.
    pub cost_quota: Option<u64>,
    /// Scheduling priority, 0 (none asked for) to 255.
    pub priority: u8,
}

impl Budget {
    /// No limit of any kind: the identity of [`meet`](Budget::meet).
    pub const UNLIMITED: Budget = Budget {
        deadline: None,
        timeout: None,
        poll_quota: u32::MAX,
        cost_quota: None,
        priority: 0,
    };

    /// A budget without limits, to be narrowed by the `with_` methods.
    #[must_use]
    pub const fn new() -> Budget {
        Budget::UNLIMITED
    }

    /// Ends at an absolute time of the host's clock.
    #[must_use]
    pub const fn with_deadline(mut self, deadline: Time) -> Budget {
        self.deadline = Some(deadline);
        self
    }

    /// Ends this long after the budget takes effect.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Budget {
        self.timeout = Some(timeout);
        self
    }

    /// Ends this many seconds after the budget takes effect.
    #[must_use]
    pub const fn with_deadline_secs(self, secs: u64) -> Budget {
        self.with_timeout(Duration::from_secs(secs))
    }

    /// Allows each task this many polls.
    #[must_use]
    pub const fn with_poll_quota(mut self, polls: u32) -> Budget {
        self.poll_quota = polls;
        self
    }

    /// Allows the holder and its descendants together this many cost units.
    #[must_use]
    pub const fn with_cost_quota(mut self, units: u64) -> Budget {
        self.cost_quota = Some(units);
        self
    }

    /// Asks for a scheduling priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: u8) -> Budget {
        self.priority = priority;
        self
    }

    /// The tighter of two budgets, limit by limit.
    #[must_use]
    pub fn meet(self, other: Budget) -> Budget {
        // The usual case.
        if other == Budget::UNLIMITED {
            return self;
        }
        Budget {
            deadline: tighter(self.deadline, other.deadline),
            timeout: tighter(self.timeout, other.timeout),
            poll_quota: self.poll_quota.min(other.poll_quota),
            cost_quota: tighter(self.cost_quota, other.cost_quota),
            priority: self.priority.max(other.priority),
        }
    }

    /// The budget as it stands when it takes effect at `now`: the timeout becomes a deadline.
    #[must_use]
    pub fn effective_at(self, now: Time) -> Budget {
        let from_timeout = self.timeout.map(|timeout| now + timeout);
        Budget { deadline: tighter(self.deadline, from_timeout), timeout: None, ..self }
    }
}

impl Default for Budget {
    fn default() -> Budget {
        Budget::UNLIMITED
    }
}

/// `None` means no limit, so it loses against any limit.
fn tighter<T: Ord>(a: Option<T>, b: Option<T>) -> Option<T> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (limit, None) | (None, limit) => limit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn budget() -> impl Strategy<Value = Budget> {
        (any::<Option<u8>>(), any::<Option<u8>>(), any::<u32>(), any::<Option<u8>>(), any::<u8>())
            .prop_map(|(deadline, timeout, poll_quota, cost, priority)| Budget {
                deadline: deadline.map(|d| Time::from_secs(d.into())),
                timeout: timeout.map(|t| Duration::from_secs(t.into())),
                poll_quota,
                cost_quota: cost.map(u64::from),
                priority,
            })
    }

    proptest! {
        #[test]
        fn meet_is_a_semilattice_with_identity(a in budget(), b in budget(), c in budget()) {
            prop_assert_eq!(a.meet(b), b.meet(a));
            prop_assert_eq!(a.meet(b).meet(c), a.meet(b.meet(c)));
            prop_assert_eq!(a.meet(a), a);
            prop_assert_eq!(a.meet(Budget::UNLIMITED), a);
        }

        #[test]
        fn taking_effect_commutes_with_meet(a in budget(), b in budget(), now in any::<u16>()) {
            let now = Time::from_secs(now.into());
            prop_assert_eq!(
                a.meet(b).effective_at(now),
                a.effective_at(now).meet(b.effective_at(now))
            );
        }
    }
}
