//! The laws: what may stand for what, and when.

use crate::analysis::NodeFacts;
use crate::plan::{Node, NodeId};
use std::fmt;
use std::time::Duration;

/// A law of plans, read from left to right as a rewriting.
///
/// Each is checked on executions in the lab, over random plans; [`ALL`](Law::ALL) is the sheet's first
/// part. Laws that hold but rewrite nothing, and tempting ones that do not hold, with their
/// counterexamples, stand in the project's page on laws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Law {
    /// `join(a) = a`, `race(a) = a`, `sequence(a) = a`.
    Single,
    /// `join(a, join(b, c)) = join(a, b, c)`; with it `join(a, join()) = a`.
    JoinAssociates,
    /// `race(a, race(b, c)) = race(a, b, c)`; with it `race(a, race()) = a`.
    RaceAssociates,
    /// `sequence(a, sequence(b, c)) = sequence(a, b, c)`; with it `sequence(a, join()) = a`.
    SequenceAssociates,
    /// `sequence() = join()`.
    EmptySequence,
    /// `race(a, a, b) = race(a, b)` for one node `a`.
    RaceIdempotent,
    /// `timeout(s, timeout(t, a)) = timeout(min(s, t), a)`.
    TimeoutsNest,
    /// `join(timeout(t, a), timeout(t, b)) = timeout(t, join(a, b))`.
    TimeoutOverJoin,
    /// `race(timeout(t, a), timeout(t, b)) = timeout(t, race(a, b))`.
    TimeoutOverRace,
    /// `race(join(a, b), join(a, c)) ⊒ join(a, race(b, c))` where `b` and `c` cannot fail.
    JoinFactors,
    /// `timeout(t, a) = a` where `a` promises to take no longer than `t`.
    TimeoutUnneeded,
}

/// How much a law promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strength {
    /// The right side does what the left side does, at the same time. Only where branches of a race
    /// finish at one moment, because of a part that has other parents too, may another of them win.
    Equal,
    /// The right side does one of the things that the left side may do: where several branches finish
    /// at one moment, a race may choose.
    Refines,
    /// Equal, if the leaves keep what they promise about their time.
    OnPromise,
}

impl Law {
    /// Every law.
    pub const ALL: [Law; 11] = [
        Law::Single,
        Law::EmptySequence,
        Law::JoinAssociates,
        Law::RaceAssociates,
        Law::SequenceAssociates,
        Law::RaceIdempotent,
        Law::TimeoutsNest,
        Law::TimeoutOverJoin,
        Law::TimeoutOverRace,
        Law::JoinFactors,
        Law::TimeoutUnneeded,
    ];

    /// The law as an equation.
    #[must_use]
    pub fn statement(self) -> &'static str {
        match self {
            Law::Single => "join(a) = a, race(a) = a, sequence(a) = a",
            Law::JoinAssociates => "join(a, join(b, c)) = join(a, b, c)",
            Law::RaceAssociates => "race(a, race(b, c)) = race(a, b, c)",
            Law::SequenceAssociates => "sequence(a, sequence(b, c)) = sequence(a, b, c)",
            Law::EmptySequence => "sequence() = join()",
            Law::RaceIdempotent => "race(a, a, b) = race(a, b)",
            Law::TimeoutsNest => "timeout(s, timeout(t, a)) = timeout(min(s, t), a)",
            Law::TimeoutOverJoin => "join(timeout(t, a), timeout(t, b)) = timeout(t, join(a, b))",
            Law::TimeoutOverRace => "race(timeout(t, a), timeout(t, b)) = timeout(t, race(a, b))",
            Law::JoinFactors => "race(join(a, b), join(a, c)) refined by join(a, race(b, c))",
            Law::TimeoutUnneeded => "timeout(t, a) = a",
        }
    }

    /// What must hold for it, beyond the shape.
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Law::Single | Law::EmptySequence => "always",
            Law::JoinAssociates | Law::RaceAssociates | Law::SequenceAssociates => {
                "the inner node has no other parent"
            }
            Law::RaceIdempotent => "a is one node, which runs once",
            Law::TimeoutsNest => "the inner timeout has no other parent",
            Law::TimeoutOverJoin | Law::TimeoutOverRace => {
                "every branch is a timeout of the same length without another parent"
            }
            Law::JoinFactors => {
                "b and c cannot fail, the joins have no other parent, and the common part stands first"
            }
            Law::TimeoutUnneeded => {
                "every leaf below promises its time, and the longest way takes less than t"
            }
        }
    }

    /// How much it promises.
    #[must_use]
    pub fn strength(self) -> Strength {
        match self {
            Law::JoinFactors => Strength::Refines,
            Law::TimeoutUnneeded => Strength::OnPromise,
            _ => Strength::Equal,
        }
    }

    /// The node in the law's new form, if its shape and condition fit.
    pub(crate) fn apply(self, node: &Node, graph: &impl Graph) -> Option<Form> {
        match (self, node) {
            (Law::Single, Node::Join(nodes) | Node::Race(nodes) | Node::Sequence(nodes)) => {
                match nodes[..] {
                    [only] => Some(Form::Id(only)),
                    _ => None,
                }
            }
            (Law::EmptySequence, Node::Sequence(nodes)) if nodes.is_empty() => {
                Some(Form::Join(Vec::new()))
            }
            (Law::JoinAssociates, Node::Join(nodes)) => {
                let inner = |node: &Node| matches!(node, Node::Join(_));
                flat(nodes, graph, inner).map(Form::Join)
            }
            (Law::RaceAssociates, Node::Race(nodes)) => {
                let inner = |node: &Node| matches!(node, Node::Race(_));
                flat(nodes, graph, inner).map(Form::Race)
            }
            (Law::SequenceAssociates, Node::Sequence(nodes)) => {
                let empty = |node: &Node| matches!(node, Node::Join(parts) if parts.is_empty());
                let inner = move |node: &Node| matches!(node, Node::Sequence(_)) || empty(node);
                flat(nodes, graph, inner).map(Form::Sequence)
            }
            (Law::RaceIdempotent, Node::Race(nodes)) => {
                let mut seen = asupersync_core::DetHashSet::default();
                let once: Vec<_> =
                    nodes.iter().copied().filter(|node| seen.insert(*node)).collect();
                (once.len() < nodes.len()).then(|| Form::Race(ids(&once)))
            }
            (Law::TimeoutsNest, Node::Timeout(outer, inner)) => match graph.node(*inner) {
                Node::Timeout(limit, below) if !graph.is_shared(*inner) => {
                    Some(Form::Timeout(*limit.min(outer), Box::new(Form::Id(*below))))
                }
                _ => None,
            },
            (Law::TimeoutOverJoin, Node::Join(nodes)) => {
                let (limit, below) = common_timeout(nodes, graph)?;
                Some(Form::Timeout(limit, Box::new(Form::Join(below))))
            }
            (Law::TimeoutOverRace, Node::Race(nodes)) => {
                let (limit, below) = common_timeout(nodes, graph)?;
                Some(Form::Timeout(limit, Box::new(Form::Race(below))))
            }
            (Law::JoinFactors, Node::Race(nodes)) => factored(nodes, graph),
            (Law::TimeoutUnneeded, Node::Timeout(limit, below)) => {
                let longest = graph.facts(*below).longest.time()?;
                // One that takes just as long may be cut short.
                (longest < *limit).then_some(Form::Id(*below))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}: {}", self.statement())
    }
}

/// What a law looks at beside the node itself.
pub(crate) trait Graph {
    fn node(&self, id: NodeId) -> &Node;
    fn facts(&self, id: NodeId) -> NodeFacts;
    /// Whether the node has more than one parent.
    fn is_shared(&self, id: NodeId) -> bool;
}

/// A law's right side: new combinators over old nodes.
pub(crate) enum Form {
    Id(NodeId),
    Join(Vec<Form>),
    Race(Vec<Form>),
    Sequence(Vec<Form>),
    Timeout(Duration, Box<Form>),
}

fn ids(nodes: &[NodeId]) -> Vec<Form> {
    nodes.iter().map(|id| Form::Id(*id)).collect()
}

/// The list with the children of its inner nodes in their place, if there is one to dissolve.
fn flat(nodes: &[NodeId], graph: &impl Graph, inner: impl Fn(&Node) -> bool) -> Option<Vec<Form>> {
    let dissolves = |id: NodeId| inner(graph.node(id)) && !graph.is_shared(id);
    if !nodes.iter().any(|id| dissolves(*id)) {
        return None;
    }
    let mut list = Vec::new();
    for &id in nodes {
        if dissolves(id) {
            list.extend(ids(graph.node(id).children()));
        } else {
            list.push(Form::Id(id));
        }
    }
    Some(list)
}

fn common_timeout(nodes: &[NodeId], graph: &impl Graph) -> Option<(Duration, Vec<Form>)> {
    if nodes.len() < 2 {
        return None;
    }
    let mut common = None;
    let mut below = Vec::new();
    for &id in nodes {
        match graph.node(id) {
            Node::Timeout(limit, node)
                if !graph.is_shared(id) && common.is_none_or(|common| common == *limit) =>
            {
                common = Some(*limit);
                below.push(Form::Id(*node));
            }
            _ => return None,
        }
    }
    Some((common?, below))
}

fn factored(nodes: &[NodeId], graph: &impl Graph) -> Option<Form> {
    let joins: Vec<&[NodeId]> = nodes
        .iter()
        .map(|&id| match graph.node(id) {
            Node::Join(parts) if !graph.is_shared(id) => Some(&parts[..]),
            _ => None,
        })
        .collect::<Option<_>>()?;
    let (first, others) = joins.split_first()?;
    if others.is_empty() {
        return None;
    }
    let agree = |at: &usize| others.iter().all(|other| other.get(*at) == Some(&first[*at]));
    let common = (0..first.len()).take_while(agree).count();
    let rests: Vec<&[NodeId]> = joins.iter().map(|join| &join[common..]).collect();
    let sure = rests.iter().copied().flatten().all(|id| !graph.facts(*id).fallible);
    // A part that others name too may have begun earlier, or may be named twice here.
    let own = rests.iter().copied().flatten().all(|id| !graph.is_shared(*id));
    if common == 0 || rests.iter().any(|rest| rest.is_empty()) || !sure || !own {
        return None;
    }
    let mut parts = ids(&first[..common]);
    let rest = |rest: &&[NodeId]| match rest[..] {
        [only] => Form::Id(only),
        _ => Form::Join(ids(rest)),
    };
    parts.push(Form::Race(rests.iter().map(rest).collect()));
    Some(Form::Join(parts))
}
