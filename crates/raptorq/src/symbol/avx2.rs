//! AVX2: 32 octets a vector, multiplied by GFNI where the machine has it and by shuffles elsewhere.

use std::arch::x86_64::{
    __m128i, __m256i, _MM_HINT_T0, _MM_HINT_T1, _mm_loadu_si128, _mm_prefetch, _mm_sfence,
    _mm256_and_si256, _mm256_broadcastsi128_si256, _mm256_gf2p8affine_epi64_epi8,
    _mm256_loadu_si256, _mm256_set1_epi8, _mm256_set1_epi64x, _mm256_setzero_si256,
    _mm256_shuffle_epi8, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_stream_si256,
    _mm256_xor_si256,
};

use super::generic::{self, Combine, Job, Vector};
use super::{MATRICES, NIBBLES};

macro_rules! vector_basics {
    () => {
        const BYTES: usize = 32;

        #[inline(always)]
        unsafe fn zero() -> Self {
            // SAFETY: AVX2 by the caller's promise; likewise below.
            Self(unsafe { _mm256_setzero_si256() })
        }
        #[inline(always)]
        unsafe fn load(from: *const u8) -> Self {
            // SAFETY: 32 readable octets by the caller's promise.
            Self(unsafe { _mm256_loadu_si256(from.cast()) })
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut u8) {
            // SAFETY: 32 writable octets by the caller's promise.
            unsafe { _mm256_storeu_si256(to.cast(), self.0) }
        }
        #[inline(always)]
        unsafe fn stream(self, to: *mut u8) {
            // SAFETY: 32 writable octets, aligned, by the caller's promise; `fence` follows.
            unsafe { _mm256_stream_si256(to.cast(), self.0) }
        }
        #[inline(always)]
        fn fence() {
            // SAFETY: SSE is part of x86-64.
            unsafe { _mm_sfence() }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: AVX2.
            Self(unsafe { _mm256_xor_si256(self.0, other.0) })
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
    };
}

#[derive(Clone, Copy)]
struct Gfni(__m256i);

// SAFETY: loads and stores are of 32 octets.
unsafe impl Vector for Gfni {
    type Factor = __m256i;
    vector_basics!();

    #[inline(always)]
    unsafe fn factor(factor: u8) -> __m256i {
        // SAFETY: AVX2.
        unsafe { _mm256_set1_epi64x(MATRICES[factor as usize].cast_signed()) }
    }
    #[inline(always)]
    unsafe fn mul(self, factor: __m256i) -> Self {
        // SAFETY: AVX2 and GFNI.
        Self(unsafe { _mm256_gf2p8affine_epi64_epi8::<0>(self.0, factor) })
    }
}

#[derive(Clone, Copy)]
struct Shuffle(__m256i);

// SAFETY: loads and stores are of 32 octets.
unsafe impl Vector for Shuffle {
    type Factor = (__m256i, __m256i);
    vector_basics!();

    #[inline(always)]
    unsafe fn factor(factor: u8) -> Self::Factor {
        let table = NIBBLES[factor as usize].as_ptr().cast::<__m128i>();
        // SAFETY: AVX2; the row has 32 octets.
        unsafe {
            (
                _mm256_broadcastsi128_si256(_mm_loadu_si128(table)),
                _mm256_broadcastsi128_si256(_mm_loadu_si128(table.add(1))),
            )
        }
    }
    #[inline(always)]
    unsafe fn mul(self, (low, high): Self::Factor) -> Self {
        // SAFETY: AVX2.
        unsafe {
            let nibble = _mm256_set1_epi8(15);
            let lows = _mm256_and_si256(self.0, nibble);
            let highs = _mm256_and_si256(_mm256_srli_epi64::<4>(self.0), nibble);
            Self(_mm256_xor_si256(_mm256_shuffle_epi8(low, lows), _mm256_shuffle_epi8(high, highs)))
        }
    }
}

/// # Safety
/// As [`generic::combine`]; the machine has AVX2 and GFNI.
#[target_feature(enable = "avx2,gfni")]
pub(super) unsafe fn combine_gfni(job: &Combine) {
    // SAFETY: the caller's promise.
    unsafe { generic::combine::<Gfni>(job) }
}

/// # Safety
/// As [`generic::run`]; the machine has AVX2 and GFNI.
#[target_feature(enable = "avx2,gfni")]
pub(super) unsafe fn run_gfni(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { generic::run::<Gfni>(job) }
}

/// # Safety
/// As [`generic::combine`]; the machine has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn combine_shuffle(job: &Combine) {
    // SAFETY: the caller's promise.
    unsafe { generic::combine::<Shuffle>(job) }
}

/// # Safety
/// As [`generic::run`]; the machine has AVX2.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn run_shuffle(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { generic::run::<Shuffle>(job) }
}
