//! Input made to break things: no panic, typed errors, bounded work and memory.
//!
//! The counts suit continuous integration; the ignored tests are the full runs.

use asupersync_raptorq::parameters::{Limits, MAX_ESI, ObjectTransmissionInformation};
use asupersync_raptorq::pipeline::{HEADER, Receiver, Rejection, Sender, SymbolKey};
use asupersync_raptorq::{
    Added, BlockDecoder, BlockEncoder, DecodeError, EncodingPlan, Kernel, MAX_OVERHEAD,
    MAX_SOLVER_RUNS, encode_symbols,
};

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    /// Values near the edges as often as any others.
    fn edgy(&mut self, top: u64) -> u64 {
        match self.below(6) {
            0 => 0,
            1 => self.below(4),
            2 => top - self.below(4).min(top),
            3 => top,
            _ => self.next() & top,
        }
    }
}

fn hostile_otis(count: u64) {
    let (mut random, mut valid) = (Random(1), 0);
    for _ in 0..count {
        let mut bytes = [0; 12];
        bytes[..5].copy_from_slice(&random.edgy((1 << 40) - 1).to_be_bytes()[3..]);
        bytes[5] = u8::from(random.below(10) == 0);
        bytes[6..8].copy_from_slice(&(random.edgy(0xFFFF) as u16).to_be_bytes());
        bytes[8] = random.edgy(0xFF) as u8;
        bytes[9..11].copy_from_slice(&(random.edgy(0xFFFF) as u16).to_be_bytes());
        bytes[11] = if random.below(2) == 0 { 1 } else { random.edgy(0xFF) as u8 };
        match ObjectTransmissionInformation::from_bytes(bytes) {
            Err(error) => assert!(!error.code().is_empty() && !error.to_string().is_empty()),
            Ok(oti) => {
                valid += 1;
                assert_eq!(oti.to_bytes(), bytes);
                let mut next = 0;
                for block in 0..oti.source_blocks() {
                    let range = oti.block_range(block).unwrap();
                    let k = oti.symbols_in_block(block).unwrap();
                    assert!((1..=56_403).contains(&k) && range.start == next);
                    next = range.end;
                }
                assert_eq!(next, oti.transfer_length());
                let sizes: usize = oti.sub_symbol_sizes().sum();
                assert_eq!(sizes, usize::from(oti.symbol_size()));
                let limits = Limits { transfer_length: 1 << 30, block_bytes: 1 << 20 };
                let key = SymbolKey::derive(b"key");
                if let Ok(mut receiver) = Receiver::new([0; 16], oti, key, &limits, 3) {
                    assert!(receiver.memory_bound() <= 3 * 257 * ((1 << 20) + 64 * 65_791));
                    assert!(receiver.handle(&bytes).is_err());
                }
            }
        }
        let _ = ObjectTransmissionInformation::derive(
            random.edgy(u64::MAX),
            random.edgy(0xFFFF) as u16,
            random.edgy(u64::MAX),
            random.edgy(0xFF) as u8,
            random.edgy(0xFFFF) as u16,
        );
    }
    assert!(valid > count / 1_000, "only {valid} of {count} were valid: nothing is tested");
}

/// Random operations on decoders; the result is checked whenever only true symbols were added.
fn hostile_symbols(count: u64) {
    let mut random = Random(2);
    let mut done = 0;
    while done < count {
        let k = match random.below(40) {
            0 => random.below(700) as u32,
            1 => random.edgy(u64::from(u32::MAX)) as u32,
            _ => random.below(30) as u32,
        };
        let size = random.below(20) as usize;
        done += 1;
        let Ok(mut decoder) = BlockDecoder::new(k, size) else {
            assert!(k == 0 || k > 56_403 || size == 0);
            continue;
        };
        let k = k.min(2_000);
        let block: Vec<u8> = (0..k as usize * size).map(|i| (i * 7) as u8).collect();
        let truth = EncodingPlan::new(k)
            .filter(|_| k == decoder.parameters().k)
            .map(|plan| BlockEncoder::new(&plan, &block, size).unwrap());
        let mut honest = truth.is_some();
        for _ in 0..u64::from(k) * 3 + 10 {
            done += 1;
            let esi = match random.below(4) {
                0 => random.edgy(u64::from(u32::MAX)) as u32,
                1 => random.below(u64::from(k) * 2) as u32,
                _ => random.edgy(u64::from(MAX_ESI)) as u32,
            };
            let symbol = match (&truth, random.below(50)) {
                (Some(truth), 1..) if esi <= MAX_ESI => truth.symbol(esi).unwrap(),
                (_, 0) => vec![0; random.below(40) as usize],
                _ => vec![random.next() as u8; size],
            };
            let right = symbol.len() == size;
            let true_symbol =
                truth.as_ref().is_some_and(|t| t.symbol(esi).is_ok_and(|s| s == symbol));
            match decoder.add(esi, symbol) {
                Ok(Added::Stored | Added::Ready) => honest &= true_symbol,
                Ok(Added::Duplicate) => {}
                Err(DecodeError::SymbolSize { .. }) => assert!(!right),
                Err(DecodeError::Esi(bad)) => assert!(bad > MAX_ESI),
                Err(error) => assert_eq!(error.code(), "decode_exhausted"),
            }
            assert!(decoder.stored() <= decoder.parameters().k + MAX_OVERHEAD);
            assert!(decoder.solver_runs() <= MAX_SOLVER_RUNS);
        }
        let decoded = decoder.decode();
        assert_eq!(decoded.is_some(), decoder.is_ready());
        if honest && let Some(decoded) = decoded {
            assert_eq!(decoded, block);
        }
    }
}

fn forged_tags(count: u64) {
    let oti = ObjectTransmissionInformation::new(64, 8, 1, 1, 1).unwrap();
    let key = SymbolKey::derive(b"the key");
    let mut sender = Sender::new([1; 16], oti, key.clone(), 0, 1);
    sender.push(&[5; 64]).unwrap();
    let mut packet = Vec::new();
    assert!(sender.poll(&mut packet));
    let mut receiver = Receiver::new([1; 16], oti, key, &Limits::default(), 1).unwrap();
    let mut random = Random(3);
    for i in 0..count {
        let mut forged = packet.clone();
        match i % 3 {
            // One bit of anything behind the block number.
            0 => {
                let at = 1 + random.below(forged.len() as u64 - 1) as usize;
                forged[at] ^= 1 << random.below(8);
            }
            // Another tag altogether.
            1 => {
                forged[4..12].copy_from_slice(&random.next().to_le_bytes());
                forged[12..20].copy_from_slice(&random.next().to_le_bytes());
            }
            // Another symbol, another place.
            _ => {
                forged[1..4].copy_from_slice(&random.next().to_le_bytes()[..3]);
                forged[HEADER..].copy_from_slice(&random.next().to_le_bytes());
            }
        }
        assert_eq!(receiver.handle(&forged), Err(Rejection::Tag));
    }
    assert_eq!(receiver.counters().forged, count);
    assert_eq!(receiver.counters().accepted, 0);
}

#[test]
fn hostile_object_information_is_refused_or_consistent() {
    hostile_otis(50_000);
}

#[test]
fn hostile_symbols_never_panic_and_honest_ones_still_decode() {
    hostile_symbols(30_000);
}

#[test]
fn no_forged_or_altered_tag_is_accepted() {
    forged_tags(100_000);
}

#[test]
#[ignore = "the full count, minutes"]
fn a_million_hostile_inputs_of_each_kind() {
    hostile_otis(1_000_000);
    hostile_symbols(1_000_000);
}

#[test]
#[ignore = "the full count, minutes"]
fn ten_million_forged_tags() {
    forged_tags(10_000_000);
}

#[test]
fn wrong_sizes_for_the_encoder_are_typed_errors() {
    let plan = EncodingPlan::new(10).unwrap();
    let code = |block: &[u8], size, esis, output: &mut [u8]| {
        encode_symbols(Kernel::detect(), &plan, block, size, esis, output).unwrap_err().code()
    };
    assert_eq!(code(&[], 8, 0..1, &mut [0; 8]), "encode_empty");
    assert_eq!(code(&[0; 80], 0, 0..1, &mut []), "encode_empty");
    assert_eq!(code(&[0; 81], 8, 0..1, &mut [0; 8]), "encode_source_length");
    assert_eq!(code(&[0; 80], 8, 0..2, &mut [0; 8]), "encode_output_length");
    assert_eq!(code(&[0; 80], 8, 0..MAX_ESI + 2, &mut [0; 8]), "encode_esi");
    let encoder = BlockEncoder::new(&plan, &[0; 80], 8).unwrap();
    assert_eq!(encoder.symbol(MAX_ESI + 1).unwrap_err().code(), "encode_esi");
    #[expect(clippy::reversed_empty_ranges, reason = "what a careless caller may pass")]
    let nothing = encoder.symbols(9..3);
    assert_eq!(nothing, Ok(Vec::new()));
}

/// The fuzz targets' seeds are inputs with a known fate; this keeps them from rotting.
#[test]
fn the_seeds_of_the_object_information_fuzzer_have_their_fate() {
    let fate = |bytes: &[u8]| {
        let oti = ObjectTransmissionInformation::from_bytes(bytes.try_into().unwrap());
        oti.map_or_else(|error| error.code(), |_| "valid")
    };
    assert_eq!(fate(include_bytes!("../fuzz/corpus/oti/one_octet")), "valid");
    assert_eq!(fate(include_bytes!("../fuzz/corpus/oti/several_blocks")), "valid");
    assert_eq!(fate(include_bytes!("../fuzz/corpus/oti/largest")), "valid");
    let sub_blocks = fate(include_bytes!("../fuzz/corpus/oti/too_many_sub_blocks"));
    assert_eq!(sub_blocks, "oti_sub_blocks");
    assert_eq!(fate(include_bytes!("../fuzz/corpus/oti/zero_alignment")), "oti_alignment");
}
