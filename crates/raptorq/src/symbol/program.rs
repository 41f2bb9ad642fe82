//! Programs: sums of slots, checked once so that the kernels need not check again.

use super::sums::{Sums, Target};

/// 64 octets on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

/// `lines` zeroed lines.
pub(crate) fn zeroed(lines: usize) -> Vec<Line> {
    vec![Line([0; 64]); lines]
}

/// The octets of some lines, to write.
pub(crate) fn octets_mut(lines: &mut [Line]) -> &mut [u8] {
    // SAFETY: `Line` is `repr(C)` over 64 octets with alignment 64, so it has no padding and every
    // octet pattern is valid; the slice covers exactly the exclusively borrowed lines.
    unsafe { std::slice::from_raw_parts_mut(lines.as_mut_ptr().cast(), 64 * lines.len()) }
}

/// Rows of equal length that a program reads.
///
/// # Invariants
/// Every row is `length` octets long.
pub(crate) struct Inputs<'a> {
    rows: Vec<&'a [u8]>,
    length: usize,
}

impl<'a> Inputs<'a> {
    /// Takes the rows; `None` unless each has `length` octets.
    pub(crate) fn new(rows: Vec<&'a [u8]>, length: usize) -> Option<Self> {
        rows.iter().all(|row| row.len() == length).then_some(Self { rows, length })
    }

    /// Rows of one line each; always some.
    pub(crate) fn of_lines(all: &'a [Line]) -> Option<Self> {
        Self::new(all.iter().map(|line| line.0.as_slice()).collect(), 64)
    }

    pub(super) const fn none() -> Self {
        Self { rows: Vec::new(), length: 0 }
    }

    pub(crate) fn rows(&self) -> &[&'a [u8]] {
        &self.rows
    }

    pub(crate) const fn length(&self) -> usize {
        self.length
    }
}

/// One part of a program.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Plain sums.
    Sums(Sums),
    /// `to[i] = sum over j of factors[i * from.len() + j] * from[j]`; no slot is in both.
    Linear {
        /// Slots written.
        to: Vec<u32>,
        /// Slots read.
        from: Vec<u32>,
        /// `to.len() * from.len()` factors.
        factors: Vec<u8>,
    },
    /// Slot `to[i]` gets input `i`, for all inputs: memory is read as it lies.
    Load {
        /// Slots written.
        to: Vec<u16>,
    },
    /// The HDPC rows: `z = alpha * z + slots[c]` for each `c`; then both slots of `pairs[c]`, counted
    /// from `to`, get `z` added, or after the last, which has no pair, slot `to + i` gets
    /// `alpha^i * z` added.
    Scan {
        /// First of the `rows` slots written.
        to: u32,
        /// How many.
        rows: u32,
        /// Row pairs, each below `rows`.
        pairs: Vec<(u8, u8)>,
        /// Slots read: one more than there are pairs.
        slots: Vec<u16>,
    },
}

/// Steps over slots, inputs and outputs.
///
/// # Invariants
/// Every slot is below `slots`, every input below `inputs`, every output below `outputs`; the runs of
/// [`Sums`] use exactly its words and inputs; the lengths of the parts of a step are as documented there.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    slots: u32,
    inputs: u32,
    outputs: u32,
    steps: Vec<Step>,
}

impl Program {
    /// Checks the invariants.
    ///
    /// # Panics
    /// If one does not hold: the program was compiled wrongly.
    pub(crate) fn new(slots: u32, inputs: u32, outputs: u32, steps: Vec<Step>) -> Self {
        for step in &steps {
            match step {
                // Runs, words and inputs match by construction: `SumsBuilder` alone makes them.
                Step::Sums(Sums { target, base, below, bounds, .. }) => {
                    if let Some(distance) = below {
                        assert!(*target == Target::Slots, "below an output");
                        let lowest = bounds.lowest_to.saturating_add(*base);
                        assert!(*distance <= lowest, "below the slots");
                    }
                    let slots = slots.saturating_sub(*base);
                    let limit = if *target == Target::Slots { slots } else { outputs };
                    assert!(bounds.to <= limit, "target out of bounds");
                    assert!(bounds.input <= inputs, "input out of bounds");
                    assert!(bounds.slot <= slots, "slot out of bounds");
                }
                Step::Load { to } => {
                    assert!(to.len() == inputs as usize, "load of other inputs");
                    assert!(to.iter().all(|&slot| u32::from(slot) < slots), "load out of bounds");
                }
                Step::Linear { to, from, factors } => {
                    assert!(to.iter().chain(from).all(|&slot| slot < slots), "slot out of bounds");
                    assert!(to.len() * from.len() == factors.len(), "factors missing");
                }
                Step::Scan { to, rows, pairs, slots: from } => {
                    assert!(to.checked_add(*rows).is_some_and(|end| end <= slots), "rows");
                    assert!(from.len() == pairs.len() + 1, "scan of another length");
                    assert!(from.iter().all(|&slot| u32::from(slot) < slots), "scan from");
                    let inside = |&(a, b): &(u8, u8)| u32::from(a) < *rows && u32::from(b) < *rows;
                    assert!(pairs.iter().all(inside), "pair out of bounds");
                }
            }
        }
        Self { slots, inputs, outputs, steps }
    }

    pub(crate) const fn slots(&self) -> usize {
        self.slots as usize
    }

    pub(crate) const fn inputs(&self) -> usize {
        self.inputs as usize
    }

    pub(crate) const fn outputs(&self) -> usize {
        self.outputs as usize
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn writes_slots(&self) -> bool {
        let reads_only =
            |step: &Step| matches!(step, Step::Sums(Sums { target: Target::Outputs, .. }));
        !self.steps.iter().all(reads_only)
    }

    /// Bytes of heap that the program holds.
    pub(crate) fn bytes(&self) -> usize {
        let of = |step: &Step| match step {
            Step::Sums(sums) => sums.bytes(),
            Step::Linear { to, from, factors } => 4 * (to.len() + from.len()) + factors.len(),
            Step::Scan { pairs, slots, .. } => 2 * (pairs.len() + slots.len()),
            Step::Load { to } => 2 * to.len(),
        };
        self.steps.iter().map(of).sum()
    }
}
