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
use crate::symbol::{Inputs, Kernel, Line, Program, Step, SumsBuilder, Target, octets_mut, zeroed};
use crate::tuple::Tuple;

/// A program that computes the intermediate symbols of a block in slots `0..L`.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub parameters: BlockParameters,
    program: Program,
}

/// From this K' on a plan reads each source symbol once only.
const STREAMED: u32 = 3_000;

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
        // A long block's sources are far away: they are read once, in order, into the slots of their
        // pivots, and the second pass gives differences to the first, in slots of their own.
        let streamed = k_prime >= STREAMED;
        let differences_at = if streamed { hdpc_at + h } else { 0 };
        let tables_at = hdpc_at + h + if streamed { l } else { 0 };
        let uses_hdpc = !inverse.free.is_empty();
        let mut steps = Vec::new();

        let mut first = SumsBuilder::new(Target::Slots, l as usize);
        // A pivot runs after the pivots it sums.
        let mut levels = vec![0u32; l as usize];
        let mut depth = 0;
        let mut load = vec![u32::MAX; if streamed { inputs as usize } else { 0 }];
        if uses_hdpc || streamed {
            peeling.inactive.iter().for_each(|&column| first.end(0, column, None));
        }
        // Starts a sum of the first pass with the row's input, and gives what `end` shall add.
        let mut start = |first: &mut SumsBuilder, row: u32, to: u32| {
            let given = input(row);
            match given {
                Some(given) if streamed => {
                    load[given as usize] = to;
                    first.add(to);
                    None
                }
                given => given,
            }
        };
        for &(row, column) in &peeling.pivots {
            let mut level = 0;
            let given = start(&mut first, row, column);
            for &other in solver.matrix.row(row) {
                if other != column && peeling.inactive_index(other).is_none() {
                    first.add(other);
                    level = level.max(levels[other as usize] + 1);
                }
            }
            levels[column as usize] = level;
            depth = depth.max(level);
            first.end(level, column, given);
        }
        for (&row, slot) in dense.accepted.iter().zip(residual_at..) {
            let given = start(&mut first, row, slot);
            for &other in solver.matrix.row(row) {
                if peeling.inactive_index(other).is_none() {
                    first.add(other);
                }
            }
            first.end(depth + 1, slot, given);
        }
        let first_at = steps.len();
        steps.push(Step::Sums(first.finish()));

        let base = if streamed { residual_at } else { 0 };
        let solved = |index: u32| differences_at + peeling.inactive[index as usize];
        if uses_hdpc {
            steps.push(Step::Scan { to: hdpc_at, rows: h, pairs: solver.pairs.clone() });
            let to = inverse.free.iter().map(|&index| solved(index)).collect();
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
        terms.extend(inverse.free.iter().map(|&index| solved(index)));
        let tables = Tables::new(&terms, rank as usize, base, tables_at);
        let mut last = SumsBuilder::new(Target::Slots, l as usize).above(base);
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
            last.end(Tables::LEVELS, solved(pivot), None);
        }
        for &(row, column) in &peeling.pivots {
            for &other in solver.matrix.row(row) {
                if other != column {
                    last.add(differences_at + other);
                }
            }
            let given = if streamed { None } else { input(row) };
            let level = Tables::LEVELS + 1 + levels[column as usize];
            last.end(level, differences_at + column, given);
        }
        steps.push(Step::Sums(last.finish()));
        if streamed {
            steps.push(Step::Fold { to: 0, from: differences_at, count: l });
            // Symbols that told nothing new go to a slot that nobody reads.
            load.iter_mut().filter(|to| **to == u32::MAX).for_each(|to| *to = tables.end());
            steps.insert(first_at, Step::Load { slots: load });
        }
        let program = Program::new(tables.end() + 1, inputs, 0, steps);
        Self { parameters, program }
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
                Step::Load { slots } => {
                    loads += slots.len();
                    stores += slots.len();
                }
                Step::Fold { count, .. } => {
                    loads += 2 * *count as usize;
                    stores += *count as usize;
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
    /// Chooses, of the group sizes whose slots can be numbered, the one that needs the fewest additions for `sums` random subsets.
    fn new(terms: &'a [u32], sums: usize, base: u32, at: u32) -> Self {
        let tables = |bits: usize| Self { terms, bits, at };
        // Slots are numbered from `base` in 16 bits.
        let fits = |bits: &usize| *bits == 1 || tables(*bits).end() - base <= 1 << 16;
        let cost = |&bits: &usize| {
            let subsets = 1usize << bits;
            terms.len().div_ceil(bits) * (subsets - 1 - bits + sums * (subsets - 1) / subsets)
        };
        tables((1..=7).filter(fits).min_by_key(cost).unwrap_or(1))
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

    /// Levels of sums that [`fill`](Self::fill) takes: a sum of `n` terms needs one of `n - 1`.
    const LEVELS: u32 = 8;

    fn fill(&self, sums: &mut SumsBuilder) {
        for (group, terms) in self.terms.chunks(self.bits).enumerate() {
            for subset in 3..1usize << terms.len() {
                if !subset.is_power_of_two() {
                    let top = 1 << subset.ilog2();
                    sums.add(self.slot(group, top));
                    sums.add(self.slot(group, subset - top));
                    sums.end(subset.count_ones(), self.slot(group, subset), None);
                }
            }
        }
    }

    /// Adds the table entries for the subset of terms where `bit` is set.
    fn sum(&self, bit: impl Fn(usize) -> bool, sums: &mut SumsBuilder) {
        for (group, terms) in self.terms.chunks(self.bits).enumerate() {
            let first = group * self.bits;
            let subset = (0..terms.len()).fold(0, |set, i| set | usize::from(bit(first + i)) << i);
            if subset != 0 {
                sums.add(self.slot(group, subset));
            }
        }
    }
}

/// Encoding symbols to write from the slots of a [`Plan`]: programs for `ROWS` output rows each.
pub(crate) struct Emission {
    programs: Vec<Program>,
}

impl Emission {
    /// Rows of one program.
    const ROWS: usize = 1 << 15;
    /// Rows that are written in any order: few enough that their pages stay at hand.
    const NEAR: usize = 256;

    /// Symbol `isi` goes to output row `row` for each `(row, isi)`; the rows ascend.
    pub(crate) fn new(
        parameters: &BlockParameters,
        symbols: impl ExactSizeIterator<Item = (usize, u32)>,
    ) -> Self {
        let mut programs = Vec::new();
        let mut symbols = symbols.peekable();
        while let Some(&(first, _)) = symbols.peek() {
            let mut program = SumsBuilder::new(Target::Outputs, symbols.len().min(Self::ROWS));
            let (chunk, mut rows) = (first / Self::ROWS, 0);
            // Chunks without symbols become empty programs.
            while programs.len() < chunk {
                programs.push(Program::new(0, 0, 0, Vec::new()));
            }
            while let Some((row, isi)) = symbols.next_if(|&(row, _)| row / Self::ROWS == chunk) {
                let row = row % Self::ROWS;
                Tuple::new(parameters, isi).columns(parameters, |column| program.add(column));
                program.end((row / Self::NEAR) as u32, row as u32, None);
                rows = row as u32 + 1;
            }
            let steps = vec![Step::Sums(program.finish())];
            programs.push(Program::new(parameters.l, 0, rows, steps));
        }
        Self { programs }
    }

    /// Runs on one tile; a tile narrower than its lines goes through `staged`.
    fn run(
        &self,
        kernel: Kernel,
        slab: &[Line],
        tile: Tile,
        output: &mut [u8],
        symbol_size: usize,
        staged: &mut Vec<Line>,
    ) {
        let width = 64 * tile.lines;
        let outputs = output.chunks_mut((Self::ROWS * symbol_size).max(1));
        for (program, output) in self.programs.iter().zip(outputs) {
            if tile.width == width {
                kernel.emit(program, slab, tile.lines, tile.at, output, symbol_size);
                continue;
            }
            staged.resize(program.outputs() * tile.lines, Line([0; 64]));
            let staged = octets_mut(staged);
            kernel.emit(program, slab, tile.lines, 0, staged, width);
            for row in program.targets() {
                let to = &mut output[row * symbol_size + tile.at..][..tile.width];
                to.copy_from_slice(&staged[row * width..][..tile.width]);
            }
        }
    }
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

/// Cuts a symbol: wide tiles amortise the reading of the program, narrow ones keep more columns in
/// the cache.
fn tiles(columns: usize, symbol_size: usize) -> impl Iterator<Item = Tile> {
    let widest = match columns {
        0..=3_000 => 4,
        3_001..=20_000 => 2,
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
    emit: Option<&Emission>,
    output: &mut [u8],
    keep: bool,
) -> Option<Intermediate> {
    let (slots, columns) = (plan.program.slots(), plan.parameters.l as usize);
    let symbol_size = inputs.length();
    let all: Vec<Tile> = tiles(columns, symbol_size).collect();
    let mut slab = zeroed(slots * all.iter().map(|tile| tile.lines).max()?);
    let mut kept = Intermediate { tiles: Vec::new(), lines: Vec::new(), columns };
    if keep {
        kept.lines.reserve_exact(all.iter().map(|tile| tile.lines).sum::<usize>() * columns);
    }
    let mut staged = Vec::new();
    for tile in all {
        if tile.width == 64 * tile.lines {
            kernel.run(&plan.program, &mut slab, tile.lines, inputs, tile.at, &mut [], 0);
        } else {
            let lines = stage(inputs, tile);
            if let Some(rows) = Inputs::of_lines(&lines) {
                kernel.run(&plan.program, &mut slab, 1, &rows, 0, &mut [], 0);
            }
        }
        if let Some(emit) = emit {
            emit.run(kernel, &slab, tile, output, symbol_size, &mut staged);
        }
        if keep {
            kept.tiles.push(tile);
            kept.lines.extend_from_slice(&slab[..columns * tile.lines]);
        }
    }
    keep.then_some(kept)
}

/// The end of every symbol, less than a line, padded with zeros.
fn stage(inputs: &Inputs<'_>, tile: Tile) -> Vec<Line> {
    let mut staged = zeroed(inputs.rows().len());
    for (line, row) in staged.iter_mut().zip(inputs.rows()) {
        line.0[..tile.width].copy_from_slice(&row[tile.at..tile.at + tile.width]);
    }
    staged
}

impl Intermediate {
    /// Runs an emission on every tile; output rows are `symbol_size` octets apart.
    pub(crate) fn emit(
        &self,
        kernel: Kernel,
        emit: &Emission,
        output: &mut [u8],
        symbol_size: usize,
    ) {
        let (mut start, mut staged) = (0, Vec::new());
        for &tile in &self.tiles {
            let slab = &self.lines[start..start + self.columns * tile.lines];
            start += slab.len();
            emit.run(kernel, slab, tile, output, symbol_size, &mut staged);
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
        for columns in [100, 5_000, 50_000] {
            for size in [1, 63, 64, 65, 256, 300, 1280, 65_535] {
                let mut next = 0;
                for tile in tiles(columns, size) {
                    assert_eq!(tile.at, next);
                    assert!(tile.width <= 64 * tile.lines);
                    next += tile.width;
                }
                assert_eq!(next, size);
            }
        }
    }
}
