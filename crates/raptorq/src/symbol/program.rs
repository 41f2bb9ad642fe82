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
    pub(super) runs: Vec<Run>,
    /// The words of each sum of each run.
    pub(super) words: Vec<u16>,
    /// The inputs of all sums that have one, in order: what to ask for ahead of its use.
    pub(super) inputs: Vec<u16>,
}

impl Sums {
    fn each(&self) -> impl Iterator<Item = (&Run, &[u16])> {
        let mut rest = &self.words[..];
        self.runs.iter().flat_map(|run| (0..run.count).map(move |_| run)).map(move |run| {
            let (sum, others) = rest.split_at(run.words());
            rest = others;
            (run, sum)
        })
    }

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
    /// Level, start in `words`, length, input.
    sums: Vec<(u32, u32, u32, bool)>,
    words: Vec<u16>,
    slots: Vec<u16>,
}

/// Sums longer than this are kept apart by length no more.
const LONGEST: usize = 63;

impl SumsBuilder {
    pub(crate) fn new(target: Target, sums: usize) -> Self {
        let (slots, words) = (Vec::with_capacity(32), Vec::with_capacity(8 * sums));
        Self { target, base: 0, sums: Vec::with_capacity(sums), words, slots }
    }

    /// Sums over slots from `base` on only, so that a word reaches them.
    pub(crate) fn above(self, base: u32) -> Self {
        Self { base, ..self }
    }

    /// One more slot for the sum that the next [`end`](Self::end) completes.
    pub(crate) fn add(&mut self, slot: u32) {
        self.slots.push(word(slot.wrapping_sub(self.base)));
    }

    /// Completes a sum. It will run after all sums of lower `level`, in any order within its own.
    pub(crate) fn end(&mut self, level: u32, to: u32, input: Option<u32>) {
        let sum = (level, self.words.len() as u32, self.slots.len() as u32, input.is_some());
        self.sums.push(sum);
        let base = if self.target == Target::Slots { self.base } else { 0 };
        self.words.push(word(to.wrapping_sub(base)));
        self.words.extend(input.map(word));
        self.words.append(&mut self.slots);
    }

    /// Orders by level, then by shape: two counting sorts.
    pub(crate) fn finish(self) -> Sums {
        let shape = |&(_, _, length, input): &(u32, u32, u32, bool)| {
            2 * (length as usize).min(LONGEST) + usize::from(input)
        };
        let sums = counting_sort(&self.sums, 2 * (LONGEST + 1), shape);
        let levels = sums.iter().map(|sum| sum.0 as usize + 1).max().unwrap_or(0);
        let sums = counting_sort(&sums, levels, |sum| sum.0 as usize);
        let mut words = Vec::with_capacity(self.words.len());
        let mut runs: Vec<Run> = Vec::new();
        for (_, start, length, input) in sums {
            let run = Run { count: 1, length, input };
            words.extend_from_slice(&self.words[start as usize..start as usize + run.words()]);
            match runs.last_mut() {
                Some(last) if (last.length, last.input) == (length, input) => last.count += 1,
                _ => runs.push(run),
            }
        }
        let Self { target, base, .. } = self;
        let mut sums = Sums { target, base, runs, words, inputs: Vec::new() };
        let inputs = sums.each().filter(|(run, _)| run.input).map(|(_, sum)| sum[1]).collect();
        sums.inputs = inputs;
        sums
    }
}

/// The largest block has some 64,000 slots; a program is read once a tile, so its size matters.
///
/// # Panics
/// Above 65,535: the program was compiled wrongly.
fn word(number: u32) -> u16 {
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
    /// `slots[i] = input i`, in the order of the inputs: memory is read as it lies.
    Load {
        /// Slots written.
        slots: Vec<u32>,
    },
    /// `to + i += from + i` for `count` slots.
    Fold {
        /// First slot written.
        to: u32,
        /// First slot read.
        from: u32,
        /// How many.
        count: u32,
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
/// Every slot is below `slots`, every input below `inputs`, every output below `outputs`; the runs of
/// [`Sums`] use exactly its words; the lengths of the parts of a step are as documented there.
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
                Step::Sums(sums) => {
                    let slots = slots.saturating_sub(sums.base);
                    let limit = if sums.target == Target::Slots { slots } else { outputs };
                    let words = |run: &Run| run.count as usize * run.words();
                    let total: usize = sums.runs.iter().map(words).sum();
                    assert!(total == sums.words.len(), "runs do not use all words");
                    let with_input = |run: &&Run| run.input;
                    let counts = sums.runs.iter().filter(with_input).map(|run| run.count as usize);
                    assert!(counts.sum::<usize>() == sums.inputs.len(), "inputs listed");
                    let below = |limit: u32| move |&word: &u16| u32::from(word) < limit;
                    assert!(sums.inputs.iter().all(below(inputs)), "input listed");
                    for (run, sum) in sums.each() {
                        let (head, from) = sum.split_at(1 + usize::from(run.input));
                        assert!(head[..1].iter().all(below(limit)), "target out of bounds");
                        assert!(head[1..].iter().all(below(inputs)), "input out of bounds");
                        assert!(from.iter().all(below(slots)), "slot out of bounds");
                    }
                }
                Step::Load { slots: to } => {
                    assert!(to.len() <= inputs as usize, "load of more than the inputs");
                    assert!(to.iter().all(|&slot| slot < slots), "slot out of bounds");
                }
                Step::Fold { to, from, count } => {
                    let end = to.max(from).checked_add(*count);
                    assert!(end.is_some_and(|end| end <= slots), "fold out of bounds");
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

    /// The output rows written, in order.
    pub(crate) fn targets(&self) -> impl Iterator<Item = usize> {
        let sums = self.steps.iter().filter_map(|step| match step {
            Step::Sums(sums) if sums.target == Target::Outputs => Some(sums),
            _ => None,
        });
        sums.flat_map(Sums::each).map(|(_, sum)| usize::from(sum[0]))
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
            Step::Scan { pairs, .. } => 2 * pairs.len(),
            Step::Load { slots } => 4 * slots.len(),
            Step::Fold { .. } => 0,
        };
        self.steps.iter().map(of).sum()
    }
}
