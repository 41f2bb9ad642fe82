//! AVX-512 with GFNI: 64 octets a vector.

use std::arch::x86_64::{
    __m512i, _MM_HINT_T0, _MM_HINT_T1, _mm_prefetch, _mm_sfence, _mm512_gf2p8affine_epi64_epi8,
    _mm512_loadu_si512, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512,
    _mm512_stream_si512, _mm512_xor_si512,
};

use super::MATRICES;
use super::generic::{self, Combine, Job, Vector};

#[derive(Clone, Copy)]
struct Gfni(__m512i);

// SAFETY: loads and stores are of 64 octets.
unsafe impl Vector for Gfni {
    type Factor = __m512i;
    const BYTES: usize = 64;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: AVX-512F by the caller's promise; likewise below.
        Self(unsafe { _mm512_setzero_si512() })
    }
    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: 64 readable octets by the caller's promise.
        Self(unsafe { _mm512_loadu_si512(from.cast()) })
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: 64 writable octets by the caller's promise.
        unsafe { _mm512_storeu_si512(to.cast(), self.0) }
    }
    #[inline(always)]
    unsafe fn stream(self, to: *mut u8) {
        // SAFETY: 64 writable octets, aligned, by the caller's promise; `fence` follows.
        unsafe { _mm512_stream_si512(to.cast(), self.0) }
    }
    #[inline(always)]
    fn fence() {
        // SAFETY: SSE is part of x86-64.
        unsafe { _mm_sfence() }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: AVX-512F.
        Self(unsafe { _mm512_xor_si512(self.0, other.0) })
    }
    #[inline(always)]
    unsafe fn factor(factor: u8) -> __m512i {
        // SAFETY: AVX-512F.
        unsafe { _mm512_set1_epi64(MATRICES[factor as usize].cast_signed()) }
    }
    #[inline(always)]
    unsafe fn mul(self, factor: __m512i) -> Self {
        // SAFETY: AVX-512F and GFNI.
        Self(unsafe { _mm512_gf2p8affine_epi64_epi8::<0>(self.0, factor) })
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
/// As [`generic::combine`]; the machine has AVX-512F and GFNI.
#[target_feature(enable = "avx512f,gfni")]
pub(super) unsafe fn combine(job: &Combine) {
    // SAFETY: the caller's promise.
    unsafe { generic::combine::<Gfni>(job) }
}

/// # Safety
/// As [`generic::run`]; the machine has AVX-512F and GFNI.
#[target_feature(enable = "avx512f,gfni")]
pub(super) unsafe fn run(job: &Job<'_>) {
    // SAFETY: the caller's promise.
    unsafe { generic::run::<Gfni>(job) }
}
