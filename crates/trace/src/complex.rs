//! Square complexes: the shape of a state space.
//!
//! States are vertices, steps are edges, and where two steps of one state commute, the square they span is
//! filled in (Fajstrup, Goubault, Haucourt, Mimram and Raussen, "Directed algebraic topology and concurrency",
//! Springer 2016; Goubault and Jensen, "Homology of higher dimensional automata", CONCUR 1992). What is left open are
//! the places where order matters: two tasks that exclude each other leave a hole.
//!
//! Homology is over GF(2), by column reduction of the boundary matrix (Edelsbrunner, Letscher and Zomorodian,
//! "Topological persistence and simplification", DCG 2002), in which signs do not matter. The complex of a *single*
//! trace has no holes, whatever the trace; only several traces or a state space have any.

use asupersync_core::DetHashMap;
use std::collections::{BTreeMap, VecDeque};
use std::hash::Hash;

/// Vertices, edges between them, and squares between those. Cells are numbered in the order in which they were
/// added, each dimension for itself.
///
/// ```
/// use asupersync_trace::SquareComplex;
///
/// // A square whose inside is missing, and then is not.
/// let mut complex = SquareComplex::new(4);
/// let sides = [(0, 1), (1, 3), (0, 2), (2, 3)].map(|(a, b)| complex.edge(a, b));
/// assert_eq!(complex.betti(), [1, 1, 0]);
/// complex.square(sides);
/// assert_eq!(complex.betti(), [1, 0, 0]);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SquareComplex {
    vertices: usize,
    edges: Vec<(usize, usize)>,
    squares: Vec<[usize; 4]>,
    /// Cells as they came: dimension and number.
    order: Vec<(u8, usize)>,
}

/// A hole, by the times of the cells, counted over all dimensions in the order in which they were added: when it
/// came to be, and when it was filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval {
    /// 0 for a component, 1 for a hole, 2 for a hollow.
    pub dimension: u8,
    /// The cell that made it.
    pub birth: usize,
    /// The cell that filled it; none if it is still there.
    pub death: Option<usize>,
}

impl SquareComplex {
    /// So many vertices, and nothing between them.
    #[must_use]
    pub fn new(vertices: usize) -> SquareComplex {
        let mut complex = SquareComplex::default();
        for _ in 0..vertices {
            complex.vertex();
        }
        complex
    }

    /// Adds a vertex and answers its number.
    pub fn vertex(&mut self) -> usize {
        self.order.push((0, self.vertices));
        self.vertices += 1;
        self.vertices - 1
    }

    /// Adds an edge and answers its number.
    ///
    /// # Panics
    /// If there is no such vertex.
    pub fn edge(&mut self, from: usize, to: usize) -> usize {
        assert!(from.max(to) < self.vertices, "an edge to a vertex that is not there");
        self.order.push((1, self.edges.len()));
        self.edges.push((from, to));
        self.edges.len() - 1
    }

    /// Fills in a square, whose sides are in any order, and answers its number. A side may come twice, as where
    /// the complex is glued to itself.
    ///
    /// # Panics
    /// If there is no such edge.
    pub fn square(&mut self, sides: [usize; 4]) -> usize {
        assert!(sides.iter().all(|side| *side < self.edges.len()), "a side that is not there");
        self.order.push((2, self.squares.len()));
        self.squares.push(sides);
        self.squares.len() - 1
    }

    /// How many vertices, edges and squares there are.
    #[must_use]
    pub fn counts(&self) -> [usize; 3] {
        [self.vertices, self.edges.len(), self.squares.len()]
    }

    /// The Betti numbers over GF(2): components, holes, hollows.
    #[must_use]
    pub fn betti(&self) -> [usize; 3] {
        let mut betti = [0; 3];
        for interval in self.persistence() {
            betti[usize::from(interval.dimension)] += usize::from(interval.death.is_none());
        }
        betti
    }

    /// Every hole there ever was as the cells were added, in the order of their ends and beginnings.
    #[must_use]
    pub fn persistence(&self) -> Vec<Interval> {
        let mut place: [Vec<usize>; 3] = Default::default();
        for (at, (dimension, _)) in self.order.iter().enumerate() {
            place[usize::from(*dimension)].push(at);
        }
        // Columns are sorted lists of cells, by their places; `lowest` says which column ends where.
        let mut lowest: DetHashMap<usize, Vec<usize>> = DetHashMap::default();
        let mut open: BTreeMap<usize, u8> = BTreeMap::new();
        let mut found = Vec::new();
        for (at, (dimension, number)) in self.order.iter().enumerate() {
            let mut column: Vec<usize> = match dimension {
                0 => Vec::new(),
                1 => {
                    let (from, to) = self.edges[*number];
                    vec![place[0][from], place[0][to]]
                }
                _ => self.squares[*number].iter().map(|side| place[1][*side]).collect(),
            };
            column.sort_unstable();
            column = add(&column, &[]);
            while let Some(known) = column.last().and_then(|last| lowest.get(last)) {
                column = add(&column, known);
            }
            match column.last().copied() {
                None => _ = open.insert(at, *dimension),
                Some(birth) => {
                    open.remove(&birth);
                    let dimension = dimension - 1;
                    found.push(Interval { dimension, birth, death: Some(at) });
                    lowest.insert(birth, column);
                }
            }
        }
        let left = open.into_iter();
        found.extend(left.map(|(birth, dimension)| Interval { dimension, birth, death: None }));
        found
    }
}

/// The sum over GF(2) of two lists: what is in one of them, an odd number of times.
fn add(left: &[usize], right: &[usize]) -> Vec<usize> {
    let mut all: Vec<usize> = left.iter().chain(right).copied().collect();
    all.sort_unstable();
    let odd = all.chunk_by(|a, b| a == b).filter(|same| same.len() % 2 == 1);
    odd.map(|same| same[0]).collect()
}

/// The states that a program reaches, and the complex that they make.
#[derive(Clone, Debug)]
pub struct StateSpace<S> {
    /// The states, in the order in which they were found; they are the complex's vertices.
    pub states: Vec<S>,
    /// States, steps and the squares of steps that commute.
    pub complex: SquareComplex,
    /// There are more states than were allowed.
    pub is_cut: bool,
}

impl<S: Clone + Eq + Hash> StateSpace<S> {
    /// Looks at every state that `steps` leads to from `initial`, at most `most` of them. A step says which task
    /// takes it, of which each has at most one at a time. A square is filled in where two tasks' steps are
    /// possible in one state, each is possible after the other, both orders lead to one state, and `commute` says of
    /// the state and the two tasks that their order does not matter.
    pub fn explore(
        initial: S,
        most: usize,
        steps: impl Fn(&S) -> Vec<(usize, S)>,
        commute: impl Fn(&S, usize, usize) -> bool,
    ) -> StateSpace<S> {
        let mut space = StateSpace {
            states: vec![initial.clone()],
            complex: SquareComplex::new(1),
            is_cut: false,
        };
        let mut numbers: DetHashMap<S, usize> = DetHashMap::default();
        numbers.insert(initial, 0);
        // For each state and task the edge and where it leads.
        let mut edges: DetHashMap<(usize, usize), (usize, usize)> = DetHashMap::default();
        let mut tasks: Vec<Vec<usize>> = Vec::new();
        let mut queue = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            let mut able = Vec::new();
            for (task, next) in steps(&space.states[at].clone()) {
                let to = match numbers.get(&next) {
                    Some(to) => *to,
                    None if space.states.len() >= most => {
                        space.is_cut = true;
                        continue;
                    }
                    None => {
                        let to = space.complex.vertex();
                        numbers.insert(next.clone(), to);
                        space.states.push(next);
                        queue.push_back(to);
                        to
                    }
                };
                edges.insert((at, task), (space.complex.edge(at, to), to));
                able.push(task);
            }
            tasks.push(able);
        }
        for (at, able) in tasks.iter().enumerate() {
            for (n, a) in able.iter().enumerate() {
                for b in &able[n + 1..] {
                    let ((first, left), (other, right)) = (edges[&(at, *a)], edges[&(at, *b)]);
                    let ends = (edges.get(&(left, *b)), edges.get(&(right, *a)));
                    if let (Some((then, end)), Some((also, same))) = ends {
                        if end == same && commute(&space.states[at], *a, *b) {
                            space.complex.square([first, *then, other, *also]);
                        }
                    }
                }
            }
        }
        space
    }
}

#[cfg(test)]
mod tests;
