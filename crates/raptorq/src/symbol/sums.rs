//! Sums: the plain additions of a program, in runs of one length.

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
/// adding a symbol does; so sums of the same length should stand together.
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
    /// If set, each sum is also added to the slot so many below the one it goes to.
    pub(super) below: Option<u32>,
    /// Whether to ask for the inputs of the next tile meanwhile.
    pub(super) ahead: bool,
    pub(super) runs: Vec<Run>,
    /// The words of each sum of each run.
    pub(super) words: Vec<u16>,
    /// The inputs of all sums that have one, in order: what to ask for ahead of its use.
    pub(super) inputs: Vec<u16>,
    pub(super) bounds: Bounds,
}

/// One more than the highest of each kind of word.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) to: u32,
    /// The lowest itself, or `u32::MAX` without sums.
    pub(super) lowest_to: u32,
    pub(super) input: u32,
    pub(super) slot: u32,
}

impl Sums {
    /// Vector loads that one pass costs.
    pub(crate) fn loads(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize * (run.words() - 1)).sum::<usize>()
            + self.added()
    }

    /// Vector stores that one pass costs.
    pub(crate) fn stores(&self) -> usize {
        self.count() + self.added()
    }

    fn count(&self) -> usize {
        self.runs.iter().map(|run| run.count as usize).sum()
    }

    fn added(&self) -> usize {
        if self.below.is_some() { self.count() } else { 0 }
    }

    /// Bytes of heap.
    pub(super) fn bytes(&self) -> usize {
        12 * self.runs.len() + 2 * (self.words.len() + self.inputs.len())
    }
}

/// Writes sums down in the order in which they will run.
pub(crate) struct SumsBuilder {
    sums: Sums,
    /// How much of `words` is written; the others are room.
    end: usize,
    /// Where the sum begun starts, and where its slots do.
    begun: (usize, usize),
    /// The highest slot given, wanted or not.
    highest: u32,
}

impl SumsBuilder {
    /// For about `sums` sums.
    pub(crate) fn new(target: Target, sums: usize) -> Self {
        let bounds = Bounds { to: 0, lowest_to: u32::MAX, input: 0, slot: 0 };
        let sums = Sums {
            target,
            base: 0,
            below: None,
            ahead: false,
            runs: Vec::new(),
            words: vec![0; 10 * sums],
            inputs: Vec::new(),
            bounds,
        };
        Self { sums, end: 0, begun: (0, 0), highest: 0 }
    }

    /// Sums over slots from `base` on only, so that a word reaches them.
    pub(crate) fn above(mut self, base: u32) -> Self {
        self.sums.base = base;
        self
    }

    /// Each sum is also added to the slot `distance` below the one it goes to.
    pub(crate) fn adding_below(mut self, distance: u32) -> Self {
        self.sums.below = Some(distance);
        self
    }

    /// Meanwhile the inputs of the next tile are asked for: memory is idle while slots are summed.
    pub(crate) fn asking_ahead(mut self, ahead: bool) -> Self {
        self.sums.ahead = ahead;
        self
    }

    /// Begins a sum that goes to `to` and starts from `input`.
    pub(crate) fn begin(&mut self, to: u32, input: Option<u32>) {
        let base = if self.sums.target == Target::Slots { self.sums.base } else { 0 };
        let to = word(to.wrapping_sub(base));
        let start = self.end;
        self.put(to, true);
        let bounds = &mut self.sums.bounds;
        bounds.to = bounds.to.max(u32::from(to) + 1);
        bounds.lowest_to = bounds.lowest_to.min(u32::from(to));
        if let Some(input) = input {
            bounds.input = bounds.input.max(input + 1);
            self.put(word(input), true);
            self.sums.inputs.push(word(input));
        }
        self.begun = (start, self.end);
    }

    /// One more slot for the sum begun.
    #[inline(always)]
    pub(crate) fn add(&mut self, slot: u32) {
        self.add_if(slot, true);
    }

    /// As [`add`](Self::add), if `wanted`: without a branch, which would be mispredicted. `slot` is to
    /// be one of the program's in any case.
    #[inline(always)]
    pub(crate) fn add_if(&mut self, slot: u32, wanted: bool) {
        let slot = slot.wrapping_sub(self.sums.base);
        self.highest = self.highest.max(slot);
        self.put(slot as u16, wanted);
    }

    #[inline(always)]
    fn put(&mut self, word: u16, wanted: bool) {
        if self.end == self.sums.words.len() {
            self.grow();
        }
        self.sums.words[self.end] = word;
        self.end += usize::from(wanted);
    }

    #[cold]
    fn grow(&mut self) {
        self.sums.words.resize(2 * self.sums.words.len() + 64, 0);
    }

    /// Completes the sum begun.
    pub(crate) fn end(&mut self) {
        let (start, slots) = self.begun;
        let (length, input) = ((self.end - slots) as u32, slots - start == 2);
        match self.sums.runs.last_mut() {
            Some(last) if (last.length, last.input) == (length, input) => last.count += 1,
            _ => self.sums.runs.push(Run { count: 1, length, input }),
        }
    }

    /// Completes the sum begun, unless it is what its slot has already: then it is dropped.
    pub(crate) fn end_unless_copy(&mut self) {
        let (start, slots) = self.begun;
        match self.sums.words[start..self.end] {
            [to, from] if slots - start == 1 && to == from => self.end = start,
            _ => self.end(),
        }
    }

    /// # Panics
    /// If a slot is no word: the program was compiled wrongly.
    pub(crate) fn finish(self) -> Sums {
        let Self { mut sums, end, highest, .. } = self;
        sums.words.truncate(end);
        sums.bounds.slot = u32::from(word(highest)) + 1;
        sums
    }
}

/// The largest block has some 64,000 slots; a program is read once a tile, so its size matters.
///
/// # Panics
/// Above 65,535: the program was compiled wrongly.
pub(crate) fn word(number: u32) -> u16 {
    u16::try_from(number).expect("a program numbers at most 65,536 slots, inputs and outputs")
}

/// Stable: items of equal keys, which are below `keys`, keep their order.
pub(crate) fn counting_sort<T: Copy>(from: &[T], keys: usize, key: impl Fn(&T) -> usize) -> Vec<T> {
    let mut to = from.to_vec();
    if from.len() < 2 || keys < 2 {
        return to;
    }
    let mut starts = vec![0u32; keys + 1];
    from.iter().for_each(|item| starts[key(item) + 1] += 1);
    for at in 1..starts.len() {
        starts[at] += starts[at - 1];
    }
    for item in from {
        let start = &mut starts[key(item)];
        to[*start as usize] = *item;
        *start += 1;
    }
    to
}
