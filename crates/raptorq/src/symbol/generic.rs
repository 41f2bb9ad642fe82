//! The one algorithm, generic over the vector.
//!
//! Everything here is `#[inline(always)]`: it becomes part of the `#[target_feature]` functions of
//! the instruction set files, which is what makes the vector instructions inline in turn.

use std::ops::Range;

use super::program::{Program, Step};
use super::sums::{Run, Sums, Target};

/// A vector of octets of one instruction set.
///
/// # Safety
/// Implementations load and store exactly `BYTES` octets; 64 is a multiple of `BYTES`.
pub(super) unsafe trait Vector: Copy {
    /// A constant, prepared for multiplying by it.
    type Factor: Copy;
    const BYTES: usize;

    /// # Safety
    /// The machine has the instruction set.
    unsafe fn zero() -> Self;
    /// # Safety
    /// As [`zero`](Self::zero); `from` is readable for `BYTES` octets, of any alignment.
    unsafe fn load(from: *const u8) -> Self;
    /// # Safety
    /// As [`zero`](Self::zero); `to` is writable for `BYTES` octets, of any alignment.
    unsafe fn store(self, to: *mut u8);
    /// Stores past the caches.
    ///
    /// # Safety
    /// As [`store`](Self::store), and `to` is a multiple of `BYTES`.
    unsafe fn stream(self, to: *mut u8);
    /// Orders streamed stores before all later ones.
    fn fence();
    /// # Safety
    /// As [`zero`](Self::zero).
    unsafe fn add(self, other: Self) -> Self;
    /// # Safety
    /// As [`zero`](Self::zero).
    unsafe fn factor(factor: u8) -> Self::Factor;
    /// # Safety
    /// As [`zero`](Self::zero).
    unsafe fn mul(self, factor: Self::Factor) -> Self;
    /// Asks for the cache line of `from`, which need not be readable.
    fn prefetch(from: *const u8);
    /// As [`prefetch`](Self::prefetch), no nearer than to the second cache.
    fn prefetch_far(from: *const u8);
}

/// `to = keep * to + factor * from`.
pub(super) struct Combine {
    pub(super) to: *mut u8,
    pub(super) from: *const u8,
    pub(super) length: usize,
    pub(super) factor: u8,
    pub(super) keep: bool,
}

/// # Safety
/// The machine has `V`'s instruction set; `to` is writable and `from` readable for `length` octets,
/// and they are equal or disjoint.
#[inline(always)]
pub(super) unsafe fn combine<V: Vector>(job: &Combine) {
    // SAFETY: every access is at most at `length`, in bounds by the caller's promise; the tail goes
    // through `tail`, which is as long as a vector.
    unsafe {
        let factor = V::factor(job.factor);
        let mut at = 0;
        while at + V::BYTES <= job.length {
            let mut value = V::load(job.from.add(at));
            if job.factor != 1 {
                value = value.mul(factor);
            }
            if job.keep {
                value = value.add(V::load(job.to.add(at)));
            }
            value.store(job.to.add(at));
            at += V::BYTES;
        }
        let rest = job.length - at;
        if rest > 0 {
            let mut tail = [0u8; 64];
            std::ptr::copy_nonoverlapping(job.from.add(at), tail.as_mut_ptr(), rest);
            let mut value = V::load(tail.as_ptr()).mul(factor);
            if job.keep {
                let mut old = [0u8; 64];
                std::ptr::copy_nonoverlapping(job.to.add(at), old.as_mut_ptr(), rest);
                value = value.add(V::load(old.as_ptr()));
            }
            value.store(tail.as_mut_ptr());
            std::ptr::copy_nonoverlapping(tail.as_ptr(), job.to.add(at), rest);
        }
    }
}

/// One tile of a program.
///
/// Conditions, for `width = 64 * lines`: `lines` is 1, 2 or 4; `slab` is readable for
/// `program.slots() * width` octets and, if the program writes slots, writable; `inputs` points to
/// `program.inputs()` slices of at least `at + width` octets; `output` is writable for
/// `(program.outputs() - 1) * stride + at + width` octets when there are outputs. The three do not
/// overlap.
pub(super) struct Job<'a> {
    pub(super) program: &'a Program,
    pub(super) slab: *mut u8,
    pub(super) lines: usize,
    pub(super) inputs: *const &'a [u8],
    pub(super) at: usize,
    /// Where the next tile of the inputs begins, if there is one; it is only asked for.
    pub(super) next: Option<usize>,
    pub(super) output: *mut u8,
    pub(super) stride: usize,
}

/// # Safety
/// The machine has `V`'s instruction set and the conditions of [`Job`] hold.
#[inline(always)]
pub(super) unsafe fn run<V: Vector>(job: &Job<'_>) {
    // SAFETY: the caller's promise; `N` vectors are `lines` lines in each arm.
    unsafe {
        match job.lines * (64 / V::BYTES) {
            1 => run_width::<V, 1>(job),
            2 => run_width::<V, 2>(job),
            4 => run_width::<V, 4>(job),
            8 => run_width::<V, 8>(job),
            16 => run_width::<V, 16>(job),
            _ => run_width::<V, 32>(job),
        }
    }
}

/// How many sums ahead the inputs are asked for: they are far apart and mostly not in the cache.
const AHEAD: usize = 16;
/// Octets of output that the caches are taken not to hold.
const FAR: usize = 4 << 20;

/// # Safety
/// As [`run`], and `N * V::BYTES == 64 * job.lines`.
#[inline(always)]
unsafe fn run_width<V: Vector, const N: usize>(job: &Job<'_>) {
    for step in job.program.steps() {
        // SAFETY: the caller's promise.
        unsafe {
            match step {
                Step::Sums(sums) => {
                    match job.next {
                        Some(next) if sums.ahead => run_sums::<V, N, true>(job, sums, next),
                        _ => run_sums::<V, N, false>(job, sums, 0),
                    }
                    if sums.target == Target::Outputs {
                        V::fence();
                    }
                }
                Step::Linear { to, from, factors } => {
                    run_linear::<V, N>(job.slab, to, from, factors);
                }
                Step::Load { to } => run_load::<V, N>(job, to),
                Step::Scan { to, rows, pairs, slots } => {
                    run_scan::<V, N>(job.slab, *to, *rows, pairs, slots);
                }
            }
        }
    }
}

/// If `NEXT`, an input of the tile at `next` is asked for with each sum.
///
/// # Safety
/// As [`run_width`]; `sums` is a step of the job's program.
#[inline(always)]
unsafe fn run_sums<V: Vector, const N: usize, const NEXT: bool>(
    job: &Job<'_>,
    step: &Sums,
    next: usize,
) {
    let mut words = step.words.as_ptr();
    let mut coming = (step.inputs.iter(), 0..job.program.inputs());
    // SAFETY: inputs listed are below `program.inputs()`, by the program's invariants.
    unsafe {
        for &input in coming.0.by_ref().take(AHEAD) {
            ask::<V, N>(job, usize::from(input));
        }
    }
    for run in &step.runs {
        // SAFETY: by the program's invariants there are `count * words()` words for each run.
        unsafe {
            // The common lengths are unrolled.
            match run.length {
                1 => run_fixed::<V, N, NEXT, 1>(job, step, run, words, next, &mut coming),
                2 => run_fixed::<V, N, NEXT, 2>(job, step, run, words, next, &mut coming),
                3 => run_fixed::<V, N, NEXT, 3>(job, step, run, words, next, &mut coming),
                4 => run_fixed::<V, N, NEXT, 4>(job, step, run, words, next, &mut coming),
                5 => run_fixed::<V, N, NEXT, 5>(job, step, run, words, next, &mut coming),
                6 => run_fixed::<V, N, NEXT, 6>(job, step, run, words, next, &mut coming),
                7 => run_fixed::<V, N, NEXT, 7>(job, step, run, words, next, &mut coming),
                _ => run_fixed::<V, N, NEXT, 0>(job, step, run, words, next, &mut coming),
            }
            words = words.add(run.count as usize * run.words());
        }
    }
}

/// Asks for the lines of an input.
///
/// # Safety
/// `input` is below `job.program.inputs()`, and the conditions of [`Job`] hold.
#[inline(always)]
unsafe fn ask<V: Vector, const N: usize>(job: &Job<'_>, input: usize) {
    // SAFETY: `inputs` has that many rows.
    let row = unsafe { *job.inputs.add(input) }.as_ptr().wrapping_add(job.at);
    for line in 0..N * V::BYTES / 64 {
        V::prefetch(row.wrapping_add(64 * line));
    }
}

/// The sums of one run; `LENGTH` is that of the run, or 0 if it is not known when compiling.
///
/// # Safety
/// As [`run_sums`]; `words` are those of `run`.
#[inline(always)]
unsafe fn run_fixed<V: Vector, const N: usize, const NEXT: bool, const LENGTH: usize>(
    job: &Job<'_>,
    step: &Sums,
    run: &Run,
    mut words: *const u16,
    next: usize,
    (coming, ahead): &mut (std::slice::Iter<'_, u16>, Range<usize>),
) {
    let width = N * V::BYTES;
    let slab = job.slab.wrapping_add(step.base as usize * width);
    let (base, stride) = match step.target {
        Target::Slots => (slab, width),
        Target::Outputs => (job.output.wrapping_add(job.at), job.stride),
    };
    let below = step.below.map(|slots| slots as usize * width);
    let length = if LENGTH == 0 { run.length as usize } else { LENGTH };
    let advance = run.words();
    // Lines of a large output are not read again soon, and need not be fetched to be written whole.
    let stream = step.target == Target::Outputs
        && job.program.outputs() * job.stride > FAR
        && (base as usize).is_multiple_of(64)
        && stride.is_multiple_of(64);
    for _ in 0..run.count {
        // SAFETY: by the program's invariants the words are a target, an input if the run has them,
        // and `length` slots, all in bounds of the job's slab, inputs and output, whose sizes are the
        // conditions of `Job`; so is the slot `below` the target, if there is one. Streamed stores are to
        // multiples of 64.
        unsafe {
            let to = base.add(*words as usize * stride);
            let asked = if NEXT { ahead.next() } else { None };
            if let Some(input) = asked {
                let row = (*job.inputs.add(input)).as_ptr().wrapping_add(next);
                for line in 0..N * V::BYTES / 64 {
                    V::prefetch_far(row.wrapping_add(64 * line));
                }
            }
            let mut sums = [V::zero(); N];
            let mut slots = words.add(1);
            if run.input {
                if let Some(&input) = coming.next() {
                    ask::<V, N>(job, usize::from(input));
                }
                let row = (*job.inputs.add(*slots as usize)).as_ptr().add(job.at);
                slots = slots.add(1);
                for (i, value) in sums.iter_mut().enumerate() {
                    *value = V::load(row.add(i * V::BYTES));
                }
            }
            for j in 0..length {
                let slot = slab.add(*slots.add(j) as usize * width);
                for (i, value) in sums.iter_mut().enumerate() {
                    *value = value.add(V::load(slot.add(i * V::BYTES)));
                }
            }
            if stream {
                for (i, value) in sums.iter().enumerate() {
                    value.stream(to.add(i * V::BYTES));
                }
            } else {
                for (i, value) in sums.iter().enumerate() {
                    value.store(to.add(i * V::BYTES));
                }
            }
            if let Some(below) = below {
                let to = to.sub(below);
                for (i, value) in sums.iter().enumerate() {
                    value.add(V::load(to.add(i * V::BYTES))).store(to.add(i * V::BYTES));
                }
            }
            words = words.add(advance);
        }
    }
}

/// # Safety
/// As [`run_width`]; the slots are those of a [`Step::Load`] of the job's program.
#[inline(always)]
unsafe fn run_load<V: Vector, const N: usize>(job: &Job<'_>, slots: &[u16]) {
    let width = N * V::BYTES;
    for (i, &slot) in slots.iter().enumerate() {
        // SAFETY: there are as many slots listed as inputs, all below `program.slots()`, by the program's
        // invariants; the input asked for is one of them.
        unsafe {
            if i + AHEAD < job.program.inputs() {
                ask::<V, N>(job, i + AHEAD);
            }
            let row = (*job.inputs.add(i)).as_ptr().add(job.at);
            let to = job.slab.add(usize::from(slot) * width);
            let mut values = [V::zero(); N];
            for (v, value) in values.iter_mut().enumerate() {
                *value = V::load(row.add(v * V::BYTES));
            }
            for (v, value) in values.iter().enumerate() {
                value.store(to.add(v * V::BYTES));
            }
        }
    }
}

/// # Safety
/// As [`run_width`]; the slots are those of a [`Step::Linear`] of the job's program.
#[inline(always)]
unsafe fn run_linear<V: Vector, const N: usize>(
    slab: *mut u8,
    to: &[u32],
    from: &[u32],
    factors: &[u8],
) {
    let width = N * V::BYTES;
    for (&to, factors) in to.iter().zip(factors.chunks_exact(from.len().max(1))) {
        // SAFETY: slots are below `program.slots()`, by the program's invariants.
        unsafe {
            let mut sums = [V::zero(); N];
            for (&from, &factor) in from.iter().zip(factors) {
                let factor = V::factor(factor);
                let slot = slab.add(from as usize * width);
                for (v, value) in sums.iter_mut().enumerate() {
                    *value = value.add(V::load(slot.add(v * V::BYTES)).mul(factor));
                }
            }
            let to = slab.add(to as usize * width);
            for (v, value) in sums.iter().enumerate() {
                value.store(to.add(v * V::BYTES));
            }
        }
    }
}

/// # Safety
/// As [`run_width`]; the arguments are those of a [`Step::Scan`] of the job's program.
#[inline(always)]
unsafe fn run_scan<V: Vector, const N: usize>(
    slab: *mut u8,
    to: u32,
    rows: u32,
    pairs: &[(u8, u8)],
    slots: &[u16],
) {
    let width = N * V::BYTES;
    // SAFETY: `slots`, one more than there are pairs, and `to..to + rows` are below `program.slots()` and each pair is
    // below `rows`, by the program's invariants.
    unsafe {
        let alpha = V::factor(2);
        let rows_at = slab.add(to as usize * width);
        for i in 0..rows as usize * N {
            V::zero().store(rows_at.add(i * V::BYTES));
        }
        let mut z = [V::zero(); N];
        for (&(a, b), &slot) in pairs.iter().zip(slots) {
            let slot = slab.add(usize::from(slot) * width).cast_const();
            let a = rows_at.add(usize::from(a) * width);
            let b = rows_at.add(usize::from(b) * width);
            for (v, z) in z.iter_mut().enumerate() {
                let offset = v * V::BYTES;
                *z = z.mul(alpha).add(V::load(slot.add(offset)));
                let sum_a = z.add(V::load(a.add(offset)));
                let sum_b = z.add(V::load(b.add(offset)));
                sum_a.store(a.add(offset));
                sum_b.store(b.add(offset));
            }
        }
        let last = slots.last().map_or(0, |&slot| usize::from(slot));
        let slot = slab.add(last * width).cast_const();
        for (v, z) in z.iter_mut().enumerate() {
            *z = z.mul(alpha).add(V::load(slot.add(v * V::BYTES)));
        }
        for row in 0..rows as usize {
            let at = rows_at.add(row * width);
            for (v, z) in z.iter_mut().enumerate() {
                let offset = v * V::BYTES;
                z.add(V::load(at.add(offset))).store(at.add(offset));
                *z = z.mul(alpha);
            }
        }
    }
}
