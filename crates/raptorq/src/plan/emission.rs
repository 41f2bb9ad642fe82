//! Emissions: which encoding symbols to write from the intermediate ones.

use super::tile::{AHEAD, Piece, Tile};
use crate::parameters::BlockParameters;
use crate::symbol::{
    Kernel, Line, Program, Step, SumsBuilder, Target, counting_sort, octets_mut, prefetch,
};
use crate::tuple::Tuple;

/// Encoding symbols to write from the slots of a [`Plan`](super::Plan): programs for `ROWS` output
/// rows each.
pub(crate) struct Emission {
    /// Each with the rows it writes, ascending.
    programs: Vec<(Program, Vec<u16>)>,
}

impl Emission {
    /// Rows of one program.
    const ROWS: usize = 1 << 15;
    /// Rows that are written in any order: few enough that their pages stay at hand.
    const NEAR: usize = 256;
    /// More columns than a symbol can have.
    const LENGTHS: usize = 64;

    /// Symbol `isi` goes to output row `row` for each `(row, isi)`; the rows ascend. Column `c` is
    /// slot `places[c]`.
    pub(crate) fn new(
        parameters: &BlockParameters,
        places: &[u16],
        symbols: impl ExactSizeIterator<Item = (usize, u32)>,
    ) -> Self {
        let mut programs = Vec::new();
        let mut symbols = symbols.peekable();
        while let Some(&(first, _)) = symbols.peek() {
            let chunk = first / Self::ROWS;
            // Chunks without symbols become empty programs.
            while programs.len() < chunk {
                programs.push((Program::new(0, 0, 0, Vec::new()), Vec::new()));
            }
            let room = symbols.len().min(Self::ROWS);
            let (mut rows, mut tuples) = (Vec::with_capacity(room), Vec::with_capacity(room));
            while let Some((row, isi)) = symbols.next_if(|&(row, _)| row / Self::ROWS == chunk) {
                let row = (row % Self::ROWS) as u16;
                rows.push(row);
                tuples.push((row, Tuple::new(parameters, isi)));
            }
            programs.push((Self::program(parameters, places, &tuples), rows));
        }
        Self { programs }
    }

    /// Near rows together, and among them those of one length.
    fn program(parameters: &BlockParameters, places: &[u16], tuples: &[(u16, Tuple)]) -> Program {
        let order =
            counting_sort(tuples, Self::LENGTHS, |(_, tuple)| (tuple.d + tuple.d1) as usize);
        let outputs = tuples.last().map_or(0, |&(row, _)| usize::from(row) + 1);
        let order = counting_sort(&order, outputs.div_ceil(Self::NEAR), |&(row, _)| {
            usize::from(row) / Self::NEAR
        });
        let mut sums = SumsBuilder::new(Target::Outputs, tuples.len());
        for (row, tuple) in order {
            sums.begin(u32::from(row), None);
            tuple.columns(parameters, |column| sums.add(u32::from(places[column as usize])));
            sums.end();
        }
        Program::new(parameters.l, 0, outputs as u32, vec![Step::Sums(sums.finish())])
    }

    /// Runs on one tile; a tile that is not whole goes through `staged`.
    pub(super) fn run(
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
