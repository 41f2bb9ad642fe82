//! What polls turn out to touch, and what was planned before that was known.
//!
//! To reverse a race a poll is moved before another. What it touches there is expected from what it touched here; where it
//! touched something whose outcomes the lab does not know, or was cancelled, that is a guess. But a poll comes to the same wherever its
//! task is as far and all that it looks at was used by the same events: so a poll that was run in any run foretells itself, and
//! tells later whether a guess was right.
//!
//! No class is lost if every state is left with this: whichever way goes on from it, some poll that it can begin with was
//! tried there, or slept. Suppose some way w has no such poll. Each that was tried, or sleeps, is kept from beginning w by an event
//! of it. Take the one, p, that gets furthest, of several the first that was run, and e, the event that stops it.
//! What follows p was explored before, with e in it, racing with p. The reversal of that race was planned where p was run, and if
//! e touches there what was expected, something covers the plan, gets further in w than p, and was tried or sleeps too. That is a
//! contradiction. So it remains to look, when a state is left, at the races of what was tried there or sleeps of which the second was
//! a guess: `Engine::review`. By then e has been run there, or what covers it is not what it was taken for. And what
//! is planned must stand below the first branch that it can begin with, as that turned out: `Asked`.
//!
//! One thing more is needed of e: that it depends, there, on nothing of the plan on which it did not depend where it was run. For w
//! need not have that, and e is another event without it. Where it does, all that can be chosen in the state is tried.
//!
//! Polls over the lab's own objects are no guesses, though a poll may go on otherwise with what it has read, and release, spawn or
//! end in the same step or not. No class is lost by that. Take again those that get furthest, which all are stopped by e, and what
//! e touches in w, one after the other. Run after z, one of them, it touches the same up to the first touch that conflicts
//! with z, and that one too, for before it has read nothing that z wrote. So the two race, and the plan for that has these
//! touches. What covers the plan begins w, or is stopped by e too, and then by a later touch than z, or it would not be independent of
//! the plan. So the one that is stopped by the latest touch has a plan that nothing covers but what begins w. (A poll that does two
//! operations on one object may be expected to read it and write it in fact. What covers the plan then only reads the
//! object: run after that, the poll is expected to write it.) What is expected beyond that touch can be wrong the other way: then
//! something is planned that was covered, and a run is given up. So once a poll has done several things, these too are kept below
//! the branch to which they were left, and are looked at again when its poll has been run: `Asked`, and what a leaf has
//! absorbed. Where the first such poll comes late, what was left out before is not known any more, and the exploration begins anew.

use super::closing::Imminent;
use super::history::Polled;
use super::label::{Close, Shared};
use super::tree;
use asupersync_core::{SplitMix64, TaskId};
use asupersync_trace::{IdHasher, IdMap, Target, Touch};
use std::sync::Arc;

/// Who used a target: the key of its last write, and the sum of those of the reads since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    pub(super) write: u64,
    pub(super) reads: u64,
}

/// Where a poll stands: how far its task is, and who used what.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) task: TaskId,
    /// The task's poll before.
    pub(super) own: u64,
    /// The host's last step.
    pub(super) floor: u64,
    pub(super) used: IdMap<Target, Past>,
}

impl Setting {
    fn key(&self, touches: &[Touch]) -> u64 {
        touches.iter().fold(Setting::begin(self.own, self.floor), |key, touch| {
            Setting::mix(key, *touch, self.used.get(&touch.target).copied().unwrap_or_default())
        })
    }

    /// The key of an event that touches nothing.
    pub(super) fn begin(own: u64, floor: u64) -> u64 {
        SplitMix64::mix(own ^ floor.rotate_left(32))
    }

    /// The key of one that touches this, too. What a write does may depend on the reads before: children of a
    /// region that have ended only read that they are its children.
    pub(super) fn mix(key: u64, touch: Touch, past: Past) -> u64 {
        let past = SplitMix64::mix(past.write ^ if touch.write { past.reads } else { 0 });
        SplitMix64::mix(key ^ IdHasher::hash(touch.target) ^ past.rotate_left(17))
    }
}

/// The polls of all runs: by task and its poll before; of those that touch the same, by their keys.
#[derive(Debug, Default)]
pub(super) struct Known {
    polls: IdMap<(TaskId, u64), Vec<Alike>>,
}

#[derive(Debug)]
struct Alike {
    touches: Arc<[Touch]>,
    polls: IdMap<u64, Shared>,
}

impl Known {
    pub(super) fn add(&mut self, own: u64, key: u64, label: &Shared) {
        let all = self.polls.entry((label.task, own)).or_default();
        let touches = &label.step.touches;
        let at = all.iter().position(|alike| alike.touches == *touches).unwrap_or_else(|| {
            all.push(Alike { touches: touches.clone(), polls: IdMap::default() });
            all.len() - 1
        });
        all[at].polls.entry(key).or_insert_with(|| label.clone());
    }

    /// The task's poll there, if it was ever run.
    pub(super) fn at(&self, setting: &Setting) -> Option<&Shared> {
        let all = self.polls.get(&(setting.task, setting.own))?;
        all.iter().find_map(|alike| alike.polls.get(&setting.key(&alike.touches)))
    }
}

/// What a moved poll was expected to touch.
#[derive(Clone, Debug)]
pub(super) struct Forecast {
    /// Says which one it is.
    pub(super) id: u64,
    pub(super) setting: Setting,
    pub(super) expected: Shared,
    /// The regions that close in it there, if it is an end.
    pub(super) closes: Vec<Close>,
    /// The polls before it there, and whether it depended on them where it was run.
    pub(super) others: Vec<(Shared, bool)>,
    /// The task that came first.
    pub(super) first: TaskId,
    /// What it touches there.
    pub(super) found: Option<Shared>,
}

impl Forecast {
    /// Whether the poll is known to touch no more than was expected, and to depend on nothing that it did not depend on
    /// where it was run.
    pub(super) fn holds(&mut self, known: &Known) -> bool {
        if self.found.is_none() {
            self.found = known.at(&self.setting).map(|label| label.closing(&self.closes));
        }
        let expected = &self.expected;
        let is_expected = |label: &Shared| expected.opaque || label.is_within(expected);
        self.found.as_ref().is_some_and(is_expected) && !self.depends_on_more()
    }

    /// Whether it depends on a poll on which it did not depend where it was run. Then what it touches without that poll is
    /// another question.
    fn depends_on_more(&self) -> bool {
        let Some(found) = &self.found else { return true };
        self.others.iter().any(|(other, depended)| !depended && other.dependent(found))
    }

    /// Whether these polls, in this order, may be the first of those before it.
    pub(super) fn may_begin_with<'a>(&self, polls: impl IntoIterator<Item = &'a Shared>) -> bool {
        let mut rest: Vec<&Shared> = self.others.iter().map(|(label, _)| label).collect();
        polls.into_iter().all(|poll| {
            let Some(at) = rest.iter().position(|label| label.task == poll.task) else {
                return false;
            };
            let found = rest.remove(at);
            rest[..at].iter().all(|label| !label.steps_dependent(found))
        })
    }

    /// What is to be run after these polls, as far as that can be told.
    pub(super) fn after<'a>(
        &self,
        polls: impl IntoIterator<Item = &'a Shared>,
        imminent: impl FnOnce(&[Shared]) -> Imminent,
    ) -> Option<(Vec<Shared>, Imminent)> {
        if self.depends_on_more() {
            return None;
        }
        let others = self.others.iter().map(|(label, _)| label);
        let sequence: Vec<Shared> = others.chain(&self.found).cloned().collect();
        let imminent = imminent(&sequence);
        let after = |rest: Vec<Shared>, poll: &Shared| {
            let rest = tree::after(poll, &rest, &imminent)?;
            Some(rest.into_iter().map(Polled::into_shared).collect())
        };
        let rest = polls.into_iter().try_fold(sequence, after)?;
        Some((rest, imminent))
    }
}
