//! Compiling a solved elimination.

use super::tables::Tables;
use super::{MEDIUM, Plan, SHORT};
use crate::parameters::BlockParameters;
use crate::solver::{Inverse, Solver};
use crate::symbol::{Program, Step, SumsBuilder, Target, counting_sort, word};

/// A pivot and when the program computes it.
#[derive(Clone, Copy, Default)]
struct Scheduled {
    row: u32,
    column: u32,
    /// It needs no pivot of this level or a higher one.
    level: u32,
    shape: u32,
}

impl Scheduled {
    const SHAPES: usize = 512;

    /// Pivots of one shape have sums of one length in both passes: `known` columns have a value in
    /// the first, and `unknown` more in the second. Long sums are not kept apart.
    fn shape(known: u32, unknown: u32, given: bool) -> u32 {
        16 * known.min(31) + 2 * unknown.min(7) + u32::from(given)
    }
}

/// The pivots in an order that respects what they need and keeps sums of equal length together: a
/// loop of unforeseen length costs more than adding a symbol does.
fn schedule(solver: &Solver, given: impl Fn(u32) -> bool) -> Vec<Scheduled> {
    let pivots = &solver.peeling.pivots;
    // By column: one more than its level; 0 while it is no pivot.
    let mut levels = vec![0u32; solver.matrix.parameters.l as usize];
    let mut scheduled = Vec::with_capacity(pivots.len());
    let mut depth = 0;
    for &(row, column) in pivots {
        let (mut level, mut known) = (0, 0);
        // The pivot itself has no level yet.
        for &other in solver.matrix.lt(row) {
            let after = levels[other as usize];
            level = level.max(after);
            known += u32::from(after != 0);
        }
        levels[column as usize] = level + 1;
        depth = depth.max(level + 1);
        let unknown = solver.matrix.row(row).len() as u32 - 1 - known;
        let shape = Scheduled::shape(known, unknown, given(row));
        scheduled.push(Scheduled { row, column, level, shape });
    }
    let by_shape = counting_sort(&scheduled, Scheduled::SHAPES, |pivot| pivot.shape as usize);
    counting_sort(&by_shape, depth as usize, |pivot| pivot.level as usize)
}

/// The columns without a binary pivot, at the slots `to`, from the residual and the HDPC rows.
fn free_columns(inverse: &Inverse, to: Vec<u32>, from: Vec<u32>) -> Step {
    let free = inverse.free.len();
    let rank = inverse.free_from_rows.len() / free;
    let h = inverse.free_from_hdpc.len() / free;
    let mut factors = Vec::with_capacity(free * (rank + h));
    for f in 0..free {
        factors.extend_from_slice(&inverse.free_from_rows[f * rank..(f + 1) * rank]);
        factors.extend_from_slice(&inverse.free_from_hdpc[f * h..(f + 1) * h]);
    }
    Step::Linear { to, from, factors }
}

impl Plan {
    /// Compiles a solved elimination. Row `S + i` of the matrix has the value of input
    /// `input(i)`, or zero where that is `None`.
    ///
    /// Slots: the pivots in program order, the inactive columns, the residual rows, the HDPC rows,
    /// the tables, and for long blocks the differences of the pivots between the passes.
    pub(crate) fn compile(
        solver: &Solver,
        inverse: &Inverse,
        inputs: u32,
        input: impl Fn(u32) -> Option<u32>,
    ) -> Self {
        let parameters = solver.matrix.parameters;
        let BlockParameters { s, l, h, k_prime, .. } = parameters;
        let (peeling, dense) = (&solver.peeling, &solver.dense);
        let input = |row: u32| row.checked_sub(s).and_then(&input);
        let rank = dense.accepted.len() as u32;
        // A long block's sources are far away: they are read once, in order, to the slots of their
        // rows, and the second pass gives differences to the first.
        let streamed = l as usize > SHORT;

        let order = schedule(solver, |row| input(row).is_some());
        let pivots = order.len() as u32;
        let mut places = vec![0; l as usize];
        let columns =
            order.iter().map(|pivot| pivot.column).chain(peeling.inactive.iter().copied());
        for (slot, column) in (0..).zip(columns) {
            places[column as usize] = word(slot);
        }
        let place = |column: u32| u32::from(places[column as usize]);
        let solved = |index: u32| pivots + index;
        let residual_at = l;
        let hdpc_at = residual_at + rank;
        let tables_at = hdpc_at + h;
        // From where on the later passes number slots, so that words reach them.
        let base = if streamed { pivots } else { 0 };
        // Terms of the binary combinations: the residual rows, then the free columns.
        let mut terms: Vec<u32> = (residual_at..hdpc_at).collect();
        terms.extend(inverse.free.iter().map(|&index| solved(index)));
        let limit = base + (1 << 16) - if streamed { pivots } else { 0 };
        // LDPC rows are long: their pivots differ between the passes by a combination that the tables
        // give in fewer terms.
        let long = order.iter().filter(|pivot| pivot.row < s).count();
        let tables = Tables::new(&terms, rank as usize + long, tables_at, limit);
        // Adds what a sum of columns without a pivot and of accepted rows comes to.
        let combine = |solved: &[u64], sums: &mut SumsBuilder| {
            let (coefficients, combination) = solved.split_at(solved.len() / 2);
            let mut wanted = combination.to_vec();
            wanted.resize(terms.len() / 64 + 2, 0);
            for (term, &column) in (rank as usize..).zip(&inverse.free) {
                let bit = coefficients[column as usize / 64] >> (column % 64) & 1;
                wanted[term / 64] |= bit << (term % 64);
            }
            tables.sum(&wanted, sums);
        };
        let (differences_at, slots) =
            if streamed { (tables.end(), tables.end() + pivots) } else { (0, tables.end()) };

        let uses_hdpc = !inverse.free.is_empty();
        let mut steps = Vec::new();
        if streamed {
            let rows = order.iter().map(|pivot| pivot.row).zip(0..);
            let rows = rows.chain(dense.accepted.iter().copied().zip(residual_at..));
            // Rows that tell nothing go where nothing is yet.
            let mut to = vec![word(hdpc_at); inputs as usize];
            for (row, slot) in rows {
                if let Some(input) = input(row) {
                    to[input as usize] = word(slot);
                }
            }
            steps.push(Step::Load { to });
        }

        let mut first = SumsBuilder::new(Target::Slots, l as usize);
        let mut last = SumsBuilder::new(Target::Slots, pivots as usize)
            .above(base)
            .asking_ahead(streamed && l as usize <= MEDIUM);
        if streamed {
            last = last.adding_below(differences_at);
        }
        if uses_hdpc {
            for slot in pivots..l {
                first.begin(slot, None);
                first.end();
            }
        }
        for (&pivot, slot) in order.iter().zip(0..) {
            let given = input(pivot.row);
            let read = given.filter(|_| !streamed);
            // What was loaded is a term like the others.
            let own = streamed && given.is_some();
            first.begin(slot, read);
            for &other in solver.matrix.lt(pivot.row) {
                let from = place(other);
                first.add_if(from, from < pivots && (own || other != pivot.column));
            }
            first.end_unless_copy();
            let terms = solver.matrix.row(pivot.row);
            if terms.len() > 2 * tables.groups() {
                last.begin(differences_at + slot, None);
                last.add_if(slot.max(base), !streamed);
                combine(&solver.solved(pivot.column), &mut last);
                last.end();
                continue;
            }
            last.begin(differences_at + slot, read);
            for &other in terms {
                let from = place(other);
                let moved = if from < pivots { differences_at } else { 0 };
                last.add_if(from + moved, other != pivot.column);
            }
            last.end();
        }
        for (&row, slot) in dense.accepted.iter().zip(residual_at..) {
            let given = input(row);
            first.begin(slot, given.filter(|_| !streamed));
            first.add_if(slot, streamed && given.is_some());
            for &other in solver.matrix.lt(row) {
                let from = place(other);
                first.add_if(from, from < pivots);
            }
            first.end();
        }
        steps.push(Step::Sums(first.finish()));

        if uses_hdpc {
            let slots = places[..(k_prime + s) as usize].to_vec();
            steps.push(Step::Scan { to: hdpc_at, rows: h, pairs: solver.pairs.clone(), slots });
            let to = inverse.free.iter().map(|&index| solved(index)).collect();
            steps.push(free_columns(inverse, to, (residual_at..tables_at).collect()));
        }

        let mut combinations = SumsBuilder::new(Target::Slots, rank as usize).above(base);
        tables.fill(&mut combinations);
        for (pivot, row) in dense.rows() {
            combinations.begin(solved(pivot), None);
            combine(row, &mut combinations);
            combinations.end();
        }
        steps.push(Step::Sums(combinations.finish()));
        steps.push(Step::Sums(last.finish()));
        let program = Program::new(slots, inputs, 0, steps);
        Self { parameters, program, places: places.into() }
    }
}
