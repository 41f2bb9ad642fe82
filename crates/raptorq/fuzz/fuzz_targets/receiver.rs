//! Twelve octets of object information, then packets of a length octet and that many octets: nothing
//! unauthenticated is accepted and nothing panics.
#![no_main]

use asupersync_raptorq::parameters::{Limits, ObjectTransmissionInformation};
use asupersync_raptorq::pipeline::{Receiver, SymbolKey};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((oti, mut rest)) = bytes.split_first_chunk::<12>() else { return };
    let Ok(oti) = ObjectTransmissionInformation::from_bytes(*oti) else { return };
    let limits = Limits { transfer_length: 1 << 20, block_bytes: 1 << 16 };
    let key = SymbolKey::derive(b"a key that the input does not know");
    let Ok(mut receiver) = Receiver::new([0; 16], oti, key, &limits, 2) else { return };
    let mut count = 0;
    while let Some((&length, others)) = rest.split_first() {
        let (packet, others) = others.split_at(others.len().min(usize::from(length)));
        assert!(receiver.handle(packet).is_err());
        rest = others;
        count += 1;
    }
    let counters = receiver.counters();
    assert_eq!(counters.accepted, 0);
    assert_eq!(counters.malformed + counters.forged, count);
    assert!(receiver.poll().is_none());
});
