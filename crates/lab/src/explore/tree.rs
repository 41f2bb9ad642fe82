//! Wakeup trees.

use super::label::{Label, Masks, Shared};
use asupersync_core::TaskId;
use asupersync_trace::Target;
use std::sync::Arc;

/// A branch that is to be run: a poll, and what must follow it. Without children, anything may.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) label: Shared,
    pub(super) children: Vec<Branch>,
    /// Set on the branch that ends the reversal of a race: the task that came first before.
    pub(super) reversed: Option<TaskId>,
}

/// Where `first` stands in `sequence`, if it does, provided that a sequence equivalent to one that begins
/// with `first` may begin with `sequence`: a weak initial.
fn initial(first: &Label, sequence: &[Shared]) -> Option<Option<usize>> {
    match sequence.iter().position(|label| label.task == first.task) {
        Some(at) => {
            let alone = sequence[..at].iter().all(|label| !label.dependent(&sequence[at]));
            alone.then_some(Some(at))
        }
        None => {
            let alone =
                sequence.iter().all(|label| !first.dependent(label) && !label.dependent(first));
            alone.then_some(None)
        }
    }
}

/// Whether what begins with `first` comprises the sequence.
pub(super) fn covers(first: &Label, sequence: &[Shared]) -> bool {
    initial(first, sequence).is_some()
}

/// Takes one element out of the sequence. Its closed regions move to the poll that is the last now.
fn take_out(sequence: &mut Vec<Shared>, at: usize) {
    let gone = sequence.remove(at);
    for close in &gone.closes {
        let counts = |target: &Target| matches!(target, Target::Children(_));
        let Some(count) = close.touches.iter().map(|t| t.target).find(counts) else { continue };
        if let Some(last) = sequence[..at].iter().rposition(|label| label.counts(count)) {
            let mut label = Label::clone(&sequence[last]);
            label.closes.push(close.clone());
            label.masks = Masks::of(label.closes.iter().chain([&label.step]));
            sequence[last] = Arc::new(label);
        }
    }
}

/// Adds a sequence, unless a branch covers it.
pub(super) fn insert(mut branches: &mut Vec<Branch>, mut sequence: Vec<Shared>, first: TaskId) {
    loop {
        let found = branches
            .iter()
            .enumerate()
            .find_map(|(index, branch)| initial(&branch.label, &sequence).map(|at| (index, at)));
        let Some((index, at)) = found else { break };
        if let Some(at) = at {
            take_out(&mut sequence, at);
        }
        if branches[index].children.is_empty() || sequence.is_empty() {
            return;
        }
        branches = &mut branches[index].children;
    }
    let mut chain: Option<Branch> = None;
    for label in sequence.into_iter().rev() {
        let reversed = chain.is_none().then_some(first);
        let children = chain.take().into_iter().collect();
        chain = Some(Branch { label, children, reversed });
    }
    branches.extend(chain);
}
