//! Beside the independent crate `raptorq`: the same symbols, and each decodes the other's.

use asupersync_raptorq::parameters::{Limits, MAX_ESI, ObjectTransmissionInformation, block_sizes};
use asupersync_raptorq::pipeline::{HEADER, Receiver, Sender, SymbolKey};
use asupersync_raptorq::{Added, BlockDecoder, BlockEncoder, EncodingPlan};
use raptorq_peer as peer;

fn octets(length: usize, seed: u64) -> Vec<u8> {
    let mut s = seed | 1;
    let mut next = || {
        s ^= s << 13;
        s ^= s >> 7;
        s ^= s << 17;
        (s >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn peer_oti(length: usize, size: usize) -> peer::ObjectTransmissionInformation {
    peer::ObjectTransmissionInformation::new(length as u64, size as u16, 1, 1, 1)
}

/// Encodes one block both ways and compares source and repair symbols, the last of all included.
fn same_symbols(k: u32, size: usize) {
    let block = octets(k as usize * size, u64::from(k));
    let plan = EncodingPlan::new(k).unwrap();
    let ours = BlockEncoder::new(&plan, &block, size).unwrap();
    let theirs = peer::SourceBlockEncoder::new(0, &peer_oti(block.len(), size), &block);
    let mut packets = theirs.source_packets();
    for start in [0, 1_000, 65_530, 1 << 20, MAX_ESI - k - 9] {
        packets.extend(theirs.repair_packets(start, 10));
    }
    let esis: Vec<u32> = packets.iter().map(|p| p.payload_id().encoding_symbol_id()).collect();
    assert_eq!(esis.last(), Some(&MAX_ESI));
    let symbols = ours.select(esis.iter().copied()).unwrap();
    for (packet, symbol) in packets.iter().zip(symbols.chunks(size)) {
        assert!(packet.data() == symbol, "K = {k}, T = {size}, {:?}", packet.payload_id());
    }
}

#[test]
fn symbols_are_the_peers_for_every_block_size_to_1000() {
    for k in block_sizes().take_while(|&k| k <= 1_000) {
        same_symbols(k, 1 + k as usize % 80);
        // A block short of K' has padding symbols.
        same_symbols(k - 1, 16);
    }
}

#[test]
fn symbols_are_the_peers_for_long_blocks() {
    for k in [1_002, 2_995, 3_015, 4_999, 9_999, 10_017, 20_111, 40_398, 56_403] {
        same_symbols(k, 4);
    }
}

#[test]
#[ignore = "all 477 block sizes, a minute"]
fn symbols_are_the_peers_for_every_block_size() {
    for k in block_sizes() {
        same_symbols(k, 3);
    }
}

#[test]
fn symbols_are_the_peers_for_symbol_sizes_around_a_tile() {
    for k in [10, 101, 3_015] {
        for size in [1, 63, 64, 65, 127, 128, 255, 256, 257, 448, 1_280] {
            same_symbols(k, size);
        }
    }
}

#[test]
fn each_decodes_the_others_symbols_with_losses() {
    for (k, size) in [(1, 5), (10, 8), (26, 100), (101, 33), (500, 16), (2_000, 8), (5_000, 4)] {
        let block = octets(k as usize * size, 77);
        let oti = peer_oti(block.len(), size);
        let theirs = peer::SourceBlockEncoder::new(0, &oti, &block);
        let mut packets = theirs.source_packets();
        packets.retain(|packet| packet.payload_id().encoding_symbol_id() % 3 != 1);
        packets.extend(theirs.repair_packets(40, k));
        let mut decoder = BlockDecoder::new(k, size).unwrap();
        for packet in packets {
            let (id, data) = packet.split();
            if decoder.add(id.encoding_symbol_id(), data).unwrap() == Added::Ready {
                break;
            }
        }
        assert!(decoder.decode().as_deref() == Some(&block[..]), "K = {k}: theirs");

        let plan = EncodingPlan::new(k).unwrap();
        let ours = BlockEncoder::new(&plan, &block, size).unwrap();
        let packets = (0..k).filter(|esi| esi % 3 != 1).chain(k + 40..2 * k + 60).map(|esi| {
            peer::EncodingPacket::new(peer::PayloadId::new(0, esi), ours.symbol(esi).unwrap())
        });
        let decoded = peer::SourceBlockDecoder::new(0, &oti, block.len() as u64).decode(packets);
        assert!(decoded.as_deref() == Some(&block[..]), "K = {k}: ours");
    }
}

/// Whole objects with several blocks and sub-blocks, our pipeline against the peer's object codec.
#[test]
fn objects_with_blocks_and_sub_blocks_pass_both_ways() {
    for (length, size, blocks, sub_blocks, alignment) in
        [(20_003u64, 48, 3, 4, 4), (9_999, 40, 2, 3, 8), (5_000, 64, 1, 8, 8), (777, 8, 5, 1, 8)]
    {
        let object = octets(length as usize, length);
        let ours = ObjectTransmissionInformation::new(length, size, blocks, sub_blocks, alignment)
            .unwrap();
        let theirs = peer::ObjectTransmissionInformation::deserialize(&ours.to_bytes());
        assert_eq!(theirs.serialize(), ours.to_bytes());
        let encoder = peer::Encoder::new(&object, theirs);
        let key = SymbolKey::derive(b"interoperation");
        let mut sender = Sender::new([7; 16], ours, key.clone(), 30, 255);
        while let Some(range) = sender.wanted() {
            sender.push(&object[range.start as usize..range.end as usize]).unwrap();
        }
        let mut packet = Vec::new();
        let mut packets = Vec::new();
        while sender.poll(&mut packet) {
            packets.push(packet.clone());
        }

        // Tags aside, the packets are the peer's.
        let strip = |packet: &Vec<u8>| [&packet[..4], &packet[HEADER..]].concat();
        let mut mine: Vec<Vec<u8>> = packets.iter().map(strip).collect();
        let mut other: Vec<Vec<u8>> =
            encoder.get_encoded_packets(30).iter().map(peer::EncodingPacket::serialize).collect();
        mine.sort();
        other.sort();
        assert!(mine == other, "{ours:?}");

        let mut decoder = peer::Decoder::new(theirs);
        let mut decoded = None;
        for (i, packet) in packets.iter().enumerate() {
            if i % 11 != 3 {
                let packet = peer::EncodingPacket::deserialize(&strip(packet));
                decoded = decoded.or(decoder.decode(packet));
            }
        }
        assert!(decoded == Some(object.clone()), "the peer did not decode {ours:?}");

        let mut receiver = Receiver::new([7; 16], ours, key, &Limits::default(), 255).unwrap();
        for (i, packet) in packets.iter().enumerate() {
            if i % 11 != 5 {
                let _ = receiver.handle(packet);
            }
        }
        let mut arrived = vec![0; object.len()];
        while let Some(block) = receiver.poll() {
            let at = block.offset as usize;
            arrived[at..at + block.octets.len()].copy_from_slice(&block.octets);
        }
        assert!(receiver.is_finished() && arrived == object, "we did not decode {ours:?}");
    }
}

#[test]
fn derived_parameters_are_the_peers() {
    for length in [1, 1_000, 123_456, 10_000_000, 3_000_000_000] {
        let theirs = peer::ObjectTransmissionInformation::with_defaults(length, 1_400);
        let ours = ObjectTransmissionInformation::derive(length, 1_400, 10 << 20, 8, 8);
        assert_eq!(ours.map(|oti| oti.to_bytes()), Ok(theirs.serialize()), "F = {length}");
    }
}
