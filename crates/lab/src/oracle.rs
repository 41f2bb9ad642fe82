//! The oracles: each watches the kernel's events for one invariant to be broken.
//!
//! They share one picture of the run, the [`Tree`], and look at each event before it is applied.
//! An oracle says how many events it saw: one that saw none has shown nothing, and where events were
//! bound to come that is a failure too.

mod authority;
mod branches;
mod completion;
mod deadlines;
mod facts;
mod finalizers;
mod futurelock;
mod obligations;
mod overtaking;
mod ownership;
mod quiescence;
mod severity;
mod table;
mod tree;
mod waits;

use crate::strategy::Blocked;
use asupersync_core::{Event, RegionSnapshot};
pub(crate) use facts::Fact;
use std::fmt;
use tree::Tree;

/// What is watched, by the names the architecture gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Invariant {
    /// I1: every live task has exactly one owner region.
    Ownership,
    /// I2: a closed region has no live descendant.
    Quiescence,
    /// I3: a closed region has no unresolved obligation, and none is leaked.
    Obligations,
    /// I4: the severity of a cancellation never falls.
    Severity,
    /// I5: a cancelled task ends within its cleanup budget.
    Completion,
    /// I6: losers are drained before their combinator returns.
    Branches,
    /// I7: finalizers run exactly once, last first, after all children.
    Finalizers,
    /// I8: same seed, same trace. Judged by running twice: [`repeatable`](crate::repeatable).
    Determinism,
    /// I9: what is sent arrives or is handed back, once. Judges [`Parcel`](crate::Parcel)s.
    Delivery,
    /// I10: no effect without its capability.
    Authority,
    /// No task sits on an obligation without being polled.
    Futurelock,
    /// No tasks wait for each other in a circle.
    WaitCycle,
    /// No task waits for a wake-up that will not come.
    LostWakeup,
    /// No waiter is overtaken without bound.
    Overtaking,
    /// Time does not go back, and no timer fires early.
    Deadlines,
    /// What may happen once happens at most once. Judges [`effect`](crate::effect)s.
    Effects,
    /// Frames are read whole. Judges [`Stream`](crate::Stream)s.
    Framing,
}

impl Invariant {
    /// All of them that a single run can show, in the order of verdicts.
    pub const ALL: [Invariant; 16] = [
        Invariant::Ownership,
        Invariant::Quiescence,
        Invariant::Obligations,
        Invariant::Severity,
        Invariant::Completion,
        Invariant::Branches,
        Invariant::Finalizers,
        Invariant::Delivery,
        Invariant::Authority,
        Invariant::Futurelock,
        Invariant::WaitCycle,
        Invariant::LostWakeup,
        Invariant::Overtaking,
        Invariant::Deadlines,
        Invariant::Effects,
        Invariant::Framing,
    ];

    /// The invariant's sentence.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Invariant::Ownership => "every live task has exactly one owner region",
            Invariant::Quiescence => "a closed region has no live descendant",
            Invariant::Obligations => "a closed region has no unresolved obligation",
            Invariant::Severity => "the severity of a cancellation never falls",
            Invariant::Completion => "a cancelled task ends within its cleanup budget",
            Invariant::Branches => "losers are drained before their combinator returns",
            Invariant::Finalizers => "finalizers run exactly once, last first, after all children",
            Invariant::Determinism => "same seed, same trace",
            Invariant::Delivery => "what is sent arrives or is handed back, once",
            Invariant::Authority => "no effect without its capability",
            Invariant::Futurelock => "no task sits on an obligation without being polled",
            Invariant::WaitCycle => "no tasks wait for each other in a circle",
            Invariant::LostWakeup => "no task waits for a wake-up that will not come",
            Invariant::Overtaking => "no waiter is overtaken without bound",
            Invariant::Deadlines => "time does not go back, and no timer fires early",
            Invariant::Effects => "what may happen once happens at most once",
            Invariant::Framing => "frames are read whole",
        }
    }

    /// Whether it says why a run stands still.
    pub(crate) const fn explains_deadlock(self) -> bool {
        matches!(self, Invariant::Futurelock | Invariant::WaitCycle | Invariant::LostWakeup)
    }
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Invariant::Ownership => "I1 ownership",
            Invariant::Quiescence => "I2 quiescence",
            Invariant::Obligations => "I3 obligations",
            Invariant::Severity => "I4 severity",
            Invariant::Completion => "I5 completion",
            Invariant::Branches => "I6 branches",
            Invariant::Finalizers => "I7 finalizers",
            Invariant::Determinism => "I8 determinism",
            Invariant::Delivery => "I9 conservation",
            Invariant::Authority => "I10 authority",
            Invariant::Futurelock => "futurelock",
            Invariant::WaitCycle => "wait cycle",
            Invariant::LostWakeup => "lost wake-up",
            Invariant::Overtaking => "bounded overtaking",
            Invariant::Deadlines => "deadlines",
            Invariant::Effects => "effect at most once",
            Invariant::Framing => "framing",
        })
    }
}

/// One way in which a run broke an invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// The number of kernel events before the one that showed it.
    pub event: u64,
    /// What happened, to whom, and where.
    pub message: String,
}

/// What an oracle has to say about a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    invariant: Invariant,
    seen: u64,
    required: bool,
    violations: Vec<Violation>,
    omitted: u64,
}

impl Verdict {
    /// Violations kept one by one; the rest are counted.
    pub const KEPT: usize = 16;

    /// The verdict of an oracle that has not looked yet.
    pub(crate) fn unseen(invariant: Invariant) -> Verdict {
        Verdict { invariant, seen: 0, required: true, violations: Vec::new(), omitted: 0 }
    }

    /// The verdict on what was seen all at once.
    pub(crate) fn of(invariant: Invariant, seen: u64, broken: Option<String>) -> Verdict {
        let violations = broken.map(|message| Violation { event: 0, message });
        let violations = violations.into_iter().collect();
        Verdict { invariant, seen, required: true, violations, omitted: 0 }
    }

    /// What was watched.
    #[must_use]
    pub fn invariant(&self) -> Invariant {
        self.invariant
    }

    /// How many events the oracle judged.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// The violations, at most [`Verdict::KEPT`] of them.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.violations
    }

    /// Nothing was judged, although the run was bound to have something to judge.
    #[must_use]
    pub fn is_vacuous(&self) -> bool {
        self.required && self.seen == 0
    }

    /// The invariant held, and that was seen.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.violations.is_empty() && !self.is_vacuous()
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): ", self.invariant, self.invariant.text())?;
        if self.violations.is_empty() {
            return match self.seen {
                0 => f.write_str("no event was seen, so nothing was shown"),
                seen => write!(f, "held, {seen} events seen"),
            };
        }
        write!(f, "broken")?;
        for violation in &self.violations {
            write!(f, "\n    at event {}: {}", violation.event, violation.message)?;
        }
        if self.omitted > 0 {
            write!(f, "\n    and {} more", self.omitted)?;
        }
        Ok(())
    }
}

/// What an oracle writes its findings into.
#[derive(Debug, Default)]
struct Findings {
    /// Number of the event being judged.
    event: u64,
    seen: u64,
    violations: Vec<Violation>,
    omitted: u64,
}

impl Findings {
    fn saw(&mut self) {
        self.seen += 1;
    }

    /// Notes a violation; the message is made only when it is kept.
    #[cold]
    #[inline(never)]
    fn broken(&mut self, message: impl FnOnce() -> String) {
        if self.violations.len() < Verdict::KEPT {
            self.violations.push(Violation { event: self.event, message: message() });
        } else {
            self.omitted += 1;
        }
    }

    fn set(&mut self, other: &Findings) {
        let Findings { event, seen, violations, omitted } = other;
        self.violations.clone_from(violations);
        (self.event, self.seen, self.omitted) = (*event, *seen, *omitted);
    }

    fn clear(&mut self) {
        *self =
            Findings { violations: std::mem::take(&mut self.violations), ..Findings::default() };
        self.violations.clear();
    }
}

/// How a run came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// The root region closed.
    Quiescent,
    /// The host tore the tree down because nothing could run.
    Deadlock,
    /// The host tore the tree down for another reason.
    Abandoned,
}

/// A judge of one invariant.
trait Oracle: Clone + Default {
    const INVARIANT: Invariant;
    /// The events that it is shown.
    const WANTS: u32;

    /// Judges an event. `tree` shows the run as it was before it.
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings);

    /// Judges what is left when the run is over.
    fn end(&mut self, _ending: Ending, _tree: &Tree, _findings: &mut Findings) {}

    /// Forgets the run.
    fn clear(&mut self) {}
}

/// Who is shown events of a kind that is known when the program is compiled: what is left of it are the
/// branches for that kind.
pub(crate) trait Shown: Sized {
    fn show<const KIND: u32>(self, event: &Event<'_>);

    /// Is shown this event.
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn sort(self, event: &Event<'_>) {
        match event {
            Event::TaskSpawned { .. } => self.show::<{ kinds::SPAWNED }>(event),
            Event::PollBegin { .. } => self.show::<{ kinds::POLL_BEGIN }>(event),
            Event::PollEnd { .. } => self.show::<{ kinds::POLL_END }>(event),
            Event::TaskWoken { .. } => self.show::<{ kinds::WOKEN }>(event),
            Event::WaitParked { .. } => self.show::<{ kinds::PARKED }>(event),
            Event::WaitEnded { .. } => self.show::<{ kinds::WAIT_ENDED }>(event),
            Event::TaskCancelRequested { .. }
            | Event::TaskEscalated { .. }
            | Event::RegionCancelRequested { .. } => self.show::<{ kinds::CANCEL }>(event),
            Event::TaskCompleted { .. } => self.show::<{ kinds::COMPLETED }>(event),
            Event::BranchOpened { .. }
            | Event::BranchClosed { .. }
            | Event::BranchesLeft { .. } => self.show::<{ kinds::BRANCHES }>(event),
            Event::RegionOpened { .. } => self.show::<{ kinds::REGION_OPENED }>(event),
            Event::RegionClosed { .. } => self.show::<{ kinds::REGION_CLOSED }>(event),
            Event::FinalizerDeferred { .. } | Event::FinalizerStarted { .. } => {
                self.show::<{ kinds::FINALIZERS }>(event);
            }
            Event::ObligationReserved { .. } => self.show::<{ kinds::RESERVED }>(event),
            Event::ObligationResolved { .. } => self.show::<{ kinds::RESOLVED }>(event),
            Event::Access { .. } => self.show::<{ kinds::ACCESS }>(event),
            Event::User { .. } => self.show::<{ kinds::USER }>(event),
            Event::TaskSoftCancelled { .. } | Event::RegionSoftCancelled { .. } => {
                self.show::<{ kinds::SOFT }>(event);
            }
            _ => self.show::<{ kinds::OTHER }>(event),
        }
    }
}

/// Sorts of kernel events, a bit each: an oracle is shown only those that it wants.
pub(crate) mod kinds {
    pub(crate) const SPAWNED: u32 = 1;
    pub(crate) const POLL_BEGIN: u32 = 1 << 1;
    pub(crate) const POLL_END: u32 = 1 << 2;
    pub(crate) const PARKED: u32 = 1 << 3;
    pub(crate) const WAIT_ENDED: u32 = 1 << 4;
    pub(crate) const CANCEL: u32 = 1 << 5;
    pub(crate) const COMPLETED: u32 = 1 << 6;
    pub(crate) const BRANCHES: u32 = 1 << 7;
    pub(crate) const REGION_OPENED: u32 = 1 << 8;
    pub(crate) const REGION_CLOSED: u32 = 1 << 9;
    pub(crate) const FINALIZERS: u32 = 1 << 10;
    pub(crate) const RESERVED: u32 = 1 << 11;
    pub(crate) const RESOLVED: u32 = 1 << 12;
    pub(crate) const USER: u32 = 1 << 13;
    pub(crate) const SOFT: u32 = 1 << 14;
    pub(crate) const WOKEN: u32 = 1 << 15;
    pub(crate) const ACCESS: u32 = 1 << 16;
    pub(crate) const OTHER: u32 = 1 << 17;
}

macro_rules! oracles {
    ($($field:ident: $oracle:ty),* $(,)?) => {
        /// All oracles, fed together.
        #[derive(Debug, Default)]
        pub(crate) struct Oracles {
            tree: Tree,
            events: u64,
            $( $field: ($oracle, Findings), )*
        }

        impl Shown for &mut Oracles {
            /// Judges an event of this kind.
            #[cfg_attr(not(debug_assertions), inline(always))]
            fn show<const KIND: u32>(self, event: &Event<'_>) {
                $( if wants(&self.$field.0) & KIND != 0 {
                    let (oracle, findings) = &mut self.$field;
                    findings.event = self.events;
                    oracle.observe(event, &self.tree, findings);
                } )*
                self.tree.apply(event);
                self.events += 1;
            }
        }

        impl Oracles {
            /// Becomes as the other is, keeping memory.
            pub(crate) fn set(&mut self, other: &Oracles) {
                self.tree.set(&other.tree);
                self.events = other.events;
                $(
                    self.$field.0.clone_from(&other.$field.0);
                    self.$field.1.set(&other.$field.1);
                )*
            }

            /// Judges what is left at the end of the run.
            pub(crate) fn end(&mut self, ending: Ending) {
                $( {
                    let (oracle, findings) = &mut self.$field;
                    findings.event = self.events;
                    oracle.end(ending, &self.tree, findings);
                } )*
            }

            /// Takes the verdicts on the run; `required` says of which oracles events were bound
            /// to come.
            pub(crate) fn verdicts(&mut self, required: impl Fn(Invariant) -> bool) -> Vec<Verdict> {
                vec![$( {
                    let (oracle, findings) = &mut self.$field;
                    let invariant = oracle_invariant(oracle);
                    Verdict {
                        invariant,
                        seen: findings.seen,
                        required: required(invariant),
                        violations: std::mem::take(&mut findings.violations),
                        omitted: findings.omitted,
                    }
                } ),*]
            }

            /// Makes ready for the next run, keeping memory.
            pub(crate) fn clear(&mut self) {
                self.tree.clear();
                self.events = 0;
                $(
                    self.$field.0.clear();
                    self.$field.1.clear();
                )*
            }
        }
    };
}

oracles! {
    ownership: ownership::Ownership,
    quiescence: quiescence::Quiescence,
    obligations: obligations::Obligations,
    severity: severity::Monotone,
    completion: completion::Completion,
    branches: branches::Branches,
    finalizers: finalizers::Finalizers,
    delivery: facts::Delivery,
    authority: authority::Authority,
    futurelock: futurelock::Futurelock,
    wait_cycle: waits::WaitCycle,
    lost_wakeup: waits::LostWakeup,
    overtaking: overtaking::Overtaking,
    deadlines: deadlines::Deadlines,
    effects: facts::Effects,
    framing: facts::Framing,
}

impl Oracles {
    /// Judges a kernel event.
    #[cfg(test)]
    pub(crate) fn observe(&mut self, event: &Event<'_>) {
        self.sort(event);
    }

    /// Looks at a run that stands still, before it is torn down.
    pub(crate) fn stuck(&mut self, snapshot: &RegionSnapshot, blocked: &[Blocked]) {
        self.tree.stand_still();
        self.tree.knots = waits::knots(snapshot, blocked, &self.tree);
    }

    /// What was not wrong in this run, and may be in another.
    pub(crate) fn warnings(&mut self) -> Vec<String> {
        std::mem::take(&mut self.tree.warnings)
    }

    /// Judges one of the host's own events.
    pub(crate) fn host(&mut self, event: &asupersync_trace::Event) {
        let (deadlines, findings) = &mut self.deadlines;
        findings.event = self.events;
        match *event {
            asupersync_trace::Event::ClockAdvanced { to }
            | asupersync_trace::Event::TimePasses { to } => deadlines.advanced(to, findings),
            asupersync_trace::Event::TimerFired { at } => deadlines.fired(at, findings),
            _ => {}
        }
    }

    /// Sets how many later ones may be served before a waiter.
    pub(crate) fn set_max_overtakes(&mut self, most: u64) {
        self.overtaking.0.most = most;
    }

    /// Sets the number of steps a task holding an obligation may go unpolled.
    pub(crate) fn set_max_idle_steps(&mut self, steps: u64) {
        self.futurelock.0.max_idle_steps = steps;
    }

    /// Sets whether a send permit dropped by a task that succeeds counts as a leak.
    pub(crate) fn set_dropped_permits_leak(&mut self, leak: bool) {
        self.obligations.0.dropped_permits_leak = leak;
    }
}

const fn wants<O: Oracle>(_: &O) -> u32 {
    O::WANTS
}

fn oracle_invariant<O: Oracle>(_: &O) -> Invariant {
    O::INVARIANT
}

#[cfg(test)]
mod tests;
