//! The equivalent run in which the fewest tasks take over from one another.
//!
//! Among the orders of a run's steps that keep every dependent pair as it is, one with the fewest switches of
//! task is the easiest to read. Finding it is NP-hard in general (it contains the minimum number of setups of a
//! schedule under precedence, and the jump number of an order: Bouchitté and Habib, "NP-completeness
//! properties about linear extensions", Order 4, 1987), so it is exact within a bound, by A*, and a beam beyond.
//!
//! Two facts keep the search small. A step that is no task's, a timer or a closing region, can be taken as soon
//! as it can come, as it is no switch. And a task that can go on may as well: moving its next step to the front
//! breaks no order and adds no switch. So a position is a set of steps after which no started task can go on, and
//! its successors are the tasks that could be next.
//!
//! Steps are numbered by their Foata level and label before the search, which is the same for equivalent runs;
//! so the answer does not depend on the order in which they were given.

use crate::fingerprint::Levels;
use crate::step::{Actor, Step, Target};
use asupersync_core::{DetHashMap, TaskId};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

/// How far to search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Positions that the exact search may look at; 0 leaves it out.
    pub exact: usize,
    /// Positions that the beam keeps of each length.
    pub beam: usize,
}

impl Default for Effort {
    fn default() -> Effort {
        Effort { exact: 20_000, beam: 32 }
    }
}

/// An equivalent order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Geodesic {
    /// Positions in the steps that were given, in the new order.
    pub order: Vec<usize>,
    /// Times that another task takes over.
    pub switches: usize,
    /// No equivalent order has fewer.
    pub is_exact: bool,
}

/// Finds an equivalent order of the steps with few switches of task: the fewest, when it can be told within
/// `effort`. Equivalent runs give the same sequence of steps.
///
/// ```
/// use asupersync_core::{ObjectId, TaskId};
/// use asupersync_trace::{Actor, Effort, Step, Target, Touch, geodesic};
///
/// let step = |task, object| {
///     let target = Target::Object(ObjectId::from_bits(object));
///     Step::new(Actor::Task(TaskId::from_bits(task)), vec![Touch { target, write: true }])
/// };
/// // Two tasks take turns, each on an object of its own.
/// let steps = [step(1, 1), step(2, 2), step(1, 1), step(2, 2)];
/// let shortest = geodesic(&steps, Effort::default());
/// assert_eq!(shortest.switches, 1);
/// assert!(shortest.is_exact);
/// ```
#[must_use]
pub fn geodesic(steps: &[Step], effort: Effort) -> Geodesic {
    let order = Order::of(steps);
    let found = order.exact(effort.exact);
    let is_exact = found.is_some();
    let path = found.unwrap_or_else(|| order.beam(effort.beam.max(1)));
    let (nodes, switches) = order.replay(&path);
    let order = nodes.into_iter().map(|node| order.nodes[node].given).collect();
    Geodesic { order, switches, is_exact }
}

/// How often another task takes over.
#[must_use]
pub fn switches(steps: &[Step]) -> usize {
    let tasks: Vec<TaskId> = steps.iter().filter_map(owner).collect();
    tasks.windows(2).filter(|pair| pair[0] != pair[1]).count()
}

fn owner(step: &Step) -> Option<TaskId> {
    match step.actor {
        Actor::Task(task) => Some(task),
        _ => None,
    }
}

/// The steps as a partial order, numbered canonically.
struct Order {
    nodes: Vec<Node>,
    /// For each task its steps, in order.
    chains: Vec<Vec<usize>>,
    /// The steps that are no task's.
    others: Vec<usize>,
}

struct Node {
    /// Its position among the steps given.
    given: usize,
    /// Its task, as a position in `chains`.
    chain: Option<usize>,
    before: Vec<usize>,
    /// Stretches of one task that a path upwards from here must have, this one's included; the best two by
    /// different first tasks.
    stretches: [Option<(usize, usize)>; 2],
}

/// Which steps were taken: how many of each task, and which others.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Position {
    taken: Box<[u32]>,
    others: Box<[bool]>,
}

impl Order {
    fn of(steps: &[Step]) -> Order {
        let mut levels = Levels::default();
        let levels: Vec<u32> = steps.iter().map(|step| levels.push_step(step)).collect();
        let mut canonical: Vec<usize> = (0..steps.len()).collect();
        // Equal labels of one level have the same steps below and above them: which is which does not matter.
        canonical.sort_by(|a, b| (levels[*a], &steps[*a]).cmp(&(levels[*b], &steps[*b])));
        let mut number = vec![0; steps.len()];
        for (node, given) in canonical.iter().enumerate() {
            number[*given] = node;
        }
        let mut ids: BTreeMap<TaskId, usize> = BTreeMap::new();
        for task in steps.iter().filter_map(owner) {
            ids.insert(task, 0);
        }
        for (chain, id) in ids.values_mut().enumerate() {
            *id = chain;
        }
        let before = predecessors(steps);
        let nodes = canonical.iter().map(|given| {
            let chain = owner(&steps[*given]).map(|task| ids[&task]);
            let before = before[*given].iter().map(|given| number[*given]).collect();
            Node { given: *given, chain, before, stretches: [None; 2] }
        });
        let mut order = Order {
            nodes: nodes.collect(),
            chains: vec![Vec::new(); ids.len()],
            others: Vec::new(),
        };
        for (node, found) in order.nodes.iter().enumerate() {
            match found.chain {
                // A task's steps depend on one another, so their levels rise.
                Some(chain) => order.chains[chain].push(node),
                None => order.others.push(node),
            }
        }
        order.measure();
        order
    }

    /// Fills in `stretches`, from the last steps to the first: numbers rise along the order.
    fn measure(&mut self) {
        for at in (0..self.nodes.len()).rev() {
            if let Some(chain) = self.nodes[at].chain {
                let above = self.nodes[at].stretches.into_iter().flatten();
                let most = above.map(|(other, n)| n + usize::from(other != chain)).max();
                self.nodes[at].stretches = [Some((chain, most.unwrap_or(1))), None];
            }
            let mine = self.nodes[at].stretches;
            for below in self.nodes[at].before.clone() {
                let node = &mut self.nodes[below];
                for one in mine.into_iter().flatten() {
                    node.stretches = best_two(node.stretches, one);
                }
            }
        }
    }

    fn start(&self) -> Position {
        let mut start = Position {
            taken: vec![0; self.chains.len()].into(),
            others: vec![false; self.others.len()].into(),
        };
        self.settle(&mut start, None, |_| {});
        start
    }

    fn is_taken(&self, position: &Position, node: usize) -> bool {
        match self.nodes[node].chain {
            Some(chain) => {
                let taken = position.taken[chain] as usize;
                self.chains[chain][..taken].binary_search(&node).is_ok()
            }
            None => self.others.binary_search(&node).is_ok_and(|at| position.others[at]),
        }
    }

    fn can_come(&self, position: &Position, node: usize) -> bool {
        self.nodes[node].before.iter().all(|before| self.is_taken(position, *before))
    }

    fn next_of(&self, position: &Position, chain: usize) -> Option<usize> {
        let next = self.chains[chain].get(position.taken[chain] as usize).copied();
        next.filter(|node| self.can_come(position, *node))
    }

    /// Takes the steps of this task, and of no task, as far as they can come.
    fn settle(&self, position: &mut Position, chain: Option<usize>, mut each: impl FnMut(usize)) {
        loop {
            let mut any = false;
            for (at, node) in self.others.iter().enumerate() {
                if !position.others[at] && self.can_come(position, *node) {
                    position.others[at] = true;
                    each(*node);
                    any = true;
                }
            }
            while let Some(node) = chain.and_then(|chain| self.next_of(position, chain)) {
                position.taken[self.nodes[node].chain.expect("it is a task's")] += 1;
                each(node);
                any = true;
            }
            if !any {
                return;
            }
        }
    }

    /// The tasks that can be next, and where that leads.
    fn after<'a>(&'a self, position: &'a Position) -> impl Iterator<Item = (usize, Position)> + 'a {
        let chains = 0..self.chains.len();
        chains.filter(|chain| self.next_of(position, *chain).is_some()).map(|chain| {
            let mut next = position.clone();
            self.settle(&mut next, Some(chain), |_| {});
            (chain, next)
        })
    }

    /// Stretches that are still to come at least: one for each task that has steps left, and as many as some
    /// path of dependent steps changes tasks.
    fn at_least(&self, position: &Position) -> usize {
        let left = self.chains.iter().zip(&position.taken);
        let next = left.filter_map(|(chain, taken)| chain.get(*taken as usize));
        let (mut tasks, mut longest) = (0, 0);
        for node in next {
            tasks += 1;
            let stretches = self.nodes[*node].stretches[0].map_or(0, |(_, n)| n);
            longest = longest.max(stretches);
        }
        tasks.max(longest)
    }

    /// The tasks of the stretches, in order, of which there are as few as can be; none beyond the bound.
    fn exact(&self, bound: usize) -> Option<Vec<usize>> {
        let start = self.start();
        let mut known: DetHashMap<Position, usize> = DetHashMap::default();
        // Where each position came from: the position before it, and the task.
        let mut from: Vec<(Position, Option<(usize, usize)>)> = Vec::new();
        let mut open = BinaryHeap::new();
        open.push(Reverse((self.at_least(&start), Reverse(0_usize), 0_usize)));
        known.insert(start.clone(), 0);
        from.push((start, None));
        let mut looked_at = 0;
        while let Some(Reverse((_, Reverse(length), at))) = open.pop() {
            let position = from[at].0.clone();
            if known[&position] < length {
                continue;
            }
            let left = self.at_least(&position);
            if left == 0 {
                let mut path = Vec::new();
                let mut next = from[at].1;
                while let Some((before, chain)) = next {
                    path.push(chain);
                    next = from[before].1;
                }
                path.reverse();
                return Some(path);
            }
            looked_at += 1;
            if looked_at > bound {
                return None;
            }
            for (chain, next) in self.after(&position) {
                let length = length + 1;
                if known.get(&next).is_some_and(|known| *known <= length) {
                    continue;
                }
                let least = length + self.at_least(&next);
                known.insert(next.clone(), length);
                open.push(Reverse((least, Reverse(length), from.len())));
                from.push((next, Some((at, chain))));
            }
        }
        None
    }

    /// The same as far as the best few positions of each length lead.
    fn beam(&self, width: usize) -> Vec<usize> {
        let mut kept = vec![(self.start(), Vec::new())];
        loop {
            if let Some((_, path)) = kept.iter().find(|(position, _)| self.at_least(position) == 0)
            {
                return path.clone();
            }
            // Of two ways to one position the first is as good.
            let mut next: BTreeMap<Position, Vec<usize>> = BTreeMap::new();
            for (position, path) in &kept {
                for (chain, after) in self.after(position) {
                    next.entry(after).or_insert_with(|| [&path[..], &[chain]].concat());
                }
            }
            kept = next.into_iter().collect();
            let score = |position: &Position| {
                let taken: u64 = position.taken.iter().map(|taken| u64::from(*taken)).sum();
                (self.at_least(position), Reverse(taken))
            };
            kept.sort_by_cached_key(|(position, path)| (score(position), path.clone()));
            kept.truncate(width);
        }
    }

    /// The steps along a path, and how often the task changes.
    fn replay(&self, path: &[usize]) -> (Vec<usize>, usize) {
        let mut nodes = Vec::new();
        let mut position = Position {
            taken: vec![0; self.chains.len()].into(),
            others: vec![false; self.others.len()].into(),
        };
        self.settle(&mut position, None, |node| nodes.push(node));
        for chain in path {
            self.settle(&mut position, Some(*chain), |node| nodes.push(node));
        }
        (nodes, path.len().saturating_sub(1))
    }
}

/// The best two, by different tasks.
fn best_two(
    known: [Option<(usize, usize)>; 2],
    one: (usize, usize),
) -> [Option<(usize, usize)>; 2] {
    let mut all: Vec<(usize, usize)> = known.into_iter().flatten().collect();
    match all.iter_mut().find(|(chain, _)| *chain == one.0) {
        Some(same) => same.1 = same.1.max(one.1),
        None => all.push(one),
    }
    all.sort_by_key(|(chain, n)| (Reverse(*n), *chain));
    [all.first().copied(), all.get(1).copied()]
}

/// For each step those before it that it depends on, as far as they do not follow from others.
fn predecessors(steps: &[Step]) -> Vec<Vec<usize>> {
    let mut actors: DetHashMap<Actor, usize> = DetHashMap::default();
    let mut written: DetHashMap<Target, usize> = DetHashMap::default();
    let mut readers: DetHashMap<Target, Vec<usize>> = DetHashMap::default();
    let mut floor = None;
    let mut found = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        let mut before: Vec<usize> = floor.into_iter().collect();
        if step.actor == Actor::Host {
            before.extend(floor.map_or(0, |floor| floor + 1)..at);
            floor = Some(at);
        }
        if step.actor.is_sequential() {
            before.extend(actors.insert(step.actor, at));
        }
        for touch in &*step.touches {
            before.extend(written.get(&touch.target).copied());
            let reading = readers.entry(touch.target).or_default();
            if touch.write {
                before.append(reading);
                written.insert(touch.target, at);
            } else {
                reading.push(at);
            }
        }
        before.sort_unstable();
        before.dedup();
        found.push(before);
    }
    found
}

#[cfg(test)]
mod tests;
