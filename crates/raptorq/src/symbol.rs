//! Symbols: sums and multiples of rows of octets, as fast as the machine allows.
//!
//! [`Kernel`] picks the instruction set once. One generic algorithm serves all of them; a file per
//! instruction set says only how to load, store, add and multiply one vector:
//!
//! | [`Isa`] | vector | multiplication by a constant |
//! |---|---|---|
//! | `Avx512Gfni` | 64 octets | `vgf2p8affineqb`: the constant as an 8 x 8 bit matrix |
//! | `Avx2Gfni` | 32 octets | the same |
//! | `Avx2` | 32 octets | two 16-entry shuffles (low and high nibble) |
//! | `Ssse3` | 16 octets | the same |
//! | `Portable` | 8 octets | bit-sliced shifts on a `u64` |
//!
//! This module and its children hold all `unsafe` code of the crate.

#![expect(unsafe_code, reason = "vector instructions and unchecked tile access; see each SAFETY")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod generic;
mod portable;
mod program;
#[cfg(target_arch = "x86_64")]
mod ssse3;
mod sums;

pub(crate) use program::{Inputs, Line, Program, Step, octets_mut, zeroed};
pub(crate) use sums::{SumsBuilder, Target, counting_sort, word};

use crate::octet;
use generic::{Combine, Job};

/// Asks for the cache line of the first octet, if there is one.
pub(crate) fn prefetch(octets: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch never faults and SSE is part of x86-64.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(octets.as_ptr().cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = octets;
}

/// An instruction set the kernels are written for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// 64-bit integers; runs everywhere.
    Portable,
    /// 128-bit shuffles.
    Ssse3,
    /// 256-bit shuffles.
    Avx2,
    /// 256-bit Galois field instructions.
    Avx2Gfni,
    /// 512-bit Galois field instructions.
    Avx512Gfni,
}

impl Isa {
    /// All of them, slowest first.
    pub const ALL: [Self; 5] =
        [Self::Portable, Self::Ssse3, Self::Avx2, Self::Avx2Gfni, Self::Avx512Gfni];

    /// Whether this machine has it.
    #[must_use]
    pub fn is_available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Ssse3 => is_x86_feature_detected!("ssse3"),
            Self::Avx2 => is_x86_feature_detected!("avx2"),
            Self::Avx2Gfni => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("gfni"),
            Self::Avx512Gfni => {
                is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("gfni")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        matches!(self, Self::Portable)
    }
}

/// Operations on symbols with one instruction set.
///
/// # Invariants
/// The machine has the instruction set `isa`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kernel {
    isa: Isa,
}

impl Default for Kernel {
    fn default() -> Self {
        Self::detect()
    }
}

impl Kernel {
    /// The fastest this machine has.
    #[must_use]
    pub fn detect() -> Self {
        let best = Isa::ALL.into_iter().rev().find(|isa| isa.is_available());
        Self { isa: best.unwrap_or(Isa::Portable) }
    }

    /// A given instruction set, or `None` where the machine lacks it. For tests and measurements.
    #[must_use]
    pub fn with_isa(isa: Isa) -> Option<Self> {
        isa.is_available().then_some(Self { isa })
    }

    /// The instruction set in use.
    #[must_use]
    pub const fn isa(self) -> Isa {
        self.isa
    }

    /// `to += from` over the common length (RFC 6330 section 5.7.2: addition is XOR).
    pub fn add_assign(self, to: &mut [u8], from: &[u8]) {
        self.mul_add_assign(to, 1, from);
    }

    /// `to += factor * from` over the common length.
    pub fn mul_add_assign(self, to: &mut [u8], factor: u8, from: &[u8]) {
        let length = to.len().min(from.len());
        let combine =
            Combine { to: to.as_mut_ptr(), from: from.as_ptr(), length, factor, keep: true };
        // SAFETY: both slices are at least `length` long, and `&mut` excludes overlap.
        unsafe { self.combine(&combine) }
    }

    /// `to *= factor`.
    pub fn mul_assign(self, to: &mut [u8], factor: u8) {
        let (pointer, length) = (to.as_mut_ptr(), to.len());
        let combine =
            Combine { to: pointer, from: pointer.cast_const(), length, factor, keep: false };
        // SAFETY: the slice is `length` long; each vector is read before it is written, and both
        // pointers derive from the same exclusive borrow.
        unsafe { self.combine(&combine) }
    }

    /// # Safety
    /// `combine.to` is valid for writing and `combine.from` for reading `combine.length` octets, and
    /// they are either equal or disjoint.
    unsafe fn combine(self, combine: &Combine) {
        // SAFETY: pointers by the caller; instruction set by the type invariant.
        unsafe {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Gfni => avx512::combine(combine),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2Gfni => avx2::combine_gfni(combine),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => avx2::combine_shuffle(combine),
                #[cfg(target_arch = "x86_64")]
                Isa::Ssse3 => ssse3::combine(combine),
                _ => portable::combine(combine),
            }
        }
    }

    /// Runs `program` on one tile: `lines` times 64 octets of every symbol.
    ///
    /// Slot `i` of `slab` is lines `i * lines..(i + 1) * lines`; the tile is octets
    /// `at..at + 64 * lines` of each input and of each output, which are `stride` octets apart. The tile
    /// of the inputs that comes after begins at `next`.
    ///
    /// # Panics
    /// If the slab, inputs or output are too small for the program; callers size them.
    #[expect(clippy::too_many_arguments, reason = "a tile is cut from three places")]
    pub(crate) fn run(
        self,
        program: &Program,
        slab: &mut [Line],
        lines: usize,
        inputs: &Inputs<'_>,
        (at, next): (usize, Option<usize>),
        output: &mut [u8],
        stride: usize,
    ) {
        let slab = (slab.as_mut_ptr(), slab.len());
        self.launch(program, slab, lines, inputs, (at, next), output, stride);
    }

    /// Like [`run`](Self::run) for a program that only reads the slab and has no inputs.
    ///
    /// # Panics
    /// If the program writes slots, or as [`run`](Self::run).
    pub(crate) fn emit(
        self,
        program: &Program,
        slab: &[Line],
        lines: usize,
        at: usize,
        output: &mut [u8],
        stride: usize,
    ) {
        assert!(!program.writes_slots(), "only sums to outputs may run on a shared slab");
        let slab = (slab.as_ptr().cast_mut(), slab.len());
        self.launch(program, slab, lines, &Inputs::none(), (at, None), output, stride);
    }

    #[expect(clippy::too_many_arguments, reason = "a tile is cut from three places")]
    fn launch(
        self,
        program: &Program,
        (slab, slab_len): (*mut Line, usize),
        lines: usize,
        inputs: &Inputs<'_>,
        (at, next): (usize, Option<usize>),
        output: &mut [u8],
        stride: usize,
    ) {
        let width = 64 * lines;
        assert!(matches!(lines, 1 | 2 | 4), "tile of {lines} lines");
        assert!(program.slots() * lines <= slab_len, "slab too small");
        assert!(program.inputs() <= inputs.rows().len(), "too few inputs");
        assert!(program.inputs() == 0 || at + width <= inputs.length(), "input too short");
        if let Some(last) = program.outputs().checked_sub(1) {
            assert!(at + width <= stride, "tile beyond the symbol");
            assert!(last * stride + at + width <= output.len(), "output too short");
        }
        let job = Job {
            program,
            slab: slab.cast(),
            lines,
            inputs: inputs.rows().as_ptr(),
            at,
            next,
            output: output.as_mut_ptr(),
            stride,
        };
        // SAFETY: the assertions above are the conditions of `Job`, the program's own indices are
        // in bounds by its invariants, a slab given as shared is only read (checked by `emit`), and
        // the machine has the instruction set by the type invariant.
        unsafe {
            match self.isa {
                #[cfg(target_arch = "x86_64")]
                Isa::Avx512Gfni => avx512::run(&job),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2Gfni => avx2::run_gfni(&job),
                #[cfg(target_arch = "x86_64")]
                Isa::Avx2 => avx2::run_shuffle(&job),
                #[cfg(target_arch = "x86_64")]
                Isa::Ssse3 => ssse3::run(&job),
                _ => portable::run(&job),
            }
        }
    }
}

/// For each factor, the products of the 16 low nibbles, then of the 16 high nibbles.
#[cfg(target_arch = "x86_64")]
static NIBBLES: [[u8; 32]; 256] = {
    let mut table = [[0; 32]; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            table[factor][nibble] = octet::mul(factor as u8, nibble as u8);
            table[factor][16 + nibble] = octet::mul(factor as u8, (nibble as u8) << 4);
            nibble += 1;
        }
        factor += 1;
    }
    table
};

/// For each factor, multiplication as the 8 x 8 bit matrix of `gf2p8affineqb`: octet `7 - i` of the
/// word has a one at bit `j` where bit `i` of `factor * 2^j` is set.
#[cfg(target_arch = "x86_64")]
static MATRICES: [u64; 256] = {
    let mut table = [0; 256];
    let mut factor = 0;
    while factor < 256 {
        let mut j = 0;
        while j < 8 {
            let product = octet::mul(factor as u8, 1 << j);
            let mut i = 0;
            while i < 8 {
                if product >> i & 1 != 0 {
                    table[factor] |= 1 << (8 * (7 - i) + j);
                }
                i += 1;
            }
            j += 1;
        }
        factor += 1;
    }
    table
};

#[cfg(test)]
mod tests;
