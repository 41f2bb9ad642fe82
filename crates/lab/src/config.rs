//! What a lab run may be told.

use crate::faults::{FaultPlan, Faults};
use crate::host::{ServiceContext, Services};
use crate::oracle::Invariant;
use asupersync_net::VirtualOptions;
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

/// Options of a [`LabRuntime`](crate::LabRuntime).
///
/// ```
/// use asupersync_lab::LabConfig;
///
/// let config = LabConfig::default()
///     .seed(42)
///     .max_steps(100_000)
///     .futurelock_max_idle_steps(1_000)
///     .capture_trace(true);
/// ```
#[derive(Clone, Debug)]
pub struct LabConfig {
    pub(crate) seed: u64,
    pub(crate) max_steps: u64,
    pub(crate) futurelock_max_idle_steps: u64,
    pub(crate) max_overtakes: u64,
    pub(crate) capture_trace: bool,
    pub(crate) fingerprint: bool,
    pub(crate) observe: bool,
    pub(crate) dropped_permits_leak: bool,
    pub(crate) inject_cancel_at: Option<u64>,
    pub(crate) choices: Vec<u32>,
    pub(crate) required: Vec<Invariant>,
    pub(crate) services: Services,
    pub(crate) faults: Faults,
    /// Numbers of faults that do not happen after all.
    pub(crate) left_out: Vec<usize>,
    pub(crate) live_within: Duration,
    pub(crate) time_races: u32,
    /// Further options for the trace's header.
    pub(crate) header: Vec<(String, String)>,
}

impl Default for LabConfig {
    fn default() -> LabConfig {
        LabConfig {
            seed: 0,
            max_steps: 1_000_000,
            futurelock_max_idle_steps: 10_000,
            max_overtakes: 1_000,
            capture_trace: false,
            fingerprint: true,
            observe: true,
            dropped_permits_leak: true,
            inject_cancel_at: None,
            choices: Vec::new(),
            required: Vec::new(),
            services: Services::default(),
            faults: Faults::default(),
            left_out: Vec::new(),
            live_within: Duration::from_secs(3_600),
            time_races: 0,
            header: Vec::new(),
        }
    }
}

impl LabConfig {
    /// The seed of the order in which tasks run and of all random streams. 0 by default.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> LabConfig {
        self.seed = seed;
        self
    }

    /// Polls after which a run is given up as one that does not end. A million by default.
    #[must_use]
    pub fn max_steps(mut self, steps: u64) -> LabConfig {
        self.max_steps = steps;
        self
    }

    /// Polls of other tasks that a task holding an obligation may sit through without being polled
    /// itself. 10,000 by default.
    #[must_use]
    pub fn futurelock_max_idle_steps(mut self, steps: u64) -> LabConfig {
        self.futurelock_max_idle_steps = steps;
        self
    }

    /// How many tasks that come later may be served, of one object, before a task that waits for it.
    /// 1,000 by default; 0 demands strict order.
    #[must_use]
    pub fn max_overtakes(mut self, most: u64) -> LabConfig {
        self.max_overtakes = most;
        self
    }

    /// Whether what happens is kept, for the report and for replay. Off by default.
    #[must_use]
    pub fn capture_trace(mut self, capture: bool) -> LabConfig {
        self.capture_trace = capture;
        self
    }

    /// Whether the run's class is computed, for [`LabReport::fingerprint`](crate::LabReport::fingerprint) and for the
    /// classes that a [`Summary`](crate::Summary) counts. On by default; who wants the verdicts alone saves a fifth of a
    /// run without it. Where a strategy is told what the polls touch, as in an exploration, it is computed in any case.
    #[must_use]
    pub fn fingerprint(mut self, compute: bool) -> LabConfig {
        self.fingerprint = compute;
        self
    }

    /// Whether kernel events are looked at. On by default; without them there are no oracles, no
    /// fingerprint and no trace, and every verdict is vacuous.
    #[must_use]
    pub fn observe(mut self, observe: bool) -> LabConfig {
        self.observe = observe;
        self
    }

    /// Whether a send permit that is dropped without `send` or `abort`, by a task that was not
    /// cancelled and ends well, counts as a leak. On by default.
    #[must_use]
    pub fn dropped_permits_leak(mut self, leak: bool) -> LabConfig {
        self.dropped_permits_leak = leak;
        self
    }

    /// Cancels the root region just before the poll with this number, counted from 0. A run that
    /// ends sooner is not cancelled.
    #[must_use]
    pub fn inject_cancel_at(mut self, step: u64) -> LabConfig {
        self.inject_cancel_at = Some(step);
        self
    }

    /// The first choices, before the strategy is asked: what replays a run.
    #[must_use]
    pub fn choices(mut self, choices: Vec<u32>) -> LabConfig {
        self.choices = choices;
        self
    }

    /// Makes it a failure if the oracle of this invariant sees no event. Ownership, quiescence,
    /// obligations, authority, futurelock and deadlines are required anyway.
    #[must_use]
    pub fn require(mut self, invariant: Invariant) -> LabConfig {
        self.required.push(invariant);
        self
    }

    /// Gives programs a driver, the same one in every run: `cx.service::<T>()` finds it.
    #[must_use]
    pub fn service<T: Any + Send + Sync>(self, service: Arc<T>) -> LabConfig {
        self.service_with(move |_| service.clone())
    }

    /// Gives programs a driver that is made anew for each run, from its seed, when a program first
    /// asks for it. A driver with state of its own must come this way, or runs would differ.
    #[must_use]
    pub fn service_with<T: Any + Send + Sync>(
        mut self,
        make: impl Fn(&ServiceContext) -> Arc<T> + Send + Sync + 'static,
    ) -> LabConfig {
        self.services.add(make);
        self
    }

    /// How the virtual network behaves, which every run has anew. With
    /// [`VirtualOptions::default`] unless told otherwise.
    #[must_use]
    pub fn network(mut self, options: VirtualOptions) -> LabConfig {
        self.services.add_network(options);
        self
    }

    /// Lets things go wrong in each run as its seed says. The drawn network takes the place of the one that
    /// [`network`](LabConfig::network) or a driver of your own describes. None by default.
    #[must_use]
    pub fn faults(mut self, faults: Faults) -> LabConfig {
        self.faults = faults;
        self
    }

    /// In a run with faults, how much virtual time the program has to come to its end once everything is mended,
    /// at [`FaultPlan::HEALED`]. An hour by default.
    #[must_use]
    pub fn live_within(mut self, bound: Duration) -> LabConfig {
        self.live_within = bound;
        self
    }

    /// Lets time race with the tasks: it may pass at any step, to the next instant at which something is due (a
    /// timer, an arrival on the virtual network, a fault), also while tasks can run. So a timeout fires while the task
    /// that it waits for is slow, and a segment lands between two steps of its receiver. Time passing is a step of its
    /// own, offered to the strategy as [`Choice::TIME`](crate::Choice::TIME).
    ///
    /// The first `most` times that time passes in a run are such steps; from then on, and with 0, which is the
    /// default, it passes only when no task can run (maximal progress, in the terms of timed systems). An exploration in
    /// which a run came to that limit says `bounded`. With `u32::MAX` there is no limit, and a program whose
    /// timers come for ever has endlessly many orders.
    ///
    /// Things that are due keep their order among each other.
    #[must_use]
    pub fn time_races(mut self, most: u32) -> LabConfig {
        self.time_races = most;
        self
    }

    /// What goes wrong in the run of this seed.
    pub(crate) fn plan(&self, seed: u64) -> FaultPlan {
        self.faults.expand(seed).without(&self.left_out)
    }

    pub(crate) fn requires(&self, invariant: Invariant) -> bool {
        let always = matches!(
            invariant,
            Invariant::Ownership
                | Invariant::Quiescence
                | Invariant::Obligations
                | Invariant::Authority
                | Invariant::Futurelock
                | Invariant::Deadlines
        );
        always || self.required.contains(&invariant)
    }
}
