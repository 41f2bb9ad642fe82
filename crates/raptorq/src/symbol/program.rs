//! Programs: sums of slots, checked once so that the kernels need not check again.

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

/// Where a group of sums goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// Slots of the slab.
    Slots,
    /// Rows of the output.
    Outputs,
}

/// Sums of one shape in a row.
///
/// The length of a sum decides a loop in the kernel, and a loop of unforeseen length costs more than
/// adding a symbol does; so sums of the same length stand together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) count: u32,
    /// Slots in each sum.
    pub(super) length: u32,
    /// Whether each sum starts from an input.
    pub(super) input: bool,
}

impl Run {
    /// Words of each sum: where it goes, its input if any, its slots.
    pub(super) const fn words(&self) -> usize {
        1 + self.input as usize + self.length as usize
    }
}

/// Sums executed in order: `to = input + slot + slot + ..`.
#[derive(Clone, Debug)]
pub(crate) struct Sums {
    pub(super) target: Target,
    /// What slot 0 of the words stands for.
    pub(super) base: u32,
    /// Whether to ask for the inputs of the next tile meanwhile.
    pub(super) ahead: bool,
    pub(super) runs: Vec<Run>,
    /// The words of each sum of each run.
    pub(super) words: Vec<u16>,
    /// The inputs of all sums that have one, in order: what to ask for ahead of its use.
    pub(super) inputs: Vec<u16>,
    /// One more than the highest of each kind of word.
    bounds: Bounds,
}

#[derive(Clone, Copy, Debug, Default)]
struct Bounds {
    to: u32,
    input: u32,
    slot: u32,
}

impl Sums {
    /// Vector loads that one pass costs.
    pub(crate) fn loads(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize * (run.words() - 1)).sum()
    }

    /// Vector stores that one pass costs.
    pub(crate) fn stores(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize).sum()
    }
}

/// Collects sums and brings them in an order of few runs.
pub(crate) struct SumsBuilder {
    target: Target,
    base: u32,
    ahead: bool,
    sums: Vec<Sum>,
    /// The slots of all sums, up to `end`; what follows is room.
    slots: Vec<u16>,
    /// Where those of the sum begun start.
    start: usize,
    end: usize,
    /// All bits of all slots, one that is no word included.
    bits: u32,
    bounds: Bounds,
}

#[derive(Clone, Copy)]
struct Sum {
    level: u32,
    start: u32,
    length: u32,
    to: u16,
    input: Option<u16>,
}

impl Sum {
    const SHAPES: usize = 128;

    /// Sums of equal shape have the same length and all or none of them an input; long ones are not
    /// kept apart by length.
    fn shape(&self) -> u32 {
        2 * self.length.min(Self::SHAPES as u32 / 2 - 1) + u32::from(self.input.is_some())
    }
}

/// Slots are copied so many at once: few sums have more, and a loop over just as many as there are
/// would be mispredicted.
const COPIED: usize = 8;

impl SumsBuilder {
    pub(crate) fn new(target: Target, sums: usize) -> Self {
        let (sums, slots) = (Vec::with_capacity(sums), vec![0; 8 * sums]);
        Self {
            target,
            base: 0,
            ahead: false,
            sums,
            slots,
            start: 0,
            end: 0,
            bits: 0,
            bounds: Bounds::default(),
        }
    }

    /// Sums over slots from `base` on only, so that a word reaches them.
    pub(crate) fn above(self, base: u32) -> Self {
        Self { base, ..self }
    }

    /// Meanwhile the inputs of the next tile are asked for: memory is idle while slots are summed.
    pub(crate) fn asking_ahead(self, ahead: bool) -> Self {
        Self { ahead, ..self }
    }

    /// One more slot for the sum that the next [`end`](Self::end) completes.
    #[inline(always)]
    pub(crate) fn add(&mut self, slot: u32) {
        self.add_if(slot, true);
    }

    /// As [`add`](Self::add), if `wanted`: without a branch, which would be mispredicted. `slot` is to
    /// be one of the program's in any case.
    #[inline(always)]
    pub(crate) fn add_if(&mut self, slot: u32, wanted: bool) {
        if self.end == self.slots.len() {
            self.grow();
        }
        let slot = slot.wrapping_sub(self.base);
        self.bits |= slot;
        self.slots[self.end] = slot as u16;
        self.end += usize::from(wanted);
    }

    #[cold]
    fn grow(&mut self) {
        self.slots.resize(2 * self.slots.len() + 64, 0);
    }

    /// Whether the sum begun has one slot only, the one it would go to.
    pub(crate) fn is_only(&self, to: u32) -> bool {
        self.slots[self.start..self.end] == [word(to.wrapping_sub(self.base))]
    }

    /// Drops the sum begun.
    pub(crate) fn cancel(&mut self) {
        self.end = self.start;
    }

    /// Completes a sum. It will run after all sums of lower `level`, in any order within its own.
    pub(crate) fn end(&mut self, level: u32, to: u32, input: Option<u32>) {
        let base = if self.target == Target::Slots { self.base } else { 0 };
        let (start, length) = (self.start as u32, (self.end - self.start) as u32);
        let (to, input) = (word(to.wrapping_sub(base)), input.map(word));
        self.bounds.to = self.bounds.to.max(u32::from(to) + 1);
        self.bounds.input = self.bounds.input.max(input.map_or(0, |input| u32::from(input) + 1));
        self.sums.push(Sum { level, start, length, to, input });
        self.start = self.end;
    }

    /// Orders by level, then by shape: two counting sorts.
    pub(crate) fn finish(self) -> Sums {
        let Self { target, base, ahead, sums, mut slots, end, bits, mut bounds, .. } = self;
        word(bits);
        bounds.slot = slots[..end].iter().max().map_or(0, |&slot| u32::from(slot) + 1);
        slots.resize(end + COPIED, 0);
        let levels = sums.iter().map(|sum| sum.level as usize + 1).max().unwrap_or(0);
        let at = |sum: &Sum| (sum.level, sum.shape());
        let order: Vec<_> = (0..).zip(&sums).map(|(i, sum)| (i, at(sum))).collect();
        let mut order = counting_sort(&order, Sum::SHAPES, |&(_, (_, shape))| shape as usize);
        if levels > 1 {
            order = counting_sort(&order, levels, |&(_, (level, _))| level as usize);
        }
        let given = sums.iter().filter(|sum| sum.input.is_some()).count();
        let mut words = vec![0; end + sums.len() + given + COPIED];
        let mut at = 0;
        let mut inputs = Vec::with_capacity(given);
        let mut runs: Vec<Run> = Vec::new();
        for (i, _) in order {
            let Sum { start, length, to, input, .. } = sums[i as usize];
            words[at] = to;
            at += 1;
            if let Some(input) = input {
                words[at] = input;
                at += 1;
                inputs.push(input);
            }
            let from = &slots[start as usize..][..length as usize + COPIED];
            let words = &mut words[at..][..length as usize + COPIED];
            for copied in (0..length as usize).step_by(COPIED) {
                words[copied..copied + COPIED].copy_from_slice(&from[copied..copied + COPIED]);
            }
            at += length as usize;
            let run = Run { count: 1, length, input: input.is_some() };
            match runs.last_mut() {
                Some(last) if (last.length, last.input) == (run.length, run.input) => {
                    last.count += 1;
                }
                _ => runs.push(run),
            }
        }
        words.truncate(at);
        Sums { target, base, ahead, runs, words, inputs, bounds }
    }
}

/// The largest block has some 64,000 slots; a program is read once a tile, so its size matters.
///
/// # Panics
/// Above 65,535: the program was compiled wrongly.
pub(crate) fn word(number: u32) -> u16 {
    u16::try_from(number).expect("a program numbers at most 65,536 slots, inputs and outputs")
}

fn counting_sort<T: Copy + Default>(from: &[T], keys: usize, key: impl Fn(&T) -> usize) -> Vec<T> {
    let mut starts = vec![0u32; keys + 1];
    from.iter().for_each(|item| starts[key(item) + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    let mut to = vec![T::default(); from.len()];
    for item in from {
        let start = &mut starts[key(item)];
        to[*start as usize] = *item;
        *start += 1;
    }
    to
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
    /// Slot `i` gets input `i`, for all inputs: memory is read and written as it lies.
    Load,
    /// Slot `to + i` gets slot `from[i]` added.
    Fold {
        /// First slot written.
        to: u32,
        /// Slots read.
        from: Vec<u16>,
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
                Step::Sums(Sums { target, base, bounds, .. }) => {
                    let slots = slots.saturating_sub(*base);
                    let limit = if *target == Target::Slots { slots } else { outputs };
                    assert!(bounds.to <= limit, "target out of bounds");
                    assert!(bounds.input <= inputs, "input out of bounds");
                    assert!(bounds.slot <= slots, "slot out of bounds");
                }
                Step::Load => assert!(inputs <= slots, "load of more than the slots"),
                Step::Fold { to, from } => {
                    assert!(to.checked_add(from.len() as u32).is_some_and(|end| end <= slots));
                    assert!(from.iter().all(|&slot| u32::from(slot) < slots), "fold from");
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
            Step::Sums(sums) => 12 * sums.runs.len() + 2 * (sums.words.len() + sums.inputs.len()),
            Step::Linear { to, from, factors } => 4 * (to.len() + from.len()) + factors.len(),
            Step::Scan { pairs, slots, .. } => 2 * (pairs.len() + slots.len()),
            Step::Load => 0,
            Step::Fold { from, .. } => 2 * from.len(),
        };
        self.steps.iter().map(of).sum()
    }
}
