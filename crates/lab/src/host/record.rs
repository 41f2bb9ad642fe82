//! What happens on the run's way past the observers, and what they make of it.

use crate::oracle::{Fact, Oracles, Shown, kinds};
use crate::replay::Playback;
use crate::strategy::{Change, Footprint, Timers};
use asupersync_core::event::{Access, Resolution};
use asupersync_core::{Event, ObjectId, Severity, Time};
use asupersync_reactor::Call;
use asupersync_trace::{self as trace, EventLog, Fingerprinter};
use std::sync::Arc;

/// Which poll touched what, for a strategy that wants to know.
#[derive(Default)]
pub(crate) struct Watch {
    pub(super) footprint: Footprint,
    /// Polls whose footprint is known. Of the last of them it is told again, with what follows it.
    pub(super) skips: u64,
}

impl Watch {
    /// Begins a run of which so many polls are known.
    pub(crate) fn after(mut self, skips: u64) -> Watch {
        self.footprint.clear();
        Watch { skips, ..self }
    }
}

/// What a task has come to.
const OUTCOME: &str = "outcome";

/// Whether the operations of such objects say all there is to know about them.
fn is_exact(label: &str) -> bool {
    use crate::{atomic, mutex, queue};
    matches!(label, "Shared" | OUTCOME | atomic::LABEL | mutex::LABEL | queue::LABEL)
}

/// What happens on the run's way past the observers.
#[derive(Default)]
pub(crate) struct Record {
    pub(crate) judged: Judged,
    pub(crate) log: Option<EventLog>,
    /// Events in the log of the last run that had one.
    pub(crate) logged: usize,
    /// The run's class is wanted.
    pub(crate) fingerprints: bool,
    /// The recording that the run follows.
    pub(super) playback: Option<Box<Playback>>,
    pub(crate) watch: Option<Watch>,
    pub(super) last_object: Option<ObjectId>,
    /// Polls begun. Where time races, its passing counts as one.
    pub(crate) polls: u64,
    /// Of these are over; kept where time races.
    pub(crate) over: u64,
    /// The poll that used the clock last, counted from 1.
    used_clock: u64,
    /// Until this poll begins, the run is as it was when what it began with was kept.
    resume: u64,
    /// What had been seen when the poll with the number began, in ascending order.
    kept: Vec<(u64, Judged)>,
    /// Thrown away, and to be used again.
    spare: Vec<Judged>,
}

/// What the events have come to so far.
#[derive(Default)]
pub(crate) struct Judged {
    pub(crate) oracles: Oracles,
    pub(crate) fingerprint: Fingerprinter,
    /// How many polls had begun when the first task failed.
    pub(crate) failed_at: Option<u64>,
}

impl Judged {
    /// Becomes as the other is, keeping memory.
    fn set(&mut self, other: &Judged) {
        let Judged { oracles, fingerprint, failed_at } = other;
        self.oracles.set(oracles);
        self.fingerprint.clone_from(fingerprint);
        self.failed_at = *failed_at;
    }
}

impl Shown for &mut Record {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn show<const KIND: u32>(self, event: &Event<'_>) {
        if let Some(log) = &mut self.log {
            log.kernel(event);
        }
        match *event {
            Event::Access { object, .. } if KIND == kinds::ACCESS => {
                self.last_object = Some(object);
            }
            Event::PollBegin { .. } if KIND == kinds::POLL_BEGIN => self.poll_begins(),
            // A step of its own may begin.
            Event::RegionFinalizing { .. } if KIND == kinds::OTHER => self.used_clock = 0,
            Event::RegionClosed { .. } if KIND == kinds::REGION_CLOSED => self.used_clock = 0,
            Event::TaskCompleted { severity: Severity::Err | Severity::Panicked, .. }
                if KIND == kinds::COMPLETED =>
            {
                self.fails();
            }
            Event::ObligationResolved { how: Resolution::Leaked, .. }
                if KIND == kinds::RESOLVED =>
            {
                self.fails();
            }
            _ => {}
        }
        if self.is_known() {
            return;
        }
        self.judged.oracles.show::<KIND>(event);
        if self.watch.as_ref().is_some_and(|watch| self.polls >= watch.skips) {
            self.watched(event);
        } else if self.fingerprints {
            self.judged.fingerprint.kernel(event);
        }
    }
}

/// Polls at least between two places where what was seen is kept: keeping costs about as much as
/// watching some. In long runs it is a share of the way, so that few are kept at a time.
const APART: u64 = 4;
const SHARE: u64 = 16;

impl Record {
    /// Begins a run whose first `known` polls are those of the run before.
    pub(crate) fn begin(&mut self, known: u64) {
        self.polls = 0;
        self.over = 0;
        self.used_clock = 0;
        self.resume = 0;
        // The last of them is watched again, for what follows it.
        while self.kept.last().is_some_and(|(at, _)| at + 1 > known) {
            self.spare.extend(self.kept.pop().map(|(_, judged)| judged));
        }
        if let Some((at, judged)) = self.kept.last() {
            self.judged.set(judged);
            self.resume = *at;
        }
    }

    /// A poll begins.
    fn poll_begins(&mut self) {
        let next = self.polls;
        self.polls += 1;
        let keeps = self.watch.as_ref().is_some_and(|watch| watch.skips == next + 1);
        let last = self.kept.last().map_or(0, |(at, _)| *at);
        if keeps && next >= last + APART.max(next / SHARE) {
            let mut judged = self.spare.pop().unwrap_or_default();
            judged.set(&self.judged);
            self.kept.push((next, judged));
        }
    }

    /// A task fails, or loses an obligation.
    #[cold]
    fn fails(&mut self) {
        if !self.is_known() {
            self.judged.failed_at.get_or_insert(self.polls);
        }
    }

    /// Whether what happens now was seen in a run before, and is accounted for.
    fn is_known(&self) -> bool {
        self.resume > 0 && self.polls <= self.resume
    }

    /// Notes one of the host's own events.
    pub(crate) fn host(&mut self, event: &trace::Event) {
        if let Some(log) = &mut self.log {
            log.host(event);
        }
        if let Some(playback) = &mut self.playback {
            playback.beside(event);
        }
        if let trace::Event::TimePasses { .. } = event {
            self.poll_begins();
        }
        if self.is_known() {
            return;
        }
        let Record {
            judged: Judged { fingerprint, oracles, .. }, watch, polls, fingerprints, ..
        } = self;
        match watch.as_mut().filter(|watch| *polls >= watch.skips) {
            Some(watch) => {
                // What the time says, or what is due, decides what follows.
                watch.footprint.foreign |= matches!(
                    event,
                    trace::Event::TimePasses { .. } | trace::Event::ClockUsed { .. }
                );
                fingerprint.host_with(event, |step| watch.footprint.steps.push(step.to_step()));
            }
            None if *fingerprints => fingerprint.host(event),
            None => {}
        }
        oracles.host(event);
    }

    /// Notes which of so many was chosen. Nothing but the log wants to know.
    pub(crate) fn chosen(&mut self, index: u32, of: u32) {
        if let Some(log) = &mut self.log {
            log.host(&trace::Event::Chosen { index, of });
        }
    }

    /// Notes one of the kernel's events.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn kernel(&mut self, event: &Event<'_>) {
        if let Some(playback) = &mut self.playback {
            playback.kernel(event);
        }
        self.sort(event);
    }

    /// Notes what a strategy wants to know of an event, and shows it the steps that end.
    // A function of its own: inlined for each sort of event, it took the compiler ten minutes.
    #[inline(never)]
    fn watched(&mut self, event: &Event<'_>) {
        let Record { judged, watch, .. } = self;
        let Some(Watch { footprint, .. }) = watch else { return };
        match *event {
            Event::Access { label, access, .. } => {
                footprint.foreign |= !is_exact(label);
                footprint.tentative |= label == OUTCOME && access == Access::Read;
            }
            Event::TaskCancelIgnored { .. } | Event::RegionCancelIgnored { .. } => {
                footprint.tentative = true;
            }
            Event::TaskCancelRequested { task, .. } => footprint.cancels.push(task),
            _ => {}
        }
        let change = match *event {
            Event::TaskSpawned { region, .. } => Some(Change::More(region)),
            Event::TaskCompleted { region, .. } | Event::RegionClosing { region } => {
                Some(Change::Fewer(region))
            }
            Event::RegionOpened { region, parent, .. } => Some(Change::Opened(region, parent)),
            Event::RegionClosed { region, .. } => Some(Change::Closed(region)),
            _ => None,
        };
        let steps = &mut footprint.steps;
        judged.fingerprint.kernel_with(event, |step| steps.push(step.to_step()));
        if let Some(change) = change {
            footprint.changes.push((judged.fingerprint.acting(), change));
        }
    }

    /// The poll in progress, if one is, uses the clock.
    pub(super) fn uses_clock(&mut self) {
        if self.polls > self.over && self.polls != self.used_clock {
            self.used_clock = self.polls;
            self.host(&trace::Event::ClockUsed {});
        }
    }

    /// Notes what becomes of a timer, for a strategy that wants to know.
    fn timers(&mut self, note: impl FnOnce(&mut Timers, bool)) {
        let (in_step, polls) = (self.polls > self.over, self.polls);
        if let Some(watch) = self.watch.as_mut().filter(|watch| polls >= watch.skips) {
            note(Arc::make_mut(watch.footprint.timers.get_or_insert_default()), in_step);
        }
    }

    /// The timer with this number is set.
    pub(super) fn sets_timer(&mut self, number: u64, at: Time) {
        self.uses_clock();
        self.timers(|timers, in_step| match in_step {
            true => timers.set.push((number, at)),
            false => timers.given.push((number, at)),
        });
    }

    /// The timer with this number, if it is one that has not been unset, is unset.
    pub(super) fn unsets_timer(&mut self, number: Option<u64>, can_pass: bool) {
        self.uses_clock();
        let acting = self.judged.fingerprint.acting();
        self.timers(|timers, _| {
            match acting {
                Some(trace::Actor::Region(_)) => timers.unset_in_close.extend(number),
                _ => timers.unset.extend(number),
            }
            timers.can_pass = can_pass;
        });
    }

    /// Time has passed, and what was due has fired.
    pub(crate) fn time_passed(&mut self, to: Time) {
        self.timers(|timers, _| timers.passed = Some(to));
        self.host(&trace::Event::TimePassed {});
        self.over = self.polls;
    }

    /// Notes what the program says.
    pub(super) fn fact(&mut self, fact: Fact<'_>) {
        if !self.is_known() {
            self.judged.oracles.fact(fact);
        }
    }

    /// Notes an event of the recording that is replayed.
    pub(crate) fn played(&mut self, event: &trace::Event) {
        if let Some(playback) = &mut self.playback {
            playback.host(event);
        }
    }

    /// What the machine answered to this call, in the recording that is replayed.
    pub(crate) fn played_call(&mut self, call: Call) -> Option<Vec<u8>> {
        self.playback.as_mut()?.call(call)
    }
}
