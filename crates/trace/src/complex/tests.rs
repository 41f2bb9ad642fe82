use super::*;
use proptest::prelude::*;

/// A grid of squares, each pair of opposite borders glued as `glue` says of a point.
fn glued(size: usize, glue: impl Fn(usize, usize) -> (usize, usize)) -> SquareComplex {
    let point = |x, y| {
        let (x, y) = glue(x, y);
        x * size + y
    };
    let mut complex = SquareComplex::new(size * size);
    let mut edges: BTreeMap<(usize, usize), usize> = BTreeMap::new();
    for x in 0..size {
        for y in 0..size {
            let mut side = |a: usize, b: usize| {
                *edges.entry((a.min(b), a.max(b))).or_insert_with(|| complex.edge(a, b))
            };
            let corners = [point(x, y), point(x + 1, y), point(x + 1, y + 1), point(x, y + 1)];
            let sides = [
                side(corners[0], corners[1]),
                side(corners[1], corners[2]),
                side(corners[2], corners[3]),
                side(corners[3], corners[0]),
            ];
            complex.square(sides);
        }
    }
    complex
}

#[test]
fn the_textbook_complexes_have_their_betti_numbers() {
    let mut circle = SquareComplex::new(5);
    for n in 0..5 {
        circle.edge(n, (n + 1) % 5);
    }
    assert_eq!(circle.betti(), [1, 1, 0]);

    // The surface of a cube.
    let mut sphere = SquareComplex::new(8);
    let mut edges = BTreeMap::new();
    for a in 0..8_usize {
        for bit in [1, 2, 4] {
            if a & bit == 0 {
                edges.insert((a, a | bit), sphere.edge(a, a | bit));
            }
        }
    }
    for (one, two, fixed) in [(1, 2, 4), (1, 4, 2), (2, 4, 1)] {
        for base in [0, fixed] {
            sphere.square([
                edges[&(base, base | one)],
                edges[&(base, base | two)],
                edges[&(base | one, base | one | two)],
                edges[&(base | two, base | one | two)],
            ]);
        }
    }
    assert_eq!((sphere.counts(), sphere.betti()), ([8, 12, 6], [1, 0, 1]));

    let torus = glued(4, |x, y| (x % 4, y % 4));
    assert_eq!((torus.counts(), torus.betti()), ([16, 32, 16], [1, 2, 1]));
    // The border at the far end of x is glued upside down.
    let klein = glued(4, |x, y| if x == 4 { (0, (4 - y % 4) % 4) } else { (x, y % 4) });
    assert_eq!((klein.counts(), klein.betti()), ([16, 32, 16], [1, 2, 1]));

    // One square whose sides are glued, as surfaces are drawn: over GF(2) a side that comes twice is gone.
    let one = |vertices: usize, ends: &[(usize, usize)], sides| {
        let mut complex = SquareComplex::new(vertices);
        ends.iter().for_each(|(from, to)| _ = complex.edge(*from, *to));
        complex.square(sides);
        complex.betti()
    };
    assert_eq!(one(1, &[(0, 0), (0, 0)], [0, 1, 0, 1]), [1, 2, 1], "torus or Klein bottle");
    assert_eq!(one(2, &[(0, 1), (1, 0)], [0, 1, 0, 1]), [1, 1, 1], "projective plane");
}

/// A program for `StateSpace`: each task's steps; a step touches one object, and may wait.
#[derive(Clone, Copy)]
enum Act {
    Lock(usize),
    Unlock(usize),
    Write(usize),
    Read(usize),
}

impl Act {
    fn conflicts(self, other: Act) -> bool {
        let on = |act| match act {
            Act::Lock(n) | Act::Unlock(n) => (n + 100, true),
            Act::Write(n) => (n, true),
            Act::Read(n) => (n, false),
        };
        let ((a, writes), (b, other_writes)) = (on(self), on(other));
        a == b && (writes || other_writes)
    }
}

/// Where each task is, what is in the cells, who holds the locks, and what was read.
type State = (Vec<usize>, Vec<u8>, Vec<bool>, Vec<Vec<u8>>);

fn space(program: &[&[Act]], cells: usize) -> StateSpace<State> {
    let tasks = program.len();
    let initial = (vec![0; tasks], vec![0; cells], vec![false; cells], vec![Vec::new(); tasks]);
    let steps = |state: &State| {
        let able = (0..tasks).filter_map(|task| {
            let act = *program[task].get(state.0[task])?;
            let (mut at, mut cells, mut held, mut seen) = state.clone();
            at[task] += 1;
            match act {
                Act::Lock(lock) if held[lock] => return None,
                Act::Lock(lock) => held[lock] = true,
                Act::Unlock(lock) => held[lock] = false,
                Act::Write(cell) => cells[cell] = 1,
                Act::Read(cell) => seen[task].push(cells[cell]),
            }
            Some((task, (at, cells, held, seen)))
        });
        able.collect()
    };
    let commute = |state: &State, a: usize, b: usize| {
        !program[a][state.0[a]].conflicts(program[b][state.0[b]])
    };
    StateSpace::explore(initial, 10_000, steps, commute)
}

#[test]
fn state_spaces_have_the_holes_that_are_known_of_them() {
    use Act::{Lock, Read, Unlock, Write};
    let lock: &[Act] = &[Lock(0), Unlock(0)];
    let mutex = space(&[lock, lock], 1);
    assert_eq!((mutex.complex.counts(), mutex.complex.betti()), ([8, 8, 0], [1, 1, 0]));

    let left: &[Act] = &[Lock(0), Lock(1), Unlock(1), Unlock(0)];
    let right: &[Act] = &[Lock(1), Lock(0), Unlock(0), Unlock(1)];
    let dining = space(&[left, right], 2);
    assert_eq!((dining.complex.counts(), dining.complex.betti()), ([19, 22, 3], [1, 1, 0]));

    let buffers = space(&[&[Write(0), Read(1)], &[Write(1), Read(0)]], 2);
    assert_eq!((buffers.complex.counts(), buffers.complex.betti()), ([13, 14, 2], [1, 0, 0]));
}

#[test]
fn the_complex_of_a_program_without_conflicts_has_no_hole() {
    use Act::Write;
    for tasks in 1..4 {
        let steps: Vec<Vec<Act>> = (0..tasks).map(|task| vec![Write(task); 3]).collect();
        let program: Vec<&[Act]> = steps.iter().map(|acts| &acts[..]).collect();
        let cube = space(&program, tasks);
        // Three tasks span cubes, of which only the walls are there.
        assert_eq!(cube.complex.betti()[..2], [1, 0]);
        assert_eq!(cube.complex.counts()[0], 4_usize.pow(tasks as u32));
    }
}

#[test]
fn a_hole_lives_from_the_edge_that_closes_it_to_the_square_that_fills_it() {
    let mut complex = SquareComplex::new(4);
    let sides = [(0, 1), (1, 3), (0, 2), (2, 3)].map(|(a, b)| complex.edge(a, b));
    complex.square(sides);
    let holes: Vec<Interval> =
        complex.persistence().into_iter().filter(|interval| interval.dimension == 1).collect();
    assert_eq!(holes, [Interval { dimension: 1, birth: 7, death: Some(8) }]);
}

#[test]
fn a_state_space_that_is_cut_says_so() {
    let counter = StateSpace::explore(0_u32, 10, |n| vec![(0, n + 1)], |_, _, _| true);
    assert!(counter.is_cut);
    assert_eq!(counter.states.len(), 10);
}

proptest! {
    /// Euler and Poincaré: vertices less edges plus squares are components less holes plus hollows.
    #[test]
    fn the_euler_characteristic_is_the_same_both_ways(
        edges in prop::collection::vec((0..8_usize, 0..8_usize), 0..30),
        squares in prop::collection::vec((0..8_usize, 0..8_usize, 0..8_usize, 0..8_usize), 0..20),
    ) {
        let mut complex = SquareComplex::new(8);
        for (from, to) in edges {
            complex.edge(from, to);
        }
        for (a, b, c, d) in squares {
            // A closed path of four edges, made where it is missing.
            let sides = [(a, b), (b, c), (c, d), (d, a)];
            let sides = sides.map(|(from, to)| complex.edge(from, to));
            complex.square(sides);
        }
        let signed = |n: [usize; 3]| n[0] as i64 - n[1] as i64 + n[2] as i64;
        prop_assert_eq!(signed(complex.counts()), signed(complex.betti()));
    }
}
