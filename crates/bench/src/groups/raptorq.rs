//! RaptorQ beside the crate `raptorq` 2 and beside `memcpy`.
//!
//! Symbols of 1,280 octets, one thread, K = 100, 1,000, 10,000 and 50,000. Figures are MiB of
//! *source* per second:
//!
//! - `encode`: source block in, K/10 repair symbols out, the plan at hand on both sides;
//! - `encode_keep`: the same through an encoder that keeps the intermediate symbols;
//! - `encode_first`: `encode` including making the plan;
//! - `decode`: K + 2 repair symbols and nothing else in, the source block out, to a buffer used before;
//! - `decode_new`: the same to memory fresh from the system, as the peer does in both.
//!
//! `memcpy` copies between two buffers of 256 MiB: memory bandwidth.

use std::time::Duration;

use asupersync_raptorq::{BlockDecoder, BlockEncoder, EncodingPlan, Kernel, encode_symbols};
use raptorq_peer::{
    EncodingPacket, ObjectTransmissionInformation, PayloadId, SourceBlockDecoder,
    SourceBlockEncoder, SourceBlockEncodingPlan,
};

use crate::runner::{Better, Row, Runner, Side, mib_per_second, time};

const SYMBOL: usize = 1280;
const COPY: usize = 256 << 20;
const PEER: &str = "raptorq 2";

/// Runs the group.
pub fn run(runner: &mut Runner) {
    let source = vec![1u8; COPY];
    let mut copy = vec![0u8; COPY];
    let mut memcpy = move || {
        let (took, ()) = time(|| copy.copy_from_slice(std::hint::black_box(&source)));
        mib_per_second(COPY, took)
    };
    let sizes: &[u32] = if runner.quick() { &[100, 1_000] } else { &[100, 1_000, 10_000, 50_000] };
    for &k in sizes {
        block_size(runner, k, &mut memcpy);
    }
    for work in ["encode", "decode"] {
        let rate = |k: u32| {
            let bench = format!("raptorq_{work}_k{k}");
            runner.rows().iter().find(|row| row.bench == bench).map(|row| row.ours)
        };
        if let (Some(ours), Some(theirs)) = (rate(10_000), rate(1_000)) {
            let bench = format!("raptorq_{work}_k10000_of_k1000");
            let ratio = ours / theirs;
            let row = Row { bench, ours, peer: "k1000", theirs, unit: "MiB/s", ratio, spread: 0.0 };
            runner.push(row);
        }
    }
}

fn block_size(runner: &mut Runner, k: u32, memcpy: &mut dyn FnMut() -> f64) {
    let bytes = k as usize * SYMBOL;
    let repair = k / 10;
    // A round takes 16 MiB of source, in as many blocks as that makes: at every K it comes from memory.
    let times = ((16 << 20) / bytes).max(1);
    let source: Vec<u8> =
        (0..bytes * times).map(|i| (i as u32).wrapping_mul(0x9E37_79B9).to_be_bytes()[0]).collect();
    let blocks: Vec<&[u8]> = source.chunks(bytes).collect();
    let block = blocks[0];
    let rate = |took: Duration| mib_per_second(bytes * times, took);
    let oti = ObjectTransmissionInformation::new(bytes as u64, SYMBOL as u16, 1, 1, 8);

    let plan = EncodingPlan::new(k).expect("K is in range");
    let peer_plan = SourceBlockEncodingPlan::generate(k as u16);
    let mut output = vec![0; repair as usize * SYMBOL];
    let one_pass = |plan: &EncodingPlan, block: &[u8], output: &mut [u8]| {
        encode_symbols(Kernel::detect(), plan, block, SYMBOL, k..k + repair, output)
            .expect("sizes fit");
    };
    let peer_encode = |plan: &SourceBlockEncodingPlan, block: &[u8]| {
        SourceBlockEncoder::with_encoding_plan(0, &oti, block, plan).repair_packets(0, repair)
    };
    let mut peer_warm =
        || rate(time(|| blocks.iter().for_each(|block| drop(peer_encode(&peer_plan, block)))).0);
    let ours =
        || rate(time(|| blocks.iter().for_each(|block| one_pass(&plan, block, &mut output))).0);
    let sides = vec![
        Side::new("", ours),
        Side::new(PEER, &mut peer_warm),
        Side::new("memcpy", &mut *memcpy),
    ];
    runner.compare(&format!("raptorq_encode_k{k}"), "MiB/s", Better::Higher, sides);

    let keep = |block: &[u8]| {
        let encoder = BlockEncoder::new(&plan, block, SYMBOL).expect("sizes fit");
        encoder.symbols(k..k + repair).expect("below 2^24")
    };
    let sides = vec![
        Side::new("", || rate(time(|| blocks.iter().for_each(|block| drop(keep(block)))).0)),
        Side::new(PEER, &mut peer_warm),
        Side::new("memcpy", &mut *memcpy),
    ];
    runner.compare(&format!("raptorq_encode_keep_k{k}"), "MiB/s", Better::Higher, sides);

    let mut output = vec![0; repair as usize * SYMBOL];
    let mut first = |block: &[u8]| {
        one_pass(&EncodingPlan::new(k).expect("K is in range"), block, &mut output);
    };
    let peer_first =
        |block: &[u8]| peer_encode(&SourceBlockEncodingPlan::generate(k as u16), block);
    let sides = vec![
        Side::new("", || rate(time(|| blocks.iter().for_each(|block| first(block))).0)),
        Side::new(PEER, || {
            rate(time(|| blocks.iter().for_each(|block| drop(peer_first(block)))).0)
        }),
    ];
    runner.compare(&format!("raptorq_encode_first_k{k}"), "MiB/s", Better::Higher, sides);

    let received = k..k + k + 2;
    let encoder = BlockEncoder::new(&plan, block, SYMBOL).expect("sizes fit");
    let symbols: Vec<Vec<u8>> =
        received.clone().map(|esi| encoder.symbol(esi).expect("below 2^24")).collect();
    let receive = |symbols: Vec<Vec<u8>>| {
        let mut decoder = BlockDecoder::new(k, SYMBOL).expect("K is in range");
        for (esi, symbol) in received.clone().zip(symbols) {
            let _ = decoder.add(esi, symbol).expect("a symbol of the block");
        }
        decoder
    };
    let mut output = vec![1; bytes];
    let decode = || {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            let symbols = symbols.clone();
            took += time(|| assert!(receive(symbols).decode_into(&mut output))).0;
            assert!(output == block, "decoded something else");
        }
        rate(took)
    };
    let decode_new = || {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            let symbols = symbols.clone();
            let (one, decoded) = time(|| receive(symbols).decode());
            assert!(decoded.as_deref() == Some(block), "decoded something else");
            took += one;
        }
        rate(took)
    };
    let mut peer_decode = || {
        let mut took = Duration::ZERO;
        for _ in 0..times {
            let packet = |(esi, symbol): (u32, &Vec<u8>)| {
                EncodingPacket::new(PayloadId::new(0, esi), symbol.clone())
            };
            let packets: Vec<_> = received.clone().zip(&symbols).map(packet).collect();
            let (one, decoded) =
                time(|| SourceBlockDecoder::new(0, &oti, bytes as u64).decode(packets));
            assert!(decoded.as_deref() == Some(block), "the peer decoded something else");
            took += one;
        }
        rate(took)
    };
    let sides = vec![
        Side::new("", decode),
        Side::new(PEER, &mut peer_decode),
        Side::new("memcpy", &mut *memcpy),
    ];
    runner.compare(&format!("raptorq_decode_k{k}"), "MiB/s", Better::Higher, sides);

    let sides = vec![
        Side::new("", decode_new),
        Side::new(PEER, &mut peer_decode),
        Side::new("memcpy", &mut *memcpy),
    ];
    runner.compare(&format!("raptorq_decode_new_k{k}"), "MiB/s", Better::Higher, sides);
}
