//! Time: it never goes back, and no timer fires before its time.

use super::tree::Tree;
use super::{Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, Time};

#[derive(Clone, Debug, Default)]
pub(super) struct Deadlines {
    now: Time,
}

impl Deadlines {
    fn reach(&mut self, at: Time, findings: &mut Findings) {
        findings.saw();
        if at < self.now {
            let now = self.now;
            findings.broken(|| format!("time went back from {now} to {at}"));
        }
        self.now = at;
    }

    /// The clock jumped.
    pub(super) fn advanced(&mut self, to: Time, findings: &mut Findings) {
        self.reach(to, findings);
    }

    /// A timer fired.
    pub(super) fn fired(&mut self, at: Time, findings: &mut Findings) {
        findings.saw();
        let now = self.now;
        if at > now {
            findings.broken(|| format!("a timer for {at} fired at {now}"));
        }
    }
}

impl Oracle for Deadlines {
    const INVARIANT: Invariant = Invariant::Deadlines;
    const WANTS: u32 = kinds::POLL_BEGIN;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, _tree: &Tree, findings: &mut Findings) {
        if let Event::PollBegin { at, .. } = *event {
            self.reach(at, findings);
        }
    }

    fn clear(&mut self) {
        self.now = Time::ZERO;
    }
}
