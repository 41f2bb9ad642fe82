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
use crate::symbol::{
    Inputs, Kernel, Line, Program, Step, SumsBuilder, Target, octets_mut, prefetch, word, zeroed,
};
use crate::tuple::Tuple;

/// A program that computes the intermediate symbols of a block.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub parameters: BlockParameters,
    program: Program,
    /// The slot of intermediate symbol 0; the others follow.
    result: usize,
}

/// Where a column's value of the first pass is.
#[derive(Clone, Copy)]
struct Place {
    slot: u32,
    /// The level of sums from which on it is there; 0 while it is no pivot.
    after: u32,
}

/// Up to so many columns, tiles of 256 octets and the sources stay in the second cache.
const SHORT: usize = 3_000;

/// Up to so many, tiles of 128 octets nearly stay there, and leave room for sources asked for ahead.
const MEDIUM: usize = 20_000;

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
        // A long block's sources are far away: they are read once, in order, to slots of their own,
        // which then serve their pivots, and the second pass gives differences to the first.
        let streamed = l as usize > SHORT;
        let mut places: Vec<Place> = (0..l).map(|slot| Place { slot, after: 0 }).collect();
        let mut residual_at = l;
        if streamed {
            let mut next = inputs + 1;
            places.fill(Place { slot: inputs, after: 0 });
            for &(row, column) in &peeling.pivots {
                places[column as usize].slot = input(row).unwrap_or_else(|| {
                    next += 1;
                    next - 1
                });
            }
            residual_at = next;
        }
        let hdpc_at = residual_at + rank;
        let differences_at = if streamed { hdpc_at + h } else { 0 };
        let tables_at = hdpc_at + h + if streamed { l } else { 0 };
        let uses_hdpc = !inverse.free.is_empty();
        let mut steps = Vec::new();

        let mut first = SumsBuilder::new(Target::Slots, l as usize);
        let mut depth = 0;
        if streamed {
            steps.push(Step::Load);
            // All inactive columns are this one zero in the first pass.
            first.end(0, inputs, None);
        } else if uses_hdpc {
            peeling.inactive.iter().for_each(|&column| first.end(0, column, None));
        }
        // Starts a sum with the row's input; what is left for `end` to add.
        let start = |first: &mut SumsBuilder, row: u32| {
            let given = input(row);
            given.filter(|_| streamed).into_iter().for_each(|slot| first.add(slot));
            given.filter(|_| !streamed)
        };
        for &(row, column) in &peeling.pivots {
            let mut level = 0;
            let to = places[column as usize].slot;
            let given = start(&mut first, row);
            // The pivot itself has no level yet.
            for &other in solver.matrix.lt(row) {
                let Place { slot, after } = places[other as usize];
                first.add_if(slot, after != 0);
                level = level.max(after);
            }
            places[column as usize].after = level + 1;
            depth = depth.max(level);
            if first.is_only(to) {
                first.cancel();
            } else {
                first.end(level, to, given);
            }
        }
        for (&row, slot) in dense.accepted.iter().zip(residual_at..) {
            let given = start(&mut first, row);
            for &other in solver.matrix.lt(row) {
                let Place { slot, after } = places[other as usize];
                first.add_if(slot, after != 0);
            }
            first.end(depth + 1, slot, given);
        }
        steps.push(Step::Sums(first.finish()));

        let base = if streamed { residual_at } else { 0 };
        let solved = |index: u32| differences_at + peeling.inactive[index as usize];
        if uses_hdpc {
            let scanned = &places[..(k_prime + s) as usize];
            let slots = scanned.iter().map(|place| word(place.slot)).collect();
            steps.push(Step::Scan { to: hdpc_at, rows: h, pairs: solver.pairs.clone(), slots });
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
        let mut last = SumsBuilder::new(Target::Slots, l as usize)
            .above(base)
            .asking_ahead(streamed && l as usize <= MEDIUM);
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
                last.add_if(differences_at + other, other != column);
            }
            let given = if streamed { None } else { input(row) };
            let level = Tables::LEVELS + places[column as usize].after;
            last.end(level, differences_at + column, given);
        }
        steps.push(Step::Sums(last.finish()));
        if streamed {
            let from = places.iter().map(|place| word(place.slot)).collect();
            steps.push(Step::Fold { to: differences_at, from });
        }
        let program = Program::new(tables.end(), inputs, 0, steps);
        Self { parameters, program, result: differences_at as usize }
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
                Step::Load => {
                    loads += self.program.inputs();
                    stores += self.program.inputs();
                }
                Step::Fold { from, .. } => {
                    loads += 2 * from.len();
                    stores += from.len();
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
    /// Each with the rows it writes, ascending.
    programs: Vec<(Program, Vec<u16>)>,
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
            let (chunk, mut rows) =
                (first / Self::ROWS, Vec::with_capacity(symbols.len().min(Self::ROWS)));
            // Chunks without symbols become empty programs.
            while programs.len() < chunk {
                programs.push((Program::new(0, 0, 0, Vec::new()), Vec::new()));
            }
            while let Some((row, isi)) = symbols.next_if(|&(row, _)| row / Self::ROWS == chunk) {
                let row = row % Self::ROWS;
                Tuple::new(parameters, isi).columns(parameters, |column| program.add(column));
                program.end((row / Self::NEAR) as u32, row as u32, None);
                rows.push(row as u16);
            }
            let steps = vec![Step::Sums(program.finish())];
            let outputs = rows.last().map_or(0, |&row| u32::from(row) + 1);
            programs.push((Program::new(parameters.l, 0, outputs, steps), rows));
        }
        Self { programs }
    }

    /// Runs on one tile; a tile that is not whole goes through `staged`.
    fn run(
        &self,
        kernel: Kernel,
        slab: &[Line],
        tile: Tile,
        output: &mut [u8],
        symbol_size: usize,
        staged: &mut Vec<Line>,
    ) {
        let outputs = output.chunks_mut((Self::ROWS * symbol_size).max(1));
        for ((program, rows), output) in self.programs.iter().zip(outputs) {
            if tile.is_whole() {
                let at = tile.pieces[0].at;
                kernel.emit(program, slab, tile.lines, at, output, symbol_size);
                continue;
            }
            staged.resize(program.outputs(), Line([0; 64]));
            kernel.emit(program, slab, 1, 0, octets_mut(staged), 64);
            for &row in rows {
                let row = usize::from(row);
                for (place, Piece { at, width }) in tile.pieces() {
                    if let Some(next) = output.get((row + AHEAD) * symbol_size + at..) {
                        prefetch(next);
                    }
                    let to = &mut output[row * symbol_size + at..][..width];
                    to.copy_from_slice(&staged[row].0[place..place + width]);
                }
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

/// A part of every symbol, `lines` lines of 64 octets wide.
///
/// Either all of it is `pieces[0]`, or it is one line with up to two pieces of a symbol side by side,
/// padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tile {
    pieces: [Piece; 2],
    lines: usize,
}

/// Octets `at..at + width` of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Piece {
    at: usize,
    width: usize,
}

impl Tile {
    fn is_whole(&self) -> bool {
        self.pieces[0].width == 64 * self.lines
    }

    /// Each piece with its place in the line.
    fn pieces(&self) -> [(usize, Piece); 2] {
        [(0, self.pieces[0]), (self.pieces[0].width, self.pieces[1])]
    }
}

/// Cuts a symbol: wide tiles amortise the reading of the program, narrow ones keep more columns in
/// the cache.
///
/// Octets `head..` begin a cache line, and whole tiles are cut there: one that straddles lines costs
/// two of them. What is left over at both ends shares a tile where it can.
fn tiles(columns: usize, symbol_size: usize, head: usize) -> Vec<Tile> {
    let widest = match columns {
        _ if columns <= SHORT => 4,
        _ if columns <= MEDIUM => 2,
        _ => 1,
    };
    let head = head.min(symbol_size);
    let (mut tiles, mut at) = (Vec::new(), head);
    while symbol_size - at >= 64 {
        let lines = [4, 2, 1].into_iter().find(|&n| n <= widest && 64 * n <= symbol_size - at);
        let lines = lines.unwrap_or(1);
        tiles.push(Tile { pieces: [Piece { at, width: 64 * lines }, Piece::default()], lines });
        at += 64 * lines;
    }
    let mut ends = [Piece { at: 0, width: head }, Piece { at, width: symbol_size - at }];
    if head + ends[1].width > 64 {
        tiles.push(Tile { pieces: [ends[0], Piece::default()], lines: 1 });
        ends[0].width = 0;
    }
    if ends[0].width == 0 {
        ends.swap(0, 1);
    }
    if ends[0].width > 0 {
        tiles.push(Tile { pieces: ends, lines: 1 });
    }
    tiles
}

/// Octets until the next cache line.
pub(crate) fn until_line(octets: &[u8]) -> usize {
    octets.as_ptr().addr().wrapping_neg() % 64
}

/// Runs `plan`, then `emit` on its result, tile by tile. The intermediate symbols are returned if
/// `keep` asks for them and otherwise exist for one tile at a time. `head` octets into a symbol a cache
/// line begins.
pub(crate) fn execute(
    kernel: Kernel,
    plan: &Plan,
    inputs: &Inputs<'_>,
    head: usize,
    emit: Option<&Emission>,
    output: &mut [u8],
    keep: bool,
) -> Option<Intermediate> {
    let (slots, columns) = (plan.program.slots(), plan.parameters.l as usize);
    let symbol_size = inputs.length();
    // Rows that are no multiple of a line apart have no common lines, and those of a short block are
    // near enough for it not to matter.
    let lined = symbol_size.is_multiple_of(64) && columns > SHORT;
    let head = if lined { head } else { 0 };
    let all = tiles(columns, symbol_size, head);
    let mut slab = zeroed(slots * all.iter().map(|tile| tile.lines).max()?);
    let mut kept = Intermediate { tiles: Vec::new(), lines: Vec::new(), columns };
    if keep {
        kept.lines.reserve_exact(all.iter().map(|tile| tile.lines).sum::<usize>() * columns);
    }
    let mut staged = Vec::new();
    for (i, &tile) in all.iter().enumerate() {
        if tile.is_whole() {
            let at = tile.pieces[0].at;
            let next = all.get(i + 1).map(|next| next.pieces[0].at);
            kernel.run(&plan.program, &mut slab, tile.lines, inputs, (at, next), &mut [], 0);
        } else {
            let lines = stage(inputs, tile);
            if let Some(rows) = Inputs::of_lines(&lines) {
                kernel.run(&plan.program, &mut slab, 1, &rows, (0, None), &mut [], 0);
            }
        }
        let result = &slab[plan.result * tile.lines..][..columns * tile.lines];
        if let Some(emit) = emit {
            emit.run(kernel, result, tile, output, symbol_size, &mut staged);
        }
        if keep {
            kept.tiles.push(tile);
            kept.lines.extend_from_slice(result);
        }
    }
    keep.then_some(kept)
}

/// Rows ahead that are asked for where they are copied one by one.
const AHEAD: usize = 16;

/// A tile that is not whole, of every symbol.
fn stage(inputs: &Inputs<'_>, tile: Tile) -> Vec<Line> {
    let rows = inputs.rows();
    let mut staged = zeroed(rows.len());
    for (i, (line, row)) in staged.iter_mut().zip(rows).enumerate() {
        for (place, Piece { at, width }) in tile.pieces() {
            if let Some(next) = rows.get(i + AHEAD) {
                prefetch(&next[at..]);
            }
            line.0[place..place + width].copy_from_slice(&row[at..at + width]);
        }
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
    fn tiles_cover_a_symbol_of_any_size_and_start() {
        for columns in [100, 5_000, 50_000] {
            for size in [1, 63, 64, 65, 127, 256, 300, 1280, 65_535] {
                for head in [0, 1, 16, 48, 63] {
                    let mut covered = vec![0u8; size];
                    for tile in tiles(columns, size, head) {
                        let used: usize = tile.pieces.iter().map(|piece| piece.width).sum();
                        assert!(used > 0 && used <= 64 * tile.lines);
                        assert!(tile.is_whole() || tile.lines == 1);
                        assert!(!tile.is_whole() || tile.pieces[0].at % 64 == head.min(size) % 64);
                        for (_, Piece { at, width }) in tile.pieces() {
                            covered[at..at + width].iter_mut().for_each(|count| *count += 1);
                        }
                    }
                    assert!(covered.iter().all(|&count| count == 1), "{size} from {head}");
                }
            }
        }
    }
}
