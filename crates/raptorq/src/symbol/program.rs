//! Programs: sums of slots, checked once so that the kernels need not check again.

/// 64 octets on a cache line of their own.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

/// `lines` zeroed lines.
pub(crate) fn zeroed(lines: usize) -> Vec<Line> {
    vec![Line([0; 64]); lines]
}

/// No input is added.
pub(super) const NO_INPUT: u32 = u32::MAX;

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

/// Where a group of sums goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Slots of the slab.
    Slots,
    /// Rows of the output.
    Outputs,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Sum {
    pub(super) to: u32,
    pub(super) input: u32,
    /// End of its slots; they start where those of the sum before end.
    pub(super) end: u32,
}

/// Sums executed in order: `to = input + slot + slot + ..`.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(super) target: Target,
    pub(super) sums: Vec<Sum>,
    pub(super) slots: Vec<u32>,
}

impl Sums {
    pub(crate) fn new(target: Target, sums: usize, slots: usize) -> Self {
        Self { target, sums: Vec::with_capacity(sums), slots: Vec::with_capacity(slots) }
    }

    /// One more slot for the sum that the next [`end`](Self::end) completes.
    pub(crate) fn add(&mut self, slot: u32) {
        self.slots.push(slot);
    }

    /// Completes a sum.
    pub(crate) fn end(&mut self, to: u32, input: Option<u32>) {
        let end = self.slots.len() as u32;
        self.sums.push(Sum { to, input: input.unwrap_or(NO_INPUT), end });
    }

    /// Where each sum goes, in order.
    pub(crate) fn targets(&self) -> impl Iterator<Item = u32> {
        self.sums.iter().map(|sum| sum.to)
    }

    /// Vector loads that one pass costs.
    pub(crate) fn loads(&self) -> usize {
        self.slots.len() + self.sums.iter().filter(|sum| sum.input != NO_INPUT).count()
    }

    /// Vector stores that one pass costs.
    pub(crate) fn stores(&self) -> usize {
        self.sums.len()
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
    /// The HDPC rows: `z = alpha * z + slot[c]` over slots `0..=pairs.len()`; after slot `c` both
    /// slots of `pairs[c]`, counted from `to`, get `z`; after the last, slot `to + i` gets
    /// `alpha^i * z`.
    Scan {
        /// First of the `rows` slots written.
        to: u32,
        /// How many.
        rows: u32,
        /// Row pairs, each below `rows`.
        pairs: Vec<(u8, u8)>,
    },
}

/// Steps over slots, inputs and outputs.
///
/// # Invariants
/// Every slot is below `slots`, every input below `inputs`, every output below `outputs`; the ends
/// of [`Sums`] ascend and the last is the number of its slots; the lengths of the parts of a step
/// are as documented there.
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
                Step::Sums(Sums { target, sums, slots: from }) => {
                    let limit = if *target == Target::Slots { slots } else { outputs };
                    let mut start = 0;
                    for sum in sums {
                        assert!(sum.to < limit && sum.end >= start, "sum out of bounds");
                        assert!(sum.input == NO_INPUT || sum.input < inputs, "input out of bounds");
                        start = sum.end;
                    }
                    assert!(start as usize == from.len(), "sums do not use all slots");
                    assert!(from.iter().all(|&slot| slot < slots), "slot out of bounds");
                }
                Step::Linear { to, from, factors } => {
                    assert!(to.iter().chain(from).all(|&slot| slot < slots), "slot out of bounds");
                    assert!(to.len() * from.len() == factors.len(), "factors missing");
                }
                Step::Scan { to, rows, pairs } => {
                    assert!(to.checked_add(*rows).is_some_and(|end| end <= slots), "rows");
                    assert!(pairs.len() < *to as usize, "scan runs into its rows");
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
            Step::Sums(sums) => 12 * sums.sums.len() + 4 * sums.slots.len(),
            Step::Linear { to, from, factors } => 4 * (to.len() + from.len()) + factors.len(),
            Step::Scan { pairs, .. } => 2 * pairs.len(),
        };
        self.steps.iter().map(of).sum()
    }
}
