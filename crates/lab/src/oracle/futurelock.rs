//! Futurelock: a task sits on an obligation and is not polled.
//!
//! The others go on, step after step, and what it holds is what one of them, or another future of
//! the same task, will need. (Named in Oxide's RFD 609.) A task that sleeps with a lock in its hand
//! looks the same, which is why the number of steps is the user's to choose.

use super::tree::{Tree, site_text};
use super::waits::Knot;
use super::{Ending, Findings, Invariant, Oracle, kinds};
use asupersync_core::{Event, TaskId};
use asupersync_trace::IdSet;

#[derive(Clone, Debug)]
pub(super) struct Futurelock {
    /// Steps of others that a holder may sit through.
    pub(super) max_idle_steps: u64,
    next_look: u64,
    reported: IdSet<TaskId>,
}

impl Default for Futurelock {
    fn default() -> Futurelock {
        Futurelock { max_idle_steps: u64::MAX, next_look: 0, reported: IdSet::default() }
    }
}

impl Futurelock {
    fn look(&mut self, least: u64, tree: &Tree, findings: &mut Findings) {
        let idle = tree.obligations.iter().filter(|(_, obligation)| {
            tree.tasks
                .get(&obligation.task)
                .is_some_and(|task| tree.steps.saturating_sub(task.polled) >= least)
        });
        let mut idle: Vec<_> = idle.map(|(id, obligation)| (*id, obligation.task)).collect();
        idle.sort_unstable();
        for (obligation, task) in idle {
            if !self.reported.insert(task) {
                continue;
            }
            let facts = &tree.tasks[&task];
            let waits = facts.waits.last().map_or_else(
                || "waits for nothing the kernel knows".to_owned(),
                |wait| format!("waits in {} at {}", wait.label, site_text(wait.site)),
            );
            let steps = tree.steps - facts.polled;
            findings.broken(|| {
                format!(
                    "held for {steps} steps without a poll: {}; it {waits}",
                    tree.obligation_text(obligation)
                )
            });
        }
    }
}

impl Oracle for Futurelock {
    const INVARIANT: Invariant = Invariant::Futurelock;
    const WANTS: u32 = kinds::POLL_BEGIN;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn observe(&mut self, event: &Event<'_>, tree: &Tree, findings: &mut Findings) {
        if let Event::PollBegin { .. } = event {
            findings.saw();
            // Looking now and then keeps the cost off the step; a report is late by at most a fourth.
            if tree.steps >= self.next_look {
                if self.next_look > 0 {
                    self.look(self.max_idle_steps, tree, findings);
                }
                self.next_look = tree.steps.saturating_add(self.max_idle_steps / 4 + 1);
            }
        }
    }

    fn end(&mut self, ending: Ending, tree: &Tree, findings: &mut Findings) {
        if ending != Ending::Deadlock {
            return;
        }
        for knot in &tree.knots {
            if let Knot::Futurelock(text) = knot {
                findings.broken(|| text.clone());
            }
        }
    }

    fn clear(&mut self) {
        self.next_look = 0;
        self.reported.clear();
    }
}
