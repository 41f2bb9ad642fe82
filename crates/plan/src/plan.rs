//! The plan itself: nodes below their parents, in one list.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// A node of one plan or builder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(crate) u32);

/// A leaf of one plan or builder, in the order in which the builder met them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LeafId(pub(crate) u32);

impl NodeId {
    /// Its place in [`Plan::nodes`], and in the lists of [`Analysis`](crate::Analysis), from 0.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl LeafId {
    /// Its place among the builder's leaves, from 0. Rewriting keeps it.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a cancellation in the middle does to a leaf: a lattice, the better below the worse.
///
/// Of several parts the worst counts ([`Ord::max`]).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Safety {
    /// Nothing: its effects have two phases, or it has none.
    Lossless,
    /// It may hold an obligation that somebody else must be told about (a reply, an acknowledgement).
    Owing,
    /// Effects that were half made are lost.
    Lossy,
    /// Nobody has said.
    #[default]
    Unknown,
}

/// A leaf: a name, and what its author promises about the code behind it.
///
/// Promises are taken at their word; nothing checks them. What is not promised is assumed to be absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    name: Arc<str>,
    takes: Option<(Duration, Duration)>,
    fallible: bool,
    on_cancel: Safety,
}

impl Leaf {
    /// A leaf that takes an unknown time, may fail, and of whose cancellation nothing is known.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Leaf {
        Leaf { name: name.into(), takes: None, fallible: true, on_cancel: Safety::Unknown }
    }

    /// Promises the shortest and longest time it takes. The end of the range counts as no less than
    /// its start.
    #[must_use]
    pub fn takes(mut self, time: RangeInclusive<Duration>) -> Leaf {
        self.takes = Some((*time.start(), (*time.end()).max(*time.start())));
        self
    }

    /// Promises that it does not fail (unless it is cancelled).
    #[must_use]
    pub fn infallible(mut self) -> Leaf {
        self.fallible = false;
        self
    }

    /// Says what a cancellation in the middle does to it.
    #[must_use]
    pub fn on_cancel(mut self, safety: Safety) -> Leaf {
        self.on_cancel = safety;
        self
    }

    /// Its name, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn shared_name(&self) -> Arc<str> {
        self.name.clone()
    }

    /// The promised shortest and longest time.
    #[must_use]
    pub fn time(&self) -> Option<(Duration, Duration)> {
        self.takes
    }

    /// Whether it may fail.
    #[must_use]
    pub fn is_fallible(&self) -> bool {
        self.fallible
    }

    /// What a cancellation in the middle does to it.
    #[must_use]
    pub fn safety(&self) -> Safety {
        self.on_cancel
    }
}

/// What a node does with the nodes below it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Node {
    /// Runs the code behind a leaf.
    Leaf(LeafId),
    /// All at once; their lists appended in order, or the first failure. Of none: the empty list.
    Join(Vec<NodeId>),
    /// All at once; the first to finish, well or not. Of none: never ends.
    Race(Vec<NodeId>),
    /// One after the other; their lists appended, or the first failure.
    Sequence(Vec<NodeId>),
    /// One, for at most this long from its start.
    Timeout(Duration, NodeId),
}

impl Node {
    /// The nodes below.
    #[must_use]
    pub fn children(&self) -> &[NodeId] {
        match self {
            Node::Leaf(_) => &[],
            Node::Join(nodes) | Node::Race(nodes) | Node::Sequence(nodes) => nodes,
            Node::Timeout(_, node) => std::slice::from_ref(node),
        }
    }

    pub(crate) fn children_mut(&mut self) -> &mut [NodeId] {
        match self {
            Node::Leaf(_) => &mut [],
            Node::Join(nodes) | Node::Race(nodes) | Node::Sequence(nodes) => nodes,
            Node::Timeout(_, node) => std::slice::from_mut(node),
        }
    }
}

/// A combinator DAG. Made by [`PlanBuilder`](crate::PlanBuilder); equal plans compare equal.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    // Children stand before their parents, the root is last, and every node is reachable from it. A builder
    // makes no two equal nodes; a rewriting may, and they are two executions.
    pub(crate) nodes: Vec<Node>,
    pub(crate) leaves: Vec<Leaf>,
}

impl Plan {
    /// The node that the whole plan is.
    #[must_use]
    pub fn root(&self) -> NodeId {
        NodeId(self.nodes.len() as u32 - 1)
    }

    /// A node of this plan.
    ///
    /// # Panics
    /// When `id` is not of this plan.
    #[must_use]
    pub fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    /// All nodes, each after those below it.
    pub fn nodes(&self) -> impl DoubleEndedIterator<Item = (NodeId, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeId(index as u32), node))
    }

    /// A leaf of this plan, or of the one it was rewritten from.
    ///
    /// # Panics
    /// When `id` is of neither.
    #[must_use]
    pub fn leaf(&self, id: LeafId) -> &Leaf {
        &self.leaves[id.index()]
    }

    /// How many parents name each node, by its place; one that a parent names twice counts twice.
    pub(crate) fn uses(&self) -> Vec<u32> {
        let mut uses = vec![0; self.nodes.len()];
        for child in self.nodes.iter().flat_map(Node::children) {
            uses[child.index()] += 1;
        }
        uses
    }

    /// A part of the plan as text, like the whole's `Display`.
    ///
    /// # Panics
    /// When `id` is not of this plan.
    #[must_use]
    pub fn part(&self, id: NodeId) -> impl fmt::Display + '_ {
        assert!(id.index() < self.nodes.len(), "{id:?} is not of this plan");
        Part { nodes: &self.nodes, leaves: &self.leaves, id, labelled: true }
    }
}

/// A node and what is below it, written as nested calls.
pub(crate) struct Part<'a> {
    pub(crate) nodes: &'a [Node],
    pub(crate) leaves: &'a [Leaf],
    pub(crate) id: NodeId,
    /// Whether combinators that are named twice are written once. It takes a walk over the part.
    pub(crate) labelled: bool,
}

impl Part<'_> {
    /// How often each node below this one is named.
    fn uses(&self) -> Vec<u32> {
        if !self.labelled {
            return Vec::new();
        }
        let mut uses = vec![0; self.nodes.len()];
        let mut open = vec![self.id];
        while let Some(id) = open.pop() {
            for child in self.nodes[id.index()].children() {
                uses[child.index()] += 1;
                if uses[child.index()] == 1 {
                    open.push(*child);
                }
            }
        }
        uses
    }

    fn write(
        &self,
        f: &mut fmt::Formatter<'_>,
        id: NodeId,
        uses: &[u32],
        written: &RefCell<Vec<bool>>,
    ) -> fmt::Result {
        let node = &self.nodes[id.index()];
        if let Node::Leaf(leaf) = node {
            return f.write_str(self.leaves[leaf.index()].name());
        }
        if uses.get(id.index()).is_some_and(|uses| *uses > 1) {
            write!(f, "#{}", id.0)?;
            if std::mem::replace(&mut written.borrow_mut()[id.index()], true) {
                return Ok(());
            }
            f.write_str("=")?;
        }
        match node {
            Node::Timeout(limit, _) => write!(f, "timeout({limit:?}, ")?,
            Node::Join(_) => f.write_str("join(")?,
            Node::Race(_) => f.write_str("race(")?,
            Node::Sequence(_) | Node::Leaf(_) => f.write_str("sequence(")?,
        }
        for (index, child) in node.children().iter().enumerate() {
            if index > 0 {
                f.write_str(", ")?;
            }
            self.write(f, *child, uses, written)?;
        }
        f.write_str(")")
    }
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uses = self.uses();
        let written = RefCell::new(vec![false; uses.len()]);
        self.write(f, self.id, &uses, &written)
    }
}

/// As nested calls. A combinator that is named more than once is written out the first time, as
/// `#7=race(..)`, and is `#7` after that.
impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.part(self.root()).fmt(f)
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({self})")
    }
}
