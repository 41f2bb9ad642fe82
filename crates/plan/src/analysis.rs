//! What can be said of a plan before it runs.

use crate::cost::MinPlus;
use crate::plan::{Leaf, Node, NodeId, Plan, Safety};
use std::fmt;
use std::time::Duration;

/// What is known of one node, from the promises of the leaves below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeFacts {
    /// The shortest time from its start to its success: alternatives add and successive parts
    /// multiply in the min-plus semiring. Leaves that promise nothing count as no time.
    pub shortest: MinPlus,
    /// The longest time from its start to its end; never, where a leaf promises nothing.
    pub longest: MinPlus,
    /// Whether it may fail without being cancelled. A timeout may.
    pub fallible: bool,
    /// What a cancellation in the middle does: the worst of the leaves below.
    pub on_cancel: Safety,
}

impl NodeFacts {
    /// From the facts of the nodes below.
    pub(crate) fn of(
        node: &Node,
        leaves: &[Leaf],
        below: impl Fn(NodeId) -> NodeFacts,
    ) -> NodeFacts {
        let parts = || node.children().iter().map(|id| below(*id));
        let any_fallible = parts().any(|part| part.fallible);
        let on_cancel = parts().map(|part| part.on_cancel).max().unwrap_or(Safety::Lossless);
        let fold = |start: MinPlus, op: fn(MinPlus, MinPlus) -> MinPlus| {
            let shortest = parts().map(|part| part.shortest).fold(start, op);
            let longest = parts().map(|part| part.longest).fold(start, op);
            NodeFacts { shortest, longest, fallible: any_fallible, on_cancel }
        };
        match node {
            Node::Leaf(id) => {
                let leaf = &leaves[id.index()];
                let time = leaf.time();
                NodeFacts {
                    shortest: time.map_or(MinPlus::ONE, |(shortest, _)| MinPlus::of(shortest)),
                    longest: time.map_or(MinPlus::ZERO, |(_, longest)| MinPlus::of(longest)),
                    fallible: leaf.is_fallible(),
                    on_cancel: leaf.safety(),
                }
            }
            Node::Join(_) => fold(MinPlus::ONE, MinPlus::both),
            Node::Race(_) => fold(MinPlus::ZERO, MinPlus::plus),
            Node::Sequence(_) => fold(MinPlus::ONE, MinPlus::times),
            Node::Timeout(limit, id) => {
                let part = below(*id);
                NodeFacts {
                    longest: part.longest.plus(MinPlus::of(*limit)),
                    fallible: true,
                    ..part
                }
            }
        }
    }
}

/// Something about a plan that its author should look at.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Finding {
    /// A race or a timeout may cancel this leaf in the middle, and the leaf does not promise that
    /// nothing is lost then.
    LosesWork {
        /// The leaf.
        leaf: NodeId,
        /// What it says of itself.
        safety: Safety,
    },
    /// The shortest way through does not fit the time limit.
    CannotMakeIt {
        /// The timeout.
        timeout: NodeId,
        /// The shortest time below it.
        needs: Duration,
    },
    /// The time limit never passes: what is below promises to be quicker.
    NeverFires {
        /// The timeout.
        timeout: NodeId,
    },
    /// A race without branches never ends, and what waits for it does not either.
    NeverEnds {
        /// The race.
        race: NodeId,
    },
}

/// The facts of a whole plan.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Analysis {
    /// Of each node, by its place in [`Plan::nodes`].
    pub nodes: Vec<NodeFacts>,
    /// The latest time after the plan's start at which each node may *start* and every time limit above it
    /// still be kept, by its place; never, where nothing limits it. Propagated from the
    /// limits downward: a minimum over all paths of what is left.
    pub latest_start: Vec<MinPlus>,
    /// Of the leaves that the plan's longest time consists of, the first to the last. Empty where a leaf
    /// promises nothing.
    pub critical_path: Vec<NodeId>,
    /// The sum of all leaves' longest times: what is paid if nothing is cancelled early. Never, where a
    /// leaf promises nothing.
    pub work: MinPlus,
    /// What to look at, in the order of the nodes.
    pub findings: Vec<Finding>,
}

/// Analyses a plan in time linear in its size.
///
/// Times are those of a plan that runs alone, with every shared node counted from its first parent's
/// start, so they are estimates where nodes are shared. The method is the critical path method (Kelley,
/// *Critical-Path Planning and Scheduling*, 1961) with alternatives.
#[must_use]
pub fn analyse(plan: &Plan) -> Analysis {
    let mut nodes: Vec<NodeFacts> = Vec::with_capacity(plan.nodes.len());
    for node in &plan.nodes {
        let facts = NodeFacts::of(node, &plan.leaves, |id| nodes[id.index()]);
        nodes.push(facts);
    }
    let cancelled = may_be_cancelled(plan, &nodes);
    let work = plan
        .nodes()
        .filter(|(_, node)| matches!(node, Node::Leaf(_)))
        .fold(MinPlus::ONE, |sum, (id, _)| sum.times(nodes[id.index()].longest));
    let findings =
        plan.nodes().filter_map(|(id, node)| finding(&nodes, &cancelled, id, node)).collect();
    Analysis {
        latest_start: latest_starts(plan, &nodes),
        critical_path: critical_path(plan, &nodes),
        work,
        findings,
        nodes,
    }
}

fn finding(facts: &[NodeFacts], cancelled: &[bool], id: NodeId, node: &Node) -> Option<Finding> {
    match node {
        Node::Leaf(_) => {
            let safety = facts[id.index()].on_cancel;
            (cancelled[id.index()] && safety != Safety::Lossless)
                .then_some(Finding::LosesWork { leaf: id, safety })
        }
        Node::Race(nodes) if nodes.is_empty() => Some(Finding::NeverEnds { race: id }),
        Node::Timeout(limit, below) => {
            let below = facts[below.index()];
            match (below.shortest.time(), below.longest.time()) {
                (Some(needs), _) if needs > *limit => {
                    Some(Finding::CannotMakeIt { timeout: id, needs })
                }
                (_, Some(longest)) if longest < *limit => Some(Finding::NeverFires { timeout: id }),
                _ => None,
            }
        }
        Node::Join(_) | Node::Race(_) | Node::Sequence(_) => None,
    }
}

/// Which nodes may be cancelled from within the plan: below a race of several, a timeout, or beside a part
/// of a join that may fail.
fn may_be_cancelled(plan: &Plan, facts: &[NodeFacts]) -> Vec<bool> {
    let mut cancelled = vec![false; plan.nodes.len()];
    for (id, node) in plan.nodes().rev() {
        let own = cancelled[id.index()];
        for (place, child) in node.children().iter().enumerate() {
            let by_this = match node {
                Node::Timeout(..) => true,
                Node::Race(nodes) => nodes.len() > 1,
                Node::Join(nodes) => {
                    let mut others = nodes.iter().enumerate().filter(|(other, _)| *other != place);
                    others.any(|(_, other)| facts[other.index()].fallible)
                }
                Node::Sequence(_) | Node::Leaf(_) => false,
            };
            cancelled[child.index()] |= own || by_this;
        }
    }
    cancelled
}

fn latest_starts(plan: &Plan, facts: &[NodeFacts]) -> Vec<MinPlus> {
    // The earliest start of each node, then the latest end that the limits above it allow.
    let mut start = vec![MinPlus::ZERO; plan.nodes.len()];
    let mut due = vec![MinPlus::ZERO; plan.nodes.len()];
    if let Some(root) = start.last_mut() {
        *root = MinPlus::ONE;
    }
    for (id, node) in plan.nodes().rev() {
        let (begins, ends) = (start[id.index()], due[id.index()]);
        let mut at = begins;
        for child in node.children() {
            start[child.index()] = start[child.index()].plus(at);
            if let Node::Sequence(_) = node {
                at = at.times(facts[child.index()].shortest);
            }
        }
        let mut end = match node {
            Node::Timeout(limit, _) => ends.plus(begins.times(MinPlus::of(*limit))),
            _ => ends,
        };
        for child in node.children().iter().rev() {
            due[child.index()] = due[child.index()].plus(end);
            if let Node::Sequence(_) = node {
                end = left(end, facts[child.index()].shortest);
            }
        }
    }
    plan.nodes().map(|(id, _)| left(due[id.index()], facts[id.index()].shortest)).collect()
}

/// What is left of `end` when `time` is spent before it; nothing, if it is more.
fn left(end: MinPlus, time: MinPlus) -> MinPlus {
    match (end.time(), time.time()) {
        (Some(end), Some(time)) => MinPlus::of(end.saturating_sub(time)),
        (Some(_), None) => MinPlus::ONE,
        (None, _) => MinPlus::ZERO,
    }
}

fn critical_path(plan: &Plan, facts: &[NodeFacts]) -> Vec<NodeId> {
    let longest = |id: NodeId| facts[id.index()].longest;
    let mut path = Vec::new();
    if longest(plan.root()).time().is_none() {
        return path;
    }
    let mut open = vec![plan.root()];
    // What ran once already takes no time again.
    let mut walked = vec![false; plan.nodes.len()];
    while let Some(id) = open.pop() {
        if std::mem::replace(&mut walked[id.index()], true) {
            continue;
        }
        match plan.node(id) {
            Node::Leaf(_) => path.push(id),
            Node::Sequence(nodes) => open.extend(nodes.iter().rev()),
            Node::Join(nodes) => open.extend(nodes.iter().max_by_key(|id| longest(**id).time())),
            // Of the alternatives the quickest bounds the whole.
            Node::Race(nodes) => {
                let known = nodes.iter().filter(|id| longest(**id).time().is_some());
                open.extend(known.min_by_key(|id| longest(**id).time()));
            }
            // A limit that is shorter than what is below is the end of the path.
            Node::Timeout(limit, below) => {
                if longest(*below).time().is_some_and(|longest| longest <= *limit) {
                    open.push(*below);
                }
            }
        }
    }
    path
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::LosesWork { leaf, safety } => write!(
                f,
                "node {} may be cancelled in the middle and is {safety:?} then: give its effects two \
                 phases, or keep it out of races and timeouts",
                leaf.0
            ),
            Finding::CannotMakeIt { timeout, needs } => write!(
                f,
                "timeout {} always passes: the shortest way below it takes {needs:?}",
                timeout.0
            ),
            Finding::NeverFires { timeout } => {
                write!(
                    f,
                    "timeout {} never passes: what is below it promises to be quicker",
                    timeout.0
                )
            }
            Finding::NeverEnds { race } => {
                write!(f, "race {} has no branches and never ends", race.0)
            }
        }
    }
}
