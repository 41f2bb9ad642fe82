//! Wakeup trees.

use super::label::{Label, Shared};
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

/// Whether a sequence equivalent to one that begins with `first` may begin with `sequence`, and if so
/// what is left of the sequence after `first`: a weak initial.
pub(super) fn after(first: &Shared, sequence: &[Shared]) -> Option<Vec<Shared>> {
    match sequence.iter().position(|label| label.task == first.task) {
        Some(at) => {
            let alone = sequence[..at].iter().all(|label| !label.dependent(&sequence[at]));
            alone.then(|| without(sequence, at))
        }
        None => {
            let alone =
                sequence.iter().all(|label| !first.dependent(label) && !label.dependent(first));
            alone.then(|| sequence.to_vec())
        }
    }
}

/// The sequence without one element, whose closed regions move to the poll that is the last now.
fn without(sequence: &[Shared], at: usize) -> Vec<Shared> {
    let mut rest = sequence.to_vec();
    let gone = rest.remove(at);
    for close in &gone.closes {
        let counts = |target: &Target| matches!(target, Target::Children(_));
        let Some(count) = close.touches.iter().map(|t| t.target).find(counts) else { continue };
        if let Some(last) = rest[..at].iter().rposition(|label| label.counts(count)) {
            let mut label = Label::clone(&rest[last]);
            label.closes.push(close.clone());
            rest[last] = Arc::new(label);
        }
    }
    rest
}

/// Adds a sequence, unless a branch covers it.
pub(super) fn insert(mut branches: &mut Vec<Branch>, mut sequence: Vec<Shared>, first: TaskId) {
    loop {
        let found = branches
            .iter()
            .enumerate()
            .find_map(|(index, branch)| after(&branch.label, &sequence).map(|rest| (index, rest)));
        let Some((index, rest)) = found else { break };
        if branches[index].children.is_empty() || rest.is_empty() {
            return;
        }
        sequence = rest;
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
