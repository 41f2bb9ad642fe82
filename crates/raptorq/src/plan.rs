//! Plans: a solved elimination as a program over symbols, and its execution in column tiles.
//!
//! A plan works on one *slot* for each intermediate symbol:
//!
//! 1. every pivot column in elimination order, as if all inactive columns were zero;
//! 2. the residual rows, and the HDPC rows as one running sum over all columns;
//! 3. the inactive columns: those without a binary pivot from the HDPC rows, the others as binary
//!    combinations, eight (or so) residual rows at a time through tables of their sums (the method
//!    of four Russians);
//! 4. every pivot column again, from the original sparse rows and the true inactive columns.
//!
//! Each destination is written once a pass, however many terms it sums. The whole program runs on
//! one tile of every symbol at a time, so that the slots stay in the cache and only the sources and
//! the results travel to memory. Nothing depends on the symbol size: a plan is good for any.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::parameters::BlockParameters;
use crate::solver::{Inverse, Solver};
use crate::symbol::{Inputs, Kernel, Line, Program, Step, Sums, Target, zeroed};
use crate::tuple::Tuple;

/// A program that computes the intermediate symbols of a block in slots `0..L`.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub parameters: BlockParameters,
    program: Program,
}

/// What one pass of a plan costs, in vector operations for each source symbol.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PlanCost {
    /// Symbol reads.
    pub loads: f64,
    /// Symbol writes.
    pub stores: f64,
    /// Columns left to the dense system, in all.
    pub inactive: usize,
    /// Bytes that the plan itself holds.
    pub bytes: usize,
}

impl Plan {
    /// Compiles a solved elimination. Row `S + i` of the matrix has the value of input
    /// `input(i)`, or zero where that is `None`.
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
        let (residual_at, hdpc_at) = (l, l + rank);
        let tables_at = hdpc_at + h;
        let uses_hdpc = !inverse.free.is_empty();
        let mut steps = Vec::new();

        let mut first = Sums::new(Target::Slots, l as usize, 5 * l as usize);
        if uses_hdpc {
            let scanned = peeling.inactive.iter().filter(|&&column| column < k_prime + s);
            scanned.for_each(|&column| first.end(column, None));
        }
        for &(row, column) in &peeling.pivots {
            for &other in solver.matrix.row(row) {
                if other != column && peeling.inactive_index(other).is_none() {
                    first.add(other);
                }
            }
            first.end(column, input(row));
        }
        for (&row, slot) in dense.accepted.iter().zip(residual_at..) {
            for &other in solver.matrix.row(row) {
                if peeling.inactive_index(other).is_none() {
                    first.add(other);
                }
            }
            first.end(slot, input(row));
        }
        steps.push(Step::Sums(first));

        if uses_hdpc {
            steps.push(Step::Scan { to: hdpc_at, rows: h, pairs: solver.pairs.clone() });
            let to = inverse.free.iter().map(|&index| peeling.inactive[index as usize]).collect();
            let from = (residual_at..hdpc_at + h).collect();
            let mut factors = Vec::new();
            for f in 0..inverse.free.len() {
                let (r, h) = (rank as usize, h as usize);
                factors.extend_from_slice(&inverse.free_from_rows[f * r..(f + 1) * r]);
                factors.extend_from_slice(&inverse.free_from_hdpc[f * h..(f + 1) * h]);
            }
            steps.push(Step::Linear { to, from, factors });
        }

        // Terms of the binary combinations: the residual rows, then the free columns.
        let mut terms: Vec<u32> = (residual_at..hdpc_at).collect();
        terms.extend(inverse.free.iter().map(|&index| peeling.inactive[index as usize]));
        let tables = Tables::new(&terms, rank as usize, tables_at);
        let mut last = Sums::new(Target::Slots, l as usize, 8 * l as usize);
        tables.fill(&mut last);
        for (pivot, coefficients, combination) in dense.rows() {
            let bit = |term: usize| {
                let (words, at) = match term.checked_sub(rank as usize) {
                    None => (combination, term),
                    Some(f) => (coefficients, inverse.free[f] as usize),
                };
                words[at / 64] >> (at % 64) & 1 != 0
            };
            tables.sum(bit, &mut last);
            last.end(peeling.inactive[pivot as usize], None);
        }
        for &(row, column) in &peeling.pivots {
            for &other in solver.matrix.row(row) {
                if other != column {
                    last.add(other);
                }
            }
            last.end(column, input(row));
        }
        steps.push(Step::Sums(last));
        Self { parameters, program: Program::new(tables.end(), inputs, 0, steps) }
    }

    pub(crate) fn program(&self) -> &Program {
        &self.program
    }

    pub(crate) fn cost(&self) -> PlanCost {
        let (mut loads, mut stores, mut inactive) = (0, 0, 0);
        for step in self.program.steps() {
            match step {
                Step::Sums(sums) => {
                    loads += sums.loads();
                    stores += sums.stores();
                }
                Step::Linear { to, from, .. } => {
                    loads += to.len() * from.len();
                    stores += to.len();
                    inactive += from.len() + to.len() - self.parameters.h as usize;
                }
                Step::Scan { pairs, .. } => {
                    loads += 3 * pairs.len();
                    stores += 2 * pairs.len();
                }
            }
        }
        let each = f64::from(self.parameters.k_prime);
        PlanCost {
            loads: loads as f64 / each,
            stores: stores as f64 / each,
            inactive,
            bytes: self.program.bytes(),
        }
    }
}

/// Sums of every subset of each group of `bits` terms.
struct Tables<'a> {
    terms: &'a [u32],
    bits: usize,
    at: u32,
}

impl<'a> Tables<'a> {
    /// Chooses the group size that needs the fewest additions for `sums` random subsets.
    fn new(terms: &'a [u32], sums: usize, at: u32) -> Self {
        let cost = |&bits: &usize| {
            let subsets = 1usize << bits;
            terms.len().div_ceil(bits) * (subsets - 1 - bits + sums * (subsets - 1) / subsets)
        };
        Self { terms, bits: (1..=7).min_by_key(cost).unwrap_or(1), at }
    }

    /// Slots of a table that are not a term itself; kept dense by numbering all subsets.
    fn slot(&self, group: usize, subset: usize) -> u32 {
        if subset.is_power_of_two() {
            return self.terms[group * self.bits + subset.trailing_zeros() as usize];
        }
        self.at + ((group << self.bits) + subset) as u32
    }

    fn end(&self) -> u32 {
        if self.bits == 1 {
            return self.at;
        }
        self.at + (self.terms.len().div_ceil(self.bits) << self.bits) as u32
    }

    fn fill(&self, sums: &mut Sums) {
        for (group, terms) in self.terms.chunks(self.bits).enumerate() {
            for subset in 3..1usize << terms.len() {
                if !subset.is_power_of_two() {
                    let top = 1 << subset.ilog2();
                    sums.add(self.slot(group, top));
                    sums.add(self.slot(group, subset - top));
                    sums.end(self.slot(group, subset), None);
                }
            }
        }
    }

    /// Adds the table entries for the subset of terms where `bit` is set.
    fn sum(&self, bit: impl Fn(usize) -> bool, sums: &mut Sums) {
        for (group, terms) in self.terms.chunks(self.bits).enumerate() {
            let first = group * self.bits;
            let subset = (0..terms.len()).fold(0, |set, i| set | usize::from(bit(first + i)) << i);
            if subset != 0 {
                sums.add(self.slot(group, subset));
            }
        }
    }
}

/// A program that writes encoding symbols `isis` to outputs `0..` from the slots of a [`Plan`].
pub(crate) fn emission(
    parameters: &BlockParameters,
    isis: impl ExactSizeIterator<Item = u32>,
) -> Program {
    emission_to(parameters, isis.len() as u32, isis.enumerate().map(|(i, isi)| (i as u32, isi)))
}

/// Like [`emission`], with the output row of each symbol given.
pub(crate) fn emission_to(
    parameters: &BlockParameters,
    outputs: u32,
    symbols: impl ExactSizeIterator<Item = (u32, u32)>,
) -> Program {
    let mut sums = Sums::new(Target::Outputs, symbols.len(), 8 * symbols.len());
    for (to, isi) in symbols {
        Tuple::new(parameters, isi).columns(parameters, |column| sums.add(column));
        sums.end(to, None);
    }
    Program::new(parameters.l, 0, outputs, vec![Step::Sums(sums)])
}

/// The intermediate symbols of a block: tiles of L slots each.
#[derive(Clone)]
pub(crate) struct Intermediate {
    tiles: Vec<Tile>,
    lines: Vec<Line>,
    columns: usize,
}

/// Octets `at..at + width` of every symbol; `lines` is their storage width, 64 octets each.
#[derive(Clone, Copy)]
struct Tile {
    at: usize,
    width: usize,
    lines: usize,
}

/// Cuts a symbol: wide tiles amortise the decoding of the program, as long as all slots fit a cache.
fn tiles(slots: usize, symbol_size: usize) -> impl Iterator<Item = Tile> {
    let widest = match slots {
        0..=3_000 => 4,
        3_001..=6_000 => 2,
        _ => 1,
    };
    let mut at = 0;
    std::iter::from_fn(move || {
        let left = symbol_size - at;
        let lines = [4, 2, 1].into_iter().find(|&n| n <= widest && 64 * n <= left).unwrap_or(1);
        let tile = Tile { at, width: left.min(64 * lines), lines };
        at += tile.width;
        (left > 0).then_some(tile)
    })
}

/// Runs `plan`, then `emit` on its slots, tile by tile. The intermediate symbols are returned if
/// `keep` asks for them and otherwise exist for one tile at a time.
pub(crate) fn execute(
    kernel: Kernel,
    plan: &Plan,
    inputs: &Inputs<'_>,
    emit: Option<&Program>,
    output: &mut [u8],
    keep: bool,
) -> Option<Intermediate> {
    let (slots, columns) = (plan.program.slots(), plan.parameters.l as usize);
    let symbol_size = inputs.length();
    let mut slab: Vec<Line> = Vec::new();
    let mut kept = Intermediate { tiles: Vec::new(), lines: Vec::new(), columns };
    if keep {
        let lines: usize = tiles(slots, symbol_size).map(|tile| tile.lines).sum();
        kept.lines.reserve_exact(lines * columns);
    }
    for tile in tiles(slots, symbol_size) {
        if slab.is_empty() {
            slab = zeroed(slots * tile.lines);
        }
        if tile.width == 64 * tile.lines {
            kernel.run(&plan.program, &mut slab, tile.lines, inputs, tile.at, &mut [], 0);
            if let Some(emit) = emit {
                kernel.emit(emit, &slab, tile.lines, tile.at, output, symbol_size);
            }
        } else {
            let staged = stage(inputs, tile);
            let staged = staged.iter().map(|line| line.0.as_slice()).collect();
            // A line always has 64 octets, so the rows are never refused.
            if let Some(staged) = Inputs::new(staged, 64) {
                kernel.run(&plan.program, &mut slab, 1, &staged, 0, &mut [], 0);
            }
            if let Some(emit) = emit {
                emit_narrow(kernel, emit, &slab, tile, output, symbol_size);
            }
        }
        if keep {
            kept.tiles.push(tile);
            kept.lines.extend_from_slice(&slab[..columns * tile.lines]);
        }
    }
    keep.then_some(kept)
}

/// The end of every input that does not fill a line, padded with zeros.
fn stage(inputs: &Inputs<'_>, tile: Tile) -> Vec<Line> {
    let mut staged = zeroed(inputs.rows().len());
    for (line, row) in staged.iter_mut().zip(inputs.rows()) {
        line.0[..tile.width].copy_from_slice(&row[tile.at..tile.at + tile.width]);
    }
    staged
}

fn emit_narrow(
    kernel: Kernel,
    emit: &Program,
    slab: &[Line],
    tile: Tile,
    output: &mut [u8],
    symbol_size: usize,
) {
    let mut staged = vec![0; 64 * emit.outputs()];
    kernel.emit(emit, slab, 1, 0, &mut staged, 64);
    let Some(Step::Sums(sums)) = emit.steps().first() else { return };
    for row in sums.targets() {
        let row = row as usize;
        let to = row * symbol_size + tile.at;
        output[to..to + tile.width].copy_from_slice(&staged[64 * row..64 * row + tile.width]);
    }
}

impl Intermediate {
    /// Runs an emission on every tile; output rows are `symbol_size` octets apart.
    pub(crate) fn emit(
        &self,
        kernel: Kernel,
        emit: &Program,
        output: &mut [u8],
        symbol_size: usize,
    ) {
        let mut start = 0;
        for &tile in &self.tiles {
            let slab = &self.lines[start..start + self.columns * tile.lines];
            start += slab.len();
            if tile.width == 64 * tile.lines {
                kernel.emit(emit, slab, tile.lines, tile.at, output, symbol_size);
            } else {
                emit_narrow(kernel, emit, slab, tile, output, symbol_size);
            }
        }
    }
}

/// A plan for encoding any block of K source symbols, whatever their size.
///
/// Costs a run of the solver to make; reuse it for every block of the same K.
#[derive(Clone, Debug)]
pub struct EncodingPlan {
    pub(crate) plan: Plan,
}

impl EncodingPlan {
    /// Solves the code for `symbols` source symbols; `None` unless `1 <= symbols <= 56,403`.
    #[must_use]
    pub fn new(symbols: u32) -> Option<Self> {
        let parameters = BlockParameters::for_symbols(symbols)?;
        let mut solver = Solver::new(parameters, 0..parameters.k_prime)?;
        // The systematic indices of Table 2 are chosen so that this system is never singular.
        let inverse = solver.invert()?;
        let input = |row: u32| (row < symbols).then_some(row);
        Some(Self { plan: Plan::compile(&solver, &inverse, symbols, input) })
    }

    /// The code parameters of the block.
    #[must_use]
    pub fn parameters(&self) -> &BlockParameters {
        &self.plan.parameters
    }

    /// What one encoding costs.
    #[must_use]
    pub fn cost(&self) -> PlanCost {
        self.plan.cost()
    }
}

/// The plans of the most recently used block sizes, within a bound on their bytes.
#[derive(Debug)]
pub struct PlanCache {
    plans: VecDeque<Arc<EncodingPlan>>,
    bytes: usize,
    limit: usize,
}

impl Default for PlanCache {
    /// Room for 32 MiB: the plans of a few of the largest blocks, or of all small ones.
    fn default() -> Self {
        Self::new(32 << 20)
    }
}

impl PlanCache {
    /// A cache for up to `limit` bytes of plans; the latest plan is kept whatever its size.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { plans: VecDeque::new(), bytes: 0, limit }
    }

    /// The plan for `symbols` source symbols; `None` unless `1 <= symbols <= 56,403`.
    pub fn get(&mut self, symbols: u32) -> Option<Arc<EncodingPlan>> {
        let found = self.plans.iter().position(|plan| plan.parameters().k == symbols);
        let plan = match found.and_then(|at| self.plans.remove(at)) {
            Some(plan) => plan,
            None => {
                let plan = Arc::new(EncodingPlan::new(symbols)?);
                self.bytes += plan.cost().bytes;
                while self.bytes > self.limit {
                    let Some(oldest) = self.plans.pop_back() else { break };
                    self.bytes -= oldest.cost().bytes;
                }
                plan
            }
        };
        self.plans.push_front(Arc::clone(&plan));
        Some(plan)
    }

    /// Bytes held now.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_keeps_recent_plans_within_its_bytes() {
        let small = EncodingPlan::new(10).unwrap().cost().bytes;
        let mut cache = PlanCache::new(3 * small);
        let first = cache.get(10).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get(10).unwrap()));
        cache.get(100).unwrap();
        assert!(!Arc::ptr_eq(&first, &cache.get(10).unwrap()));
        assert!(cache.get(0).is_none() && cache.get(56_404).is_none());
    }

    #[test]
    fn tiles_cover_a_symbol_of_any_size() {
        for slots in [100, 5_000, 50_000] {
            for size in [1, 63, 64, 65, 256, 300, 1280, 65_535] {
                let mut next = 0;
                for tile in tiles(slots, size) {
                    assert_eq!(tile.at, next);
                    assert!(tile.width <= 64 * tile.lines);
                    next += tile.width;
                }
                assert_eq!(next, size);
            }
        }
    }
}
