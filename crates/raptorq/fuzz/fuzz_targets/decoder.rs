//! K, T, then symbols as (kind, ID): true ones decode to the source, false ones never panic.
#![no_main]

use asupersync_raptorq::{Added, BlockDecoder, BlockEncoder, EncodingPlan, MAX_SOLVER_RUNS};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let [k, size, rest @ ..] = bytes else { return };
    let (k, size) = (u32::from(*k), usize::from(*size % 70));
    let Ok(mut decoder) = BlockDecoder::new(k, size) else { return };
    let block: Vec<u8> = (0..k as usize * size).map(|i| (i * 7) as u8).collect();
    let plan = EncodingPlan::new(k).expect("K was accepted");
    let encoder = BlockEncoder::new(&plan, &block, size).expect("the block fits the plan");
    let mut honest = true;
    for step in rest.chunks_exact(4) {
        let esi = u32::from_be_bytes([0, step[1], step[2], step[3]]);
        let symbol = match step[0] {
            0 => vec![step[1]; size],
            1 => vec![0; usize::from(step[2])],
            _ => encoder.symbol(esi).expect("24 bits"),
        };
        let is_true = symbol.len() == size && encoder.symbol(esi).is_ok_and(|s| s == symbol);
        if let Ok(Added::Stored | Added::Ready) = decoder.add(esi, symbol) {
            honest &= is_true;
        }
        assert!(decoder.solver_runs() <= MAX_SOLVER_RUNS);
    }
    let decoded = decoder.decode();
    assert_eq!(decoded.is_some(), decoder.is_ready());
    if honest {
        assert!(decoded.is_none_or(|decoded| decoded == block));
    }
});
