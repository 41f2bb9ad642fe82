use super::Rng;
use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn link(options: VirtualOptions, seed: u64) -> Link {
    Link::new(Arc::new(options), [Rng::named(seed, [0]), Rng::named(seed, [1])])
}

fn write(link: &mut Link, end: usize, now: Time, bytes: &[u8]) -> Option<io::Result<usize>> {
    match link.write(end, now, &[IoSlice::new(bytes)]) {
        Answer::Done(result) => Some(result),
        Answer::Wait(_) => None,
    }
}

/// Reads at `end` until it would wait: the bytes, and how it ended.
fn drain(link: &mut Link, end: usize, now: Time) -> (Vec<u8>, Stop) {
    let (mut bytes, mut buf) = (Vec::new(), [0; 97]);
    loop {
        match link.read(end, now, &mut buf) {
            Answer::Done(Ok(0)) => return (bytes, Stop::End),
            Answer::Done(Ok(n)) => bytes.extend(&buf[..n]),
            Answer::Done(Err(error)) => return (bytes, Stop::Error(error.kind())),
            Answer::Wait(until) => return (bytes, Stop::Until(until)),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stop {
    End,
    Error(io::ErrorKind),
    Until(Option<Time>),
}

const LATER: Time = Time::from_secs(1_000_000);

#[derive(Clone, Debug)]
enum Operation {
    Write(usize, usize),
    Read(usize, usize),
    Advance(u64),
    Cut,
    Heal,
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        4 => (0..2usize, 0..3000usize).prop_map(|(end, n)| Operation::Write(end, n)),
        4 => (0..2usize, 1..3000usize).prop_map(|(end, n)| Operation::Read(end, n)),
        2 => (0..400_000u64).prop_map(Operation::Advance),
        1 => Just(Operation::Cut),
        1 => Just(Operation::Heal),
    ]
}

proptest! {
    /// The model is two queues of bytes.
    #[test]
    fn every_byte_arrives_once_in_order_within_the_window(
        seed: u64,
        operations in prop::collection::vec(operation(), 1..200),
    ) {
        let options = VirtualOptions::from_seed(seed);
        let window = options.window;
        let mut link = link(options, seed);
        let mut now = Time::ZERO;
        let (mut sent, mut received) = ([vec![], vec![]], [vec![], vec![]]);
        let mut next = 0u8;
        let mut is_cut = false;
        for operation in operations {
            match operation {
                Operation::Write(end, n) => {
                    let bytes: Vec<u8> = (0..n).map(|_| { next = next.wrapping_add(1); next }).collect();
                    let taken = match write(&mut link, end, now, &bytes) {
                        Some(result) => result.unwrap(),
                        None => { prop_assert_eq!(link.buffered(end), window); 0 }
                    };
                    sent[end].extend(&bytes[..taken]);
                }
                Operation::Read(end, n) => {
                    let mut buf = vec![0; n];
                    match link.read(end, now, &mut buf) {
                        Answer::Done(result) => {
                            let n = result.unwrap();
                            prop_assert!(n > 0, "an open direction has no end");
                            received[end].extend(&buf[..n]);
                        }
                        Answer::Wait(Some(until)) => prop_assert!(until > now),
                        Answer::Wait(None) => prop_assert!(is_cut || link.buffered(1 - end) == 0),
                    }
                }
                Operation::Advance(micros) => now = now + Duration::from_micros(micros),
                Operation::Cut => { is_cut = true; link.cut(0, now); link.cut(1, now); }
                Operation::Heal => { is_cut = false; link.heal(0, now); link.heal(1, now); }
            }
            for end in [0, 1] {
                prop_assert!(link.buffered(end) <= window);
                prop_assert_eq!(link.buffered(end), sent[end].len() - received[1 - end].len());
                prop_assert!(sent[end].starts_with(&received[1 - end]));
            }
        }
        for end in [0, 1] {
            link.heal(end, now);
            link.shut_write(end, now);
        }
        for end in [0, 1] {
            let (rest, stop) = drain(&mut link, 1 - end, LATER);
            received[1 - end].extend(rest);
            prop_assert_eq!(stop, Stop::End);
            prop_assert_eq!(&sent[end], &received[1 - end]);
        }
    }
}

#[test]
fn nothing_arrives_before_its_latency_has_passed() {
    let latency = Duration::from_millis(3);
    let options = VirtualOptions { latency: latency..=latency, ..VirtualOptions::default() };
    let mut link = link(options, 1);
    write(&mut link, 0, Time::ZERO, b"x").unwrap().unwrap();
    let due = Time::from_millis(3);
    assert_eq!(drain(&mut link, 1, Time::from_millis(2)), (vec![], Stop::Until(Some(due))));
    assert_eq!(drain(&mut link, 1, due), (b"x".to_vec(), Stop::Until(None)));
}

#[test]
fn nothing_arrives_while_the_path_is_cut() {
    let mut link = link(VirtualOptions::default(), 1);
    write(&mut link, 0, Time::ZERO, b"before").unwrap().unwrap();
    link.cut(0, Time::ZERO);
    write(&mut link, 0, Time::ZERO, b" during").unwrap().unwrap();
    link.shut_write(0, Time::ZERO);
    assert_eq!(drain(&mut link, 1, LATER), (vec![], Stop::Until(None)));
    link.heal(0, LATER);
    let much_later = LATER + Duration::from_secs(1);
    assert_eq!(drain(&mut link, 1, much_later), (b"before during".to_vec(), Stop::End));
}

#[test]
fn closing_with_unread_bytes_resets_the_peer_behind_what_was_sent() {
    let mut link = link(VirtualOptions::default(), 1);
    write(&mut link, 0, Time::ZERO, b"unread").unwrap().unwrap();
    write(&mut link, 1, Time::ZERO, b"answer").unwrap().unwrap();
    link.close(1, Time::ZERO, false);
    let reset = Stop::Error(io::ErrorKind::ConnectionReset);
    assert_eq!(drain(&mut link, 0, LATER), (b"answer".to_vec(), reset));
}

#[test]
fn closing_with_everything_read_is_the_ordinary_end() {
    let mut link = link(VirtualOptions::default(), 1);
    write(&mut link, 1, Time::ZERO, b"answer").unwrap().unwrap();
    link.close(1, Time::ZERO, false);
    assert_eq!(drain(&mut link, 0, LATER), (b"answer".to_vec(), Stop::End));
}

#[test]
fn writing_to_a_peer_that_is_gone_answers_a_reset_a_round_trip_later() {
    let mut link = link(VirtualOptions::default(), 1);
    link.close(1, Time::ZERO, false);
    assert_eq!(write(&mut link, 0, Time::ZERO, b"lost").unwrap().unwrap(), 4);
    assert_eq!(write(&mut link, 0, Time::ZERO, b"lost").unwrap().unwrap(), 4);
    let error = write(&mut link, 0, LATER, b"more").unwrap().unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_by_the_network_loses_only_what_has_not_arrived() {
    let latency = Duration::from_millis(1);
    let options = VirtualOptions { latency: latency..=latency, ..VirtualOptions::default() };
    let mut link = link(options, 1);
    write(&mut link, 0, Time::ZERO, b"arrived").unwrap().unwrap();
    write(&mut link, 0, Time::from_millis(1), b"under way").unwrap().unwrap();
    link.reset(Time::from_millis(1));
    let reset = || Stop::Error(io::ErrorKind::ConnectionReset);
    assert_eq!(drain(&mut link, 1, LATER), (b"arrived".to_vec(), reset()));
    assert_eq!(drain(&mut link, 0, LATER), (vec![], reset()));
}

#[test]
fn half_a_close_leaves_the_other_direction_open() {
    let mut link = link(VirtualOptions::default(), 1);
    link.shut_write(0, Time::ZERO);
    assert_eq!(
        write(&mut link, 0, Time::ZERO, b"x").unwrap().unwrap_err().kind(),
        io::ErrorKind::BrokenPipe
    );
    assert_eq!(drain(&mut link, 1, LATER), (vec![], Stop::End));
    write(&mut link, 1, LATER, b"still").unwrap().unwrap();
    let read = drain(&mut link, 0, LATER + Duration::from_secs(1));
    assert_eq!(read, (b"still".to_vec(), Stop::Until(None)));
}

#[test]
fn resets_strike_as_often_as_the_options_say() {
    let options = VirtualOptions { reset: 100_000, ..VirtualOptions::default() };
    let struck = (0..2000).filter(|&seed| {
        let mut link = link(options.clone(), seed);
        write(&mut link, 0, Time::ZERO, b"x").unwrap().unwrap();
        drain(&mut link, 1, LATER).1 != Stop::Until(None)
    });
    let struck = struck.count();
    assert!((150..=250).contains(&struck), "one segment in ten, and {struck} of 2000 were struck");
}

#[test]
fn a_line_of_a_thousand_bytes_a_second_carries_no_more() {
    let options = VirtualOptions {
        bandwidth: std::num::NonZeroU64::new(1_000),
        latency: Duration::from_millis(10)..=Duration::from_millis(10),
        split: 0,
        short_read: 0,
        segment: 100,
        ..VirtualOptions::default()
    };
    let mut link = link(options, 3);
    write(&mut link, 0, Time::ZERO, &[7; 1_000]).unwrap().unwrap();
    write(&mut link, 1, Time::ZERO, &[8; 100]).unwrap().unwrap();
    // The other direction has its own line; a segment arrives whole, its latency after its last byte.
    assert_eq!(drain(&mut link, 0, Time::from_millis(110)).0.len(), 100);
    assert_eq!(drain(&mut link, 1, Time::from_millis(109)).0.len(), 0);
    assert_eq!(drain(&mut link, 1, Time::from_millis(510)).0.len(), 500);
    assert_eq!(drain(&mut link, 1, Time::from_millis(1_009)).0.len(), 400);
    assert_eq!(drain(&mut link, 1, Time::from_millis(1_010)).0.len(), 100);
    // A line that was idle starts anew.
    write(&mut link, 0, Time::from_millis(5_000), &[7; 100]).unwrap().unwrap();
    assert_eq!(drain(&mut link, 1, Time::from_millis(5_110)).0.len(), 100);
}

#[test]
fn a_crash_is_silent_until_the_peer_writes() {
    let mut link = link(VirtualOptions::default(), 3);
    write(&mut link, 0, Time::ZERO, b"before").unwrap().unwrap();
    link.crash(0, Time::ZERO);
    link.close(0, Time::ZERO, false);
    let (bytes, stop) = drain(&mut link, 1, LATER);
    assert_eq!((&bytes[..], stop), (&b"before"[..], Stop::Until(None)));
    assert_eq!(drain(&mut link, 0, LATER).1, Stop::Error(io::ErrorKind::ConnectionReset));
    assert_eq!(write(&mut link, 1, LATER, b"?").unwrap().unwrap(), 1);
    let later = LATER + Duration::from_secs(1);
    assert_eq!(drain(&mut link, 1, later).1, Stop::Error(io::ErrorKind::ConnectionReset));
}
