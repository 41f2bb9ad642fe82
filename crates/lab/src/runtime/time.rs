//! Time passing as a step of its own, in a run in which it races with the tasks.

use super::Run;
use crate::host::LabHost;
use asupersync_core::{RegionReport, host_step};
use asupersync_trace::Event;
use std::sync::Arc;

impl Run<'_> {
    /// Lets time pass to the next instant at which something is due, and that happen.
    #[cold]
    pub(super) fn pass_time(&mut self) {
        self.now = self.host.queue.lock().pass(self.now);
        let to = self.now;
        self.host.set_now(to);
        self.record(&Event::TimePasses { to });
        let host = Arc::<LabHost>::clone(self.host);
        host_step(host, || {
            loop {
                let fired = self.host.queue.lock().fire(self.now);
                let Some((at, waker)) = fired else { break };
                self.fire(at, waker);
            }
        });
        if self.config.observe {
            self.host.with_record(|record| record.time_passed(self.now));
        }
    }

    /// The report of the root if it has closed, and nothing more is to come: where time can pass still, what is due
    /// comes to pass after it, so that a run has all that it could have had sooner.
    pub(super) fn close(&mut self, offers_time: bool) -> Option<RegionReport> {
        if self.closed.is_none() {
            let report = self.closed()?;
            if !offers_time {
                return Some(report);
            }
            self.closed = Some(Box::new((report, self.steps, self.now)));
        }
        if offers_time && self.steps < self.config.max_steps {
            return None;
        }
        let (report, steps, now) = *self.closed.take()?;
        (self.steps, self.now) = (steps, now);
        Some(report)
    }
}
