//! How often a few symbols more than K are not enough, with bounds that a wrong solver would break.

use asupersync_raptorq::{Added, BlockDecoder, BlockEncoder, EncodingPlan};

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The full measurement is `examples/recovery.rs`; this is its small sister.
#[test]
fn one_block_in_a_hundred_needs_an_extra_symbol_and_none_needs_three() {
    for (k, trials) in [(10, 40_000), (100, 8_000), (1_000, 1_000)] {
        let (mut seed, mut extra) = (5, [0u32; 3]);
        for _ in 0..trials {
            let mut decoder = BlockDecoder::new(k, 1).unwrap();
            while decoder.add((split_mix(&mut seed) >> 40) as u32, vec![0]).unwrap() != Added::Ready
            {
            }
            for (at, count) in extra.iter_mut().enumerate() {
                *count += u32::from(decoder.stored() > k + at as u32);
            }
        }
        // Expected: 0.65 % and 0.004 %; the bounds are six standard deviations away.
        assert!(f64::from(extra[0]) < 0.007 * f64::from(trials) + 20.0, "K = {k}: {extra:?}");
        assert!(extra[1] <= 12 && extra[2] == 0, "K = {k}: {extra:?}");
    }
}

#[test]
fn a_symbol_that_comes_after_a_failed_attempt_completes_the_block() {
    // The long block is decoded by a plan of the other kind.
    for (k, trials) in [(10u32, 5_000), (3_010, 1_500)] {
        let (mut seed, mut late) = (3, 0);
        let block: Vec<u8> = (0..k * 4).map(|i| ((i * i) >> 5) as u8).collect();
        let plan = EncodingPlan::new(k).unwrap();
        let encoder = BlockEncoder::new(&plan, &block, 4).unwrap();
        for _ in 0..trials {
            let esis: Vec<u32> = (0..k + 4).map(|_| (split_mix(&mut seed) >> 40) as u32).collect();
            let symbols = encoder.select(esis.iter().copied()).unwrap();
            let mut decoder = BlockDecoder::new(k, 4).unwrap();
            for (&esi, symbol) in esis.iter().zip(symbols.chunks(4)) {
                let _ = decoder.add(esi, symbol.to_vec()).unwrap();
            }
            late += u32::from(decoder.stored() > k);
            assert_eq!(decoder.solver_runs(), 1);
            if decoder.stored() > k || late == 0 {
                assert!(decoder.decode().as_deref() == Some(&block[..]), "K = {k}");
            }
        }
        assert!(late > 0, "the case under test did not occur for K = {k}");
    }
}
