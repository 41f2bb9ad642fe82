//! Twelve octets from a peer: refused, or consistent and the same again when written.
#![no_main]

use asupersync_raptorq::parameters::ObjectTransmissionInformation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: [u8; 12]| {
    let Ok(oti) = ObjectTransmissionInformation::from_bytes(bytes) else { return };
    assert_eq!(oti.to_bytes(), bytes);
    let mut next = 0;
    for block in 0..oti.source_blocks() {
        let range = oti.block_range(block).expect("a block below Z");
        assert_eq!(range.start, next);
        next = range.end;
    }
    assert_eq!(next, oti.transfer_length());
    assert_eq!(oti.sub_symbol_sizes().sum::<usize>(), usize::from(oti.symbol_size()));
});
