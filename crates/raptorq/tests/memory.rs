//! The stated bounds on memory, beside what the allocator counts.

use std::alloc::System;

use asupersync_raptorq::parameters::{Limits, ObjectTransmissionInformation};
use asupersync_raptorq::pipeline::{Receiver, Sender, SymbolKey};
use asupersync_raptorq::{Added, BlockDecoder};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

fn live() -> u64 {
    let stats = ALLOCATOR.stats();
    (stats.bytes_allocated - stats.bytes_deallocated) as u64
}

/// One test, so that no other allocates meanwhile.
#[test]
fn decoders_and_receivers_hold_no_more_than_they_say() {
    // IDs so far apart that each needs a page of its own in the set of those seen, in no order.
    let esi = |i: u32| (i * 7_919 % 16_381) * 1_024 + 1_000;
    for (k, size) in [(100u32, 8), (1_000, 40), (10_000, 1)] {
        let before = live();
        let mut decoder = BlockDecoder::new(k, size).unwrap();
        for i in 0..k - 1 {
            assert_eq!(decoder.add(esi(i), vec![1; size]), Ok(Added::Stored));
        }
        let bound = u64::from(k + 64) * (size as u64 + 256);
        let held = live() - before;
        assert!(held <= bound, "K = {k}: {held} octets of at most {bound}");

        // With the solver's state, which stays for symbols that come later.
        let mut i = k;
        while decoder.add(esi(i), vec![1; size]) != Ok(Added::Ready) {
            i += 1;
        }
        let parameters = decoder.parameters();
        let (l, p) = (u64::from(parameters.l), u64::from(parameters.p));
        let inactive = p + 4 * u64::from(parameters.k_prime).isqrt() + 32;
        let bound = bound + l * (192 + inactive / 8) + inactive * inactive;
        let held = live() - before;
        assert!(held <= bound, "K = {k}, solved: {held} octets of at most {bound}");
    }

    let oti = ObjectTransmissionInformation::new(3 * 40_000, 40, 3, 1, 1).unwrap();
    let key = SymbolKey::derive(b"memory");
    let mut sender = Sender::new([0; 16], oti, key.clone(), 0, 1);
    let mut packets = Vec::new();
    while let Some(range) = sender.wanted() {
        sender.push(&vec![1; (range.end - range.start) as usize]).unwrap();
        let mut packet = Vec::new();
        while sender.poll(&mut packet) {
            packets.push(packet.clone());
        }
    }
    let before = live();
    let mut receiver = Receiver::new([0; 16], oti, key, &Limits::default(), 3).unwrap();
    // The last symbol of each block would complete it.
    for block in packets.chunks(1_000) {
        for packet in &block[..999] {
            receiver.handle(packet).unwrap();
        }
    }
    let (held, bound) = (live() - before, receiver.memory_bound());
    assert!(held > 3 * 999 * 40, "nothing was held: {held}");
    assert!(held <= bound, "{held} octets of at most {bound}");
}
