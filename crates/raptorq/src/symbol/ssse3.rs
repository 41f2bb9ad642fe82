//! SSSE3: 16 octets a vector.

use std::arch::x86_64::{
    __m128i, _MM_HINT_T0, _MM_HINT_T1, _mm_and_si128, _mm_loadu_si128, _mm_prefetch, _mm_set1_epi8,
    _mm_setzero_si128, _mm_sfence, _mm_shuffle_epi8, _mm_srli_epi64, _mm_storeu_si128,
    _mm_stream_si128, _mm_xor_si128,
};

use super::NIBBLES;
use super::generic::{self, Combine, Job, Vector};

#[derive(Clone, Copy)]
struct Shuffle(__m128i);

// SAFETY: loads and stores are of 16 octets.
unsafe impl Vector for Shuffle {
    type Factor = (__m128i, __m128i);
    const BYTES: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: SSE2 is part of x86-64; likewise below.
        Self(unsafe { _mm_setzero_si128() })
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: 16 readable octets by the caller's promise.
        Self(unsafe { _mm_loadu_si128(from.cast()) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: 16 writable octets by the caller's promise.
        unsafe { _mm_storeu_si128(to.cast(), self.0) }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: 16 writable octets, aligned, by the caller's promise; `fence` follows.
        unsafe { _mm_stream_si128(to.cast(), self.0) }
    }
    #[inline(always)]
    fn fence() {
        // SAFETY: SSE is part of x86-64.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: SSE2.
        Self(unsafe { _mm_xor_si128(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn factor(factor: u8) -> Self::Factor {
        let table = NIBBLES[factor as usize].as_ptr().cast::<__m128i>();
        // SAFETY: the row has 32 octets.
        unsafe { (_mm_loadu_si128(table), _mm_loadu_si128(table.add(1))) }
    }
    #[inline(always)]
    unsafe fn mul(self, (low, high): Self::Factor) -> Self {
        // SAFETY: SSSE3 by the caller's promise.
        unsafe {
            let nibble = _mm_set1_epi8(15);
            let lows = _mm_and_si128(self.0, nibble);
            let highs = _mm_and_si128(_mm_srli_epi64::<4>(self.0), nibble);
            Self(_mm_xor_si128(_mm_shuffle_epi8(low, lows), _mm_shuffle_epi8(high, highs)))
        }
    }
    #[inline(always)]
    fn prefetch(from: *const u8) {
        // SAFETY: a prefetch never faults and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(from.cast()) }
    }
    #[inline(always)]
    fn prefetch_far(from: *const u8) {
        // SAFETY: a prefetch never faults and SSE is part of x86-64.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(from.cast()) }
    }
}

/// # Safety
/// As [`generic::combine`]; the machine has SSSE3.
#[target_feature(enable = "ssse3")]
pub(super) unsafe fn combine(job: &Combine) {
    // SAFETY: the caller's promise.
    unsafe { generic::combine::<Shuffle>(job) }
}

/// # Safety
/// As [`generic::run`]; the machine has SSSE3.
#[target_feature(enable = "ssse3")]
pub(super) unsafe fn run(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { generic::run::<Shuffle>(job) }
}
