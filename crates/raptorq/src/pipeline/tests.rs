use super::*;
use crate::parameters::Limits;

const OBJECT: ObjectId = *b"a snapshot, no 1";

fn key() -> SymbolKey {
    SymbolKey::derive(b"a secret of the test, long enough")
}

fn object(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i * 31 + i / 251) as u8).collect()
}

/// Sends the object through `channel`, which may drop, repeat, change and add packets.
fn transfer(
    oti: ObjectTransmissionInformation,
    repair: u32,
    window: u8,
    mut channel: impl FnMut(usize, &[u8]) -> Vec<Vec<u8>>,
) -> (Option<Vec<u8>>, Counters) {
    let source = object(oti.transfer_length() as usize);
    let mut sender = Sender::new(OBJECT, oti, key(), repair, window);
    let mut receiver = Receiver::new(OBJECT, oti, key(), &Limits::default(), window).unwrap();
    let mut to = vec![0; source.len()];
    let (mut packet, mut count) = (Vec::new(), 0);
    while !sender.is_finished() {
        while let Some(range) = sender.wanted() {
            sender.push(&source[range.start as usize..range.end as usize]).unwrap();
        }
        assert!(sender.poll(&mut packet));
        for packet in channel(count, &packet) {
            let _ = receiver.handle(&packet);
        }
        count += 1;
        while let Some(block) = receiver.poll() {
            let at = block.offset as usize;
            to[at..at + block.octets.len()].copy_from_slice(&block.octets);
        }
    }
    if receiver.is_finished() {
        assert!(to == source, "the object arrived changed");
    }
    (receiver.is_finished().then_some(to), *receiver.counters())
}

#[test]
fn an_object_survives_losses_with_blocks_and_sub_blocks() {
    for (length, size, blocks, sub_blocks, alignment) in
        [(1, 1, 1, 1, 1), (10_001, 40, 7, 3, 4), (50_000, 128, 3, 1, 8), (4_096, 64, 1, 8, 8)]
    {
        let oti = ObjectTransmissionInformation::new(length, size, blocks, sub_blocks, alignment)
            .unwrap();
        let lose_a_fifth = |count: usize, packet: &[u8]| {
            if count % 5 == 2 { Vec::new() } else { vec![packet.to_vec()] }
        };
        let repair = oti.symbols_in_block(0).unwrap() / 3 + 8;
        for window in [1, 3] {
            let (arrived, _) = transfer(oti, repair, window, lose_a_fifth);
            assert!(arrived.is_some(), "{oti:?} window {window}");
        }
    }
}

#[test]
fn every_bad_packet_is_rejected_and_counted_and_harms_nothing() {
    let oti = ObjectTransmissionInformation::new(5_000, 50, 2, 1, 1).unwrap();
    let (arrived, counters) = transfer(oti, 10, 2, |count, packet| {
        let mut forged = packet.to_vec();
        let at = count % packet.len();
        forged[at] ^= 1 << (count % 8);
        let short = packet[..packet.len() - 1].to_vec();
        vec![forged, short, packet.to_vec(), packet.to_vec()]
    });
    assert!(arrived.is_some());
    let sent = 2 * (50 + 10);
    assert_eq!(counters.accepted, 100);
    assert_eq!(counters.duplicate, 98);
    assert_eq!(counters.late, 2 * sent - 198);
    // A changed block number that the object does not have is malformed before it is forged.
    assert_eq!(counters.forged + counters.malformed, 2 * sent);
    assert!(counters.malformed >= sent);
}

#[test]
fn a_tag_is_good_for_one_place_in_one_object_under_one_key() {
    let oti = ObjectTransmissionInformation::new(5_000, 50, 2, 1, 1).unwrap();
    let mut sender = Sender::new(OBJECT, oti, key(), 0, 1);
    sender.push(&object(2_500)).unwrap();
    let mut packet = Vec::new();
    assert!(sender.poll(&mut packet));
    let receiver = |object: ObjectId, oti, key| {
        Receiver::new(object, oti, key, &Limits::default(), 1).unwrap()
    };
    assert_eq!(receiver(OBJECT, oti, key()).handle(&packet), Ok(Accepted::Stored));
    let mut elsewhere = packet.clone();
    elsewhere[3] = 1;
    assert_eq!(receiver(OBJECT, oti, key()).handle(&elsewhere), Err(Rejection::Tag));
    elsewhere = packet.clone();
    elsewhere[0] = 1;
    assert_eq!(receiver(OBJECT, oti, key()).handle(&elsewhere), Err(Rejection::Tag));
    assert_eq!(receiver([0; 16], oti, key()).handle(&packet), Err(Rejection::Tag));
    let other = ObjectTransmissionInformation::new(5_001, 50, 2, 1, 1).unwrap();
    assert_eq!(receiver(OBJECT, other, key()).handle(&packet), Err(Rejection::Tag));
    let wrong = SymbolKey::derive(b"another secret");
    assert_eq!(receiver(OBJECT, oti, wrong).handle(&packet), Err(Rejection::Tag));
}

#[test]
fn a_window_bounds_what_is_held() {
    let oti = ObjectTransmissionInformation::new(5_000, 50, 5, 1, 1).unwrap();
    let mut sender = Sender::new(OBJECT, oti, key(), 0, 5);
    for block in object(5_000).chunks(1_000) {
        sender.push(block).unwrap();
    }
    assert_eq!(sender.push(&[]), Err(SendError::NotWanted));
    let mut receiver = Receiver::new(OBJECT, oti, key(), &Limits::default(), 2).unwrap();
    let mut packet = Vec::new();
    let mut results = Vec::new();
    for _ in 0..5 {
        assert!(sender.poll(&mut packet));
        results.push(receiver.handle(&packet));
    }
    let (stored, full) = (Ok(Accepted::Stored), Err(Rejection::Window));
    assert_eq!(results, [stored, stored, full, full, full]);
    assert_eq!(receiver.counters().window, 3);
    assert_eq!(receiver.memory_bound(), 2 * (20 + 64) * (50 + 256));
}

#[test]
fn the_sender_takes_exactly_the_octets_it_wants() {
    let oti = ObjectTransmissionInformation::new(99, 10, 1, 1, 1).unwrap();
    let mut sender = Sender::new(OBJECT, oti, key(), 1 << 24, 1);
    assert_eq!(sender.wanted(), Some(0..99));
    assert_eq!(sender.push(&[0; 98]), Err(SendError::Length { given: 98, wanted: 99 }));
    assert_eq!(sender.push(&[0; 99]).unwrap_err().code(), "encode_esi");
    assert!(!sender.poll(&mut Vec::new()));
}
