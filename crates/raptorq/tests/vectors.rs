//! Vectors on which three independent encoders agree.

use asupersync_raptorq::{BlockEncoder, EncodingPlan, Isa, Kernel, encode_symbols};
use sha2::{Digest, Sha256};

/// Octets of a xorshift64 stream.
fn stream(length: usize) -> Vec<u8> {
    let mut s = 88_172_645_463_325_252u64;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        s as u8
    };
    (0..length).map(|_| next()).collect()
}

fn check(length: usize, symbol_size: usize, symbols: u32, sha256: &str) {
    let block = stream(length);
    let k = length.div_ceil(symbol_size) as u32;
    let plan = EncodingPlan::new(k).unwrap();
    for kernel in Isa::ALL.into_iter().filter_map(Kernel::with_isa) {
        let encoder = BlockEncoder::with_kernel(kernel, &plan, &block, symbol_size).unwrap();
        let kept = encoder.symbols(0..symbols).unwrap();
        let hex: String = Sha256::digest(&kept).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, sha256, "K = {k}, {kernel:?}");
        let mut streamed = vec![0; kept.len()];
        encode_symbols(kernel, &plan, &block, symbol_size, 0..symbols, &mut streamed).unwrap();
        assert!(streamed == kept, "K = {k}, {kernel:?}: one pass differs from the kept encoder");
    }
}

#[test]
fn symbols_have_the_published_digests() {
    check(640, 64, 30, "362484c646c2be9870f9084d42f5a39f11152434c16e1a6e4d606a31c0e7a7d1");
    check(200, 8, 60, "dc5b0de037cae9f958744b5495d66999c14f697bd5e837d427d9c9c49d85a112");
    check(2056, 8, 300, "2ef001e0b6f3f5c97b8a599ad8693be52768a4a398c3f3040f32e5b1b12accce");
    check(
        1_280_000,
        1280,
        1100,
        "6c279090ed82dcc2240954f750e4b7b2726eadfb34d38444d280ec1eb279d3bc",
    );
    check(80_000, 8, 10_050, "2c4b4cb8ae6730d731033be6e124a2b83c291017b5be5edbcf8d005e1f6f87fa");
}
