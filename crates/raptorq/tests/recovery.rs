//! How often a few symbols more than K are not enough, with bounds that a wrong solver would break.

use asupersync_raptorq::{Added, BlockDecoder, BlockEncoder, EncodingPlan, MAX_SOLVER_RUNS};

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
            while decoder.add((split_mix(&mut seed) >> 40) as u32, vec![0]).unwrap() != Added::Ready {}
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
    let (k, mut seed, mut late) = (10u32, 3, 0);
    let block: Vec<u8> = (0..k as u8 * 4).collect();
    let plan = EncodingPlan::new(k).unwrap();
    let encoder = BlockEncoder::new(&plan, &block, 4).unwrap();
    for _ in 0..5_000 {
        let mut decoder = BlockDecoder::new(k, 4).unwrap();
        loop {
            let esi = (split_mix(&mut seed) >> 40) as u32;
            if decoder.add(esi, encoder.symbol(esi).unwrap()).unwrap() == Added::Ready {
                break;
            }
        }
        late += u32::from(decoder.stored() > k);
        assert!(decoder.solver_runs() <= MAX_SOLVER_RUNS);
        assert_eq!(decoder.decode().as_deref(), Some(&block[..]));
    }
    assert!(late > 5, "the case under test did not occur");
}
