//! Wakeup trees.

use super::closing::{Imminent, is_count, keeps_closes};
use super::history::{Polled, Sequence};
use super::label::{Label, Shared};
use asupersync_core::TaskId;
use asupersync_trace::Target;
use std::ops::Deref;
use std::sync::Arc;

/// A branch that is to be run: a poll, and what must follow it. Without children, anything may.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) label: Shared,
    pub(super) children: Vec<Branch>,
    /// What was left out because anything may follow this branch. To be run after all if something sleeps at
    /// its end, for then not all that may follow is run.
    pub(super) absorbed: Vec<Branch>,
    /// Sequences of which it was asked whether they may begin with this branch, before its poll was run.
    pub(super) asked: Vec<Asked>,
    /// Set on the branch that ends the reversal of a race: the task that came first before.
    pub(super) reversed: Option<TaskId>,
}

/// A sequence that was left to a branch or was not, by what the branch's poll was expected to touch.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) sequence: Arc<[Shared]>,
    pub(super) imminent: Imminent,
    /// The task that came first before.
    pub(super) first: TaskId,
    /// It was left to the branch.
    pub(super) covered: bool,
}

impl Branch {
    /// A poll of which nothing is known, to be run.
    pub(super) fn unknown(task: TaskId) -> Branch {
        let label = Arc::new(Label::unknown(task).opaque());
        let (children, absorbed, asked) = (Vec::new(), Vec::new(), Vec::new());
        Branch { label, children, absorbed, asked, reversed: None }
    }
}

/// Where `first` stands in `sequence`, if it does, provided that a sequence equivalent to one that begins
/// with `first` may begin with `sequence`: a weak initial. The same poll may touch something else here than
/// there, where it stands after others that it depends on. With it, what closes in the next end after the sequence, where it
/// is such an end, would come before the end of the sequence.
fn initial(
    first: &Label,
    sequence: &[impl Deref<Target = Label>],
    imminent: impl FnOnce() -> Imminent,
) -> Option<Option<usize>> {
    let mut depends = false;
    for (at, label) in sequence.iter().enumerate() {
        if label.task == first.task {
            let alone = sequence[..at].iter().all(|l| !l.dependent(label));
            return alone.then_some(Some(at));
        }
        if label.dependent(first) {
            return None;
        }
        depends |= first.dependent(label);
    }
    let keeps = || !first.is_end() || keeps_closes(first, sequence, &imminent());
    (!depends && keeps()).then_some(None)
}

/// Whether what begins with `first` comprises the sequence.
pub(super) fn covers(
    first: &Label,
    sequence: &[impl Deref<Target = Label>],
    imminent: impl FnOnce() -> Imminent,
) -> bool {
    initial(first, sequence, imminent).is_some()
}

/// What is left of the sequence after `first`, if that comprises it.
pub(super) fn after<'a>(
    first: &Label,
    sequence: &'a [Shared],
    imminent: &Imminent,
) -> Option<Sequence<'a>> {
    let at = initial(first, sequence, || imminent.clone())?;
    let mut rest = self::sequence(sequence);
    if let Some(at) = at {
        bring_out(&mut rest, at);
        rest.remove(0);
    }
    Some(rest)
}

/// These polls, as they are.
pub(super) fn sequence(polls: &[Shared]) -> Sequence<'_> {
    polls.iter().map(Polled::AsItWas).collect()
}

/// Brings one element to the beginning, out of the sequence that follows. Its closed regions move to the poll that is the last
/// now.
fn bring_out(sequence: &mut [Polled<'_>], at: usize) {
    sequence[..=at].rotate_right(1);
    let (gone, before) = sequence[..=at].split_first_mut().expect("it has an element");
    for close in &gone.closes {
        let counts = |target: &Target| is_count(*target);
        let mut targets = close.step.touches.iter().map(|touch| touch.target);
        let Some(count) = targets.find(counts) else { continue };
        if let Some(last) = before.iter_mut().rfind(|label| label.counts(count)) {
            let mut closes = last.closes.clone();
            closes.push(close.clone());
            *last = Polled::Moved(Arc::new(last.with_closes(closes)));
        }
    }
}

/// Adds a sequence, unless a branch covers it, and takes it apart.
///
/// A branch that is a leaf covers whatever may start with it, for nothing sleeps at its end: what is run before
/// it is independent of none of it, or would cover it. That is so as far as labels say what polls turn out to touch. Where
/// they need not, which `keeps` says, what a leaf covers is kept with it.
pub(super) fn insert(
    mut branches: &mut Vec<Branch>,
    sequence: &mut Sequence<'_>,
    imminent: &Imminent,
    first: TaskId,
    keeps: bool,
) {
    let mut taken = 0;
    loop {
        let rest = &mut sequence[taken..];
        let (mut found, mut kept) = (None, None::<Arc<[Shared]>>);
        for (index, branch) in branches.iter_mut().enumerate() {
            let at = initial(&branch.label, rest, || imminent.clone());
            if keeps && at != Some(Some(0)) {
                let sequence =
                    kept.get_or_insert_with(|| rest.iter().map(Polled::to_shared).collect());
                let (sequence, imminent) = (sequence.clone(), imminent.clone());
                branch.asked.push(Asked { sequence, imminent, first, covered: at.is_some() });
            }
            if let Some(at) = at {
                found = Some((index, at));
                break;
            }
        }
        let Some((index, at)) = found else { break };
        let branch = &mut branches[index];
        if let Some(at) = at {
            bring_out(rest, at);
            taken += 1;
        }
        if taken == sequence.len() {
            return;
        }
        branches = match branch.children.is_empty() {
            false => &mut branch.children,
            true if keeps => &mut branch.absorbed,
            true => return,
        };
    }
    let mut chain: Option<Branch> = None;
    for label in sequence.drain(taken..).rev() {
        let label = label.into_shared();
        let reversed = chain.is_none().then_some(first);
        let children = chain.take().into_iter().collect();
        let (absorbed, asked) = (Vec::new(), Vec::new());
        chain = Some(Branch { label, children, absorbed, asked, reversed });
    }
    branches.extend(chain);
}
