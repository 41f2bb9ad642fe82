//! Tiles: how a symbol is cut into columns, and how a plan runs over all of them.

use std::sync::Arc;

use super::emission::Emission;
use super::{MEDIUM, Plan, SHORT};
use crate::symbol::{Inputs, Kernel, Line, prefetch, zeroed};

/// The intermediate symbols of a block: tiles of L slots each.
#[derive(Clone)]
pub(crate) struct Intermediate {
    tiles: Vec<Tile>,
    lines: Vec<Line>,
    /// By column: its slot.
    places: Arc<[u16]>,
}

/// A part of every symbol, `lines` lines of 64 octets wide.
///
/// Either all of it is `pieces[0]`, or it is one line with up to two pieces of a symbol side by side,
/// padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) pieces: [Piece; 2],
    pub(super) lines: usize,
}

/// Octets `at..at + width` of a symbol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: usize,
    pub(super) width: usize,
}

impl Tile {
    pub(super) fn is_whole(&self) -> bool {
        self.pieces[0].width == 64 * self.lines
    }

    /// Each piece with its place in the line.
    pub(super) fn pieces(&self) -> [(usize, Piece); 2] {
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
    let places = Arc::clone(&plan.places);
    let mut kept = Intermediate { tiles: Vec::new(), lines: Vec::new(), places };
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
        let result = &slab[..columns * tile.lines];
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
pub(super) const AHEAD: usize = 16;

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
    /// By column: where an [`Emission`] finds it.
    pub(crate) fn places(&self) -> &[u16] {
        &self.places
    }

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
            let slab = &self.lines[start..start + self.places.len() * tile.lines];
            start += slab.len();
            emit.run(kernel, slab, tile, output, symbol_size, &mut staged);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
