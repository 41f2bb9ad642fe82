//! Building plans, and the one way in which nodes come into being.

use crate::error::PlanError;
use crate::plan::{Leaf, LeafId, Node, NodeId, Plan};
use asupersync_core::DetHashMap;
use std::time::Duration;

/// Makes nodes, and a [`Plan`] of them.
///
/// The same combinator over the same nodes is the same node: it is executed once.
#[derive(Clone, Debug, Default)]
pub struct PlanBuilder {
    nodes: Vec<Node>,
    leaves: Vec<Leaf>,
    known: DetHashMap<Node, NodeId>,
}

impl PlanBuilder {
    /// The largest number of nodes in a plan.
    pub const MAX_NODES: usize = 1 << 20;

    /// How deep combinators may stand in one another. Each level is a nested future, and polling
    /// them takes stack.
    pub const MAX_DEPTH: usize = 128;

    /// A builder without nodes.
    #[must_use]
    pub fn new() -> PlanBuilder {
        PlanBuilder::default()
    }

    /// A leaf. Two leaves are two executions, also under one name.
    pub fn leaf(&mut self, leaf: Leaf) -> NodeId {
        let id = LeafId(self.leaves.len() as u32);
        self.leaves.push(leaf);
        self.node(Node::Leaf(id))
    }

    /// All of them at once.
    pub fn join(&mut self, nodes: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.node(Node::Join(nodes.into_iter().collect()))
    }

    /// The first of them to finish.
    pub fn race(&mut self, nodes: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.node(Node::Race(nodes.into_iter().collect()))
    }

    /// One after the other.
    pub fn sequence(&mut self, nodes: impl IntoIterator<Item = NodeId>) -> NodeId {
        self.node(Node::Sequence(nodes.into_iter().collect()))
    }

    /// One node for at most this long, counted from its start.
    pub fn timeout(&mut self, limit: Duration, node: NodeId) -> NodeId {
        self.node(Node::Timeout(limit, node))
    }

    fn node(&mut self, node: Node) -> NodeId {
        let next = NodeId(self.nodes.len() as u32);
        let id = *self.known.entry(node.clone()).or_insert(next);
        if id == next {
            self.nodes.push(node);
        }
        id
    }

    /// The plan that `root` is. The builder can go on and make others; nodes that `root` does not need
    /// are left out.
    ///
    /// # Errors
    /// [`PlanError`] for a node of another builder, and beyond the limits on size and depth.
    pub fn build(&self, root: NodeId) -> Result<Plan, PlanError> {
        Ok(Plan { nodes: canonical(&self.nodes, root)?, leaves: self.leaves.clone() })
    }
}

/// The nodes that `root` needs, each after those below it, in the order in which they are named: equal plans get
/// equal lists. Without recursion, as the depth is not known to be bounded yet.
pub(crate) fn canonical(all: &[Node], root: NodeId) -> Result<Vec<Node>, PlanError> {
    const UNSEEN: u32 = u32::MAX;
    let known = |id: NodeId| match all.get(id.index()) {
        Some(node) => Ok(node),
        None => Err(PlanError::UnknownNode { index: id.index() }),
    };
    known(root)?;
    let mut place = vec![UNSEEN; all.len()];
    let mut depth = vec![0_usize; all.len()];
    let mut nodes = Vec::new();
    let mut open = vec![(root, 0)];
    while let Some((id, next)) = open.pop() {
        let node = known(id)?;
        if let Some(&child) = node.children().get(next) {
            open.push((id, next + 1));
            // A node's children were made before it, unless they are another builder's.
            if child >= id {
                return Err(PlanError::UnknownNode { index: child.index() });
            }
            if place[child.index()] == UNSEEN {
                open.push((child, 0));
            }
            continue;
        }
        if place[id.index()] != UNSEEN {
            continue;
        }
        let below = node.children().iter().map(|child| depth[child.index()]).max();
        depth[id.index()] = below.map_or(0, |below| below + 1);
        if depth[id.index()] > PlanBuilder::MAX_DEPTH {
            return Err(PlanError::TooDeep);
        }
        if nodes.len() == PlanBuilder::MAX_NODES {
            return Err(PlanError::TooLarge);
        }
        let mut node = node.clone();
        for child in node.children_mut() {
            *child = NodeId(place[child.index()]);
        }
        place[id.index()] = nodes.len() as u32;
        nodes.push(node);
    }
    Ok(nodes)
}
