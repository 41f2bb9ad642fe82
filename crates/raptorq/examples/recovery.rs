//! `recovery K TRIALS [SEED]`: how often K + 0, 1, 2 random symbols do not determine a block.
//!
//! Every trial draws distinct encoding symbol IDs uniformly from the 2^24 and gives them to a decoder
//! one by one (symbols of one octet: only the structure matters). Prints, for each overhead, the
//! failures and the 95 % upper confidence bound of their probability.

use asupersync_raptorq::{Added, BlockDecoder};

fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut next = || arguments.next().and_then(Result::ok);
    let (Some(k), Some(trials)) = (next(), next()) else {
        eprintln!("usage: recovery K TRIALS [SEED]");
        std::process::exit(2);
    };
    let mut state = next().unwrap_or(1);
    let mut failures = [0u64; 3];
    for _ in 0..trials {
        let overhead = trial(k as u32, &mut state);
        for (at, count) in failures.iter_mut().enumerate() {
            *count += u64::from(overhead > at as u32);
        }
    }
    for (overhead, count) in failures.into_iter().enumerate() {
        let bound = upper_bound(count) / trials as f64;
        println!("K = {k}, overhead {overhead}: {count} of {trials} failed, below {bound:.2e}");
    }
}

/// Symbols beyond K that were needed.
fn trial(k: u32, state: &mut u64) -> u32 {
    let mut decoder = BlockDecoder::new(k, 1).expect("K is in range");
    loop {
        let esi = (split_mix(state) >> 40) as u32;
        match decoder.add(esi, vec![0]) {
            Ok(Added::Ready) => return decoder.stored() - k,
            Ok(Added::Stored | Added::Duplicate) => {}
            Err(_) => return u32::MAX,
        }
    }
}

fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// The mean of a Poisson variable that is at most `count` with probability 5 %.
fn upper_bound(count: u64) -> f64 {
    let at_most = |mean: f64| {
        let mut term = (-mean).exp();
        let mut sum = term;
        for i in 1..=count {
            term *= mean / i as f64;
            sum += term;
        }
        sum
    };
    // Beyond a few hundred the normal approximation is exact enough, and `exp` would underflow.
    if count > 300 {
        let root = (count as f64).sqrt();
        return count as f64 + 1.645 * root + 2.0;
    }
    let (mut low, mut high) = (0.0, 2.0 * count as f64 + 10.0);
    for _ in 0..100 {
        let middle = (low + high) / 2.0;
        if at_most(middle) > 0.05 { low = middle } else { high = middle }
    }
    high
}
