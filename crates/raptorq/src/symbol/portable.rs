//! 64-bit integers: eight octets a vector, multiplied by repeated doubling.

use super::generic::{self, Combine, Job, Vector};

#[derive(Clone, Copy)]
struct Word(u64);

/// A one in each octet.
const ONES: u64 = 0x0101_0101_0101_0101;

// SAFETY: loads and stores are of 8 octets.
unsafe impl Vector for Word {
    type Factor = u8;
    const BYTES: usize = 8;

    #[inline(always)]
    unsafe fn zero() -> Self {
        Self(0)
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: 8 readable octets by the caller's promise.
        Self(unsafe { from.cast::<u64>().read_unaligned() })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: 8 writable octets by the caller's promise.
        unsafe { to.cast::<u64>().write_unaligned(self.0) }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: the caller's promise.
        unsafe { self.store(to) }
    }
    #[inline(always)]
    fn fence() {}
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(self.0 ^ other.0)
    }
    #[inline(always)]
    unsafe fn factor(factor: u8) -> u8 {
        factor
    }
    #[inline(always)]
    unsafe fn mul(self, factor: u8) -> Self {
        let (mut power, mut left, mut product) = (self.0, factor, 0);
        while left != 0 {
            product ^= power & 0u64.wrapping_sub(u64::from(left & 1));
            left >>= 1;
            // Double every octet: the top bit that falls out comes back as the polynomial's 0x1D.
            power = ((power & (0x7F * ONES)) << 1) ^ ((power >> 7 & ONES) * 0x1D);
        }
        Self(product)
    }
    #[inline(always)]
    fn prefetch(_: *const u8) {}
    #[inline(always)]
    fn prefetch_far(_: *const u8) {}
}

/// # Safety
/// As [`generic::combine`].
pub(super) unsafe fn combine(job: &Combine) {
    // SAFETY: the caller's promise.
    unsafe { generic::combine::<Word>(job) }
}

/// # Safety
/// As [`generic::run`].
pub(super) unsafe fn run(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { generic::run::<Word>(job) }
}
