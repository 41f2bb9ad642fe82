//! Packets that nobody who was asked has sent, and packets that are broken.

mod malformed;

use super::*;
use crate::RecordType;
use crate::wire::Malformed;

/// A small generator of our own: counts and seeds are what the tests say.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn asked(id: u16) -> Asked {
    let question = Question { name: name("www.example.test"), of: RecordType::A };
    Asked { server: "192.0.2.53:53".parse().unwrap(), id, question }
}

fn truth(asked: &Asked) -> Message {
    let record = |data| Record { name: asked.question.name.clone(), ttl: 60, data };
    let soa = RecordData::Soa {
        primary: name("ns.example.test"),
        mailbox: name("admin.example.test"),
        numbers: [1; 4],
        minimum: 60,
    };
    let target = || name("target.example.test");
    Message {
        response: true,
        answers: vec![
            record(RecordData::Cname(target())),
            record(RecordData::A([192, 0, 2, 1].into())),
            record(RecordData::Mx { preference: 1, exchange: target() }),
            record(RecordData::Srv { priority: 1, weight: 2, port: 3, target: target() }),
            record(RecordData::Txt([Box::from(&b"text"[..])].into())),
        ],
        authorities: vec![record(soa)],
        ..Message::question(asked.id, asked.question.clone(), Some(1232))
    }
}

/// The same message with compressed names, as servers send it: `encode` writes them out.
fn compressed(packet: &[u8], name: &Name) -> Vec<u8> {
    let mut whole = Vec::new();
    name.write(&mut whole);
    let mut out = packet[..12 + whole.len()].to_vec();
    let mut rest = &packet[12 + whole.len()..];
    while !rest.is_empty() {
        if rest.starts_with(&whole) {
            out.extend([0xc0, 12]);
            rest = &rest[whole.len()..];
        } else {
            out.push(rest[0]);
            rest = &rest[1..];
        }
    }
    out
}

/// So many false packets, each wrong in id, port, address, question or direction; all are passed over.
fn forge(count: u32) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for n in 0..count {
        let asked = asked(random.next() as u16);
        let mut lie = truth(&asked);
        let mut from = asked.server;
        match n % 6 {
            0 => lie.id ^= 1 + (random.next() as u16 >> 1),
            1 => from.set_port(from.port() ^ (1 + (random.next() as u16 >> 1))),
            2 => from.set_ip(std::net::Ipv4Addr::from(random.next() as u32 | 1 << 31).into()),
            3 => lie.questions[0].name = name(&format!("n{}.example.test", random.next())),
            4 => lie.questions[0].of = RecordType(2 + (random.next() as u16 >> 1)),
            _ => match n % 4 {
                0 => lie.response = false,
                1 => lie.opcode = 1 + (random.next() % 15) as u8,
                2 => lie.questions.clear(),
                _ => lie.questions.push(lie.questions[0].clone()),
            },
        }
        assert!(asked.accept(from, &lie.encode()).is_none(), "packet {n}: {lie:?} from {from}");
        assert!(asked.accept(asked.server, &truth(&asked).encode()).is_some());
    }
}

/// So many packets of which octets were lost or changed. Many are still good packets, of other records,
/// and are taken: those repeat id and question, and are read to an end.
fn damage(count: u32) {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let asked = asked(0xabcd);
    let plain = truth(&asked).encode();
    let packets = [compressed(&plain, &asked.question.name), plain];
    assert_eq!(Message::parse(&packets[0]), Message::parse(&packets[1]));
    let mut accepted = 0;
    for n in 0..count {
        let mut packet = packets[n as usize % 2].clone();
        match random.below(8) {
            0 => packet.truncate(random.below(packet.len())),
            1 => packet = (0..random.below(600)).map(|_| random.next() as u8).collect(),
            2 => {
                // Pointers, everywhere and to everywhere.
                for _ in 0..1 + random.below(20) {
                    let at = random.below(packet.len() - 1);
                    packet[at] = 0xc0 | (random.next() as u8 & 1);
                    packet[at + 1] = random.next() as u8;
                }
            }
            3 => {
                let at = 4 + random.below(8);
                packet[at] = random.next() as u8;
            }
            4 => {
                let from = random.below(packet.len());
                let piece = packet[from..].to_vec();
                packet.extend(piece);
            }
            _ => {
                for _ in 0..1 + random.below(6) {
                    let at = random.below(packet.len());
                    packet[at] = random.next() as u8;
                }
            }
        }
        if let Some(message) = asked.accept(asked.server, &packet) {
            accepted += 1;
            assert!(message.id == asked.id && message.questions == [asked.question.clone()]);
            let answer = read(&asked.question, &message);
            if let Answer::Records(records, _) = &answer {
                assert!(records.iter().all(|record| record.data.record_type() == RecordType::A));
            }
        }
        // Whatever can be read can be written and read again.
        if let Ok(message) = Message::parse(&packet) {
            assert_eq!(Message::parse(&message.encode()), Ok(message), "packet {n}");
        }
    }
    assert!(accepted < count / 2, "{accepted} of {count} were harmed in the records only");
}

#[test]
fn forged_packets_are_passed_over() {
    forge(2_000);
}

#[test]
fn damaged_packets_are_refused_or_read_to_an_end() {
    damage(5_000);
}

#[test]
#[ignore = "the same many times: seconds"]
fn ten_thousand_forged_and_a_hundred_thousand_damaged_packets_do_no_harm() {
    forge(10_000);
    damage(100_000);
}

#[test]
fn an_answer_is_of_the_name_asked_for_and_nothing_else() {
    let asked = asked(1);
    let mut message = truth(&asked);
    message.answers = vec![Record {
        name: name("bank.example.test"),
        ttl: 60,
        data: RecordData::A([198, 51, 100, 66].into()),
    }];
    assert!(matches!(read(&asked.question, &message), Answer::None { exists: true, .. }));
    message.code = ResponseCode::NO_SUCH_NAME.0;
    assert!(matches!(read(&asked.question, &message), Answer::None { exists: false, .. }));
    message.code = ResponseCode::REFUSED.0;
    assert!(matches!(read(&asked.question, &message), Answer::Failed(ResponseCode::REFUSED)));
}

#[test]
fn a_packet_of_more_records_than_any_answer_has_is_refused_unread() {
    let packet = |count: u16| {
        let mut packet = truth(&asked(7)).encode();
        packet.truncate(12);
        packet[4..8].copy_from_slice(&[[0, 0], count.to_be_bytes()].concat());
        packet[8..12].fill(0);
        // Of the root, type 99, class IN, no data.
        packet.extend([0, 0, 99, 0, 1, 0, 0, 0, 0, 0, 0].repeat(usize::from(count)));
        packet
    };
    assert_eq!(Message::parse(&packet(1024)).map(|message| message.answers.len()), Ok(1024));
    assert_eq!(Message::parse(&packet(1025)), Err(Malformed::TooManyRecords));
}

#[test]
fn the_longest_packet_of_pointers_is_read_in_its_length() {
    // 1,000 records whose names are pointers to the name before: a chain that grows by one each time.
    let asked = asked(7);
    let mut packet = truth(&asked).encode();
    packet.truncate(12);
    packet[4..12].copy_from_slice(&[0, 0, 3, 232, 0, 0, 0, 0]);
    let rest = [0, 99, 0, 1, 0, 0, 0, 0, 0, 0];
    packet.extend([1, b'a', 0]);
    packet.extend(rest);
    let mut before = 12;
    for _ in 0..999 {
        let at = packet.len();
        packet.extend([0xc0 | (before >> 8) as u8, before as u8]);
        packet.extend(rest);
        before = at;
    }
    let start = packet.len();
    let message = Message::parse(&packet);
    assert!(start < 16_384 && message.is_ok_and(|message| message.answers.len() == 1000));
}
