//! Rewriting a plan by laws, and saying what was done.

use crate::analysis::NodeFacts;
use crate::builder::canonical;
use crate::law::{Form, Graph, Law, Strength};
use crate::plan::{Leaf, Node, NodeId, Part, Plan};
use std::fmt::{self, Write};

/// One law, applied once.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Which law.
    pub law: Law,
    /// The node as it was, as text; long ones are cut.
    pub before: String,
    /// What stands in its place.
    pub after: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Step { law, before, after } = self;
        write!(f, "{before}\n  -> {after}\n  by {law}\n  allowed: {}", law.condition())
    }
}

/// A plan and how it came to be.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Rewriting {
    /// The new plan. Its leaves are those of the old one.
    pub plan: Plan,
    /// What was done, in order.
    pub steps: Vec<Step>,
}

impl fmt::Display for Rewriting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            writeln!(f, "{step}")?;
        }
        write!(f, "result: {}", self.plan)
    }
}

/// Rewrites by every law that is an equality without conditions on time, until none applies.
///
/// The new plan does what the old one does, with no more nodes and edges than it.
#[must_use]
pub fn simplify(plan: &Plan) -> Rewriting {
    simplify_by(plan, |law| law.strength() == Strength::Equal)
}

/// Rewrites by the laws that `allowed` names, until none applies.
///
/// [`Law::JoinFactors`] chooses among things the old plan might have done; [`Law::TimeoutUnneeded`] takes
/// the leaves' promises at their word. Both must be asked for.
#[must_use]
pub fn simplify_by(plan: &Plan, allowed: impl Fn(Law) -> bool) -> Rewriting {
    let laws: Vec<Law> = Law::ALL.into_iter().filter(|law| allowed(*law)).collect();
    let mut plan = plan.clone();
    let mut steps = Vec::new();
    loop {
        let before = steps.len();
        let mut pass = Pass::new(&plan, &laws, &mut steps);
        let root = pass.run(&plan);
        let nodes = pass.nodes;
        // Factoring can make a plan deeper, in the end deeper than allowed: then this pass is not taken.
        let next = if steps.len() > before { canonical(&nodes, root).ok() } else { None };
        let Some(nodes) = next else {
            steps.truncate(before);
            return Rewriting { plan, steps };
        };
        // Where a node had two parents and has one now, more laws may fit: look again.
        plan.nodes = nodes;
    }
}

/// One walk from the leaves to the root.
struct Pass<'p> {
    laws: &'p [Law],
    steps: &'p mut Vec<Step>,
    nodes: Vec<Node>,
    leaves: &'p [Leaf],
    facts: Vec<NodeFacts>,
    shared: Vec<bool>,
}

impl Graph for Pass<'_> {
    fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    fn facts(&self, id: NodeId) -> NodeFacts {
        self.facts[id.index()]
    }

    fn is_shared(&self, id: NodeId) -> bool {
        self.shared[id.index()]
    }
}

impl<'p> Pass<'p> {
    fn new(plan: &'p Plan, laws: &'p [Law], steps: &'p mut Vec<Step>) -> Pass<'p> {
        Pass {
            laws,
            steps,
            nodes: Vec::with_capacity(plan.nodes.len()),
            leaves: &plan.leaves,
            facts: Vec::new(),
            shared: Vec::new(),
        }
    }

    fn run(&mut self, plan: &Plan) -> NodeId {
        let uses = plan.uses();
        let mut now: Vec<NodeId> = Vec::with_capacity(plan.nodes.len());
        for (id, node) in plan.nodes() {
            let mut node = node.clone();
            for child in node.children_mut() {
                *child = now[child.index()];
            }
            let new = self.reduce(node);
            // What had several parents still may have. A law that leaves only a child hands its parents on.
            self.shared[new.index()] |= uses[id.index()] > 1;
            now.push(new);
        }
        now[plan.root().index()]
    }

    /// Applies laws at the top of this node until none fits, and adds what is left.
    fn reduce(&mut self, node: Node) -> NodeId {
        for &law in self.laws {
            let Some(form) = law.apply(&node, self) else { continue };
            let place = self.steps.len();
            let before = self.text(node);
            self.steps.push(Step { law, before, after: String::new() });
            let id = self.place(form);
            let after = self.text(self.nodes[id.index()].clone());
            self.steps[place].after = after;
            return id;
        }
        self.add(node)
    }

    /// The node of a law's right side.
    fn place(&mut self, form: Form) -> NodeId {
        let mut all = |forms: Vec<Form>| forms.into_iter().map(|form| self.place(form)).collect();
        let node = match form {
            Form::Id(id) => return id,
            Form::Join(forms) => Node::Join(all(forms)),
            Form::Race(forms) => Node::Race(all(forms)),
            Form::Sequence(forms) => Node::Sequence(all(forms)),
            Form::Timeout(limit, form) => Node::Timeout(limit, self.place(*form)),
        };
        self.reduce(node)
    }

    /// Always a new node: an equal one that is there already is another execution, begun at another time.
    fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(self.nodes.len() as u32);
        self.facts.push(NodeFacts::of(&node, self.leaves, |id| self.facts[id.index()]));
        self.shared.push(false);
        self.nodes.push(node);
        id
    }

    fn text(&mut self, node: Node) -> String {
        const LONGEST: usize = 200;
        let id = NodeId(self.nodes.len() as u32);
        self.nodes.push(node);
        let mut text = Cut { text: String::new(), left: LONGEST };
        let part = Part { nodes: &self.nodes, leaves: self.leaves, id, labelled: false };
        if write!(text, "{part}").is_err() {
            text.text.push_str(" ..");
        }
        self.nodes.pop();
        text.text
    }
}

/// Text up to a length; what goes beyond is an error, so that a huge plan is not written out to its end.
struct Cut {
    text: String,
    left: usize,
}

impl Write for Cut {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        for character in part.chars() {
            self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
            self.text.push(character);
        }
        Ok(())
    }
}
