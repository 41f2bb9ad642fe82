//! A name server for tests: what it says is a function, and it counts what it is asked.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use asupersync_core::Cx;
use asupersync_dns::{Message, Question, Record, RecordData, RecordType};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_net::{TcpListener, TcpStream, UdpSocket};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

/// What a server does with a question that came by UDP.
pub enum Reply {
    Answer(Message),
    Silence,
}

pub type Says = dyn Fn(&Message) -> Reply + Send + Sync;

/// The questions that came, in their order, and whether by TCP.
pub type Log = Arc<Mutex<Vec<(Question, bool)>>>;

pub fn record(name: &str, ttl: u32, data: RecordData) -> Record {
    Record { name: name.parse().unwrap(), ttl, data }
}

pub fn a(name: &str, ttl: u32, address: &str) -> Record {
    record(name, ttl, RecordData::A(address.parse().unwrap()))
}

pub fn aaaa(name: &str, ttl: u32, address: &str) -> Record {
    record(name, ttl, RecordData::Aaaa(address.parse().unwrap()))
}

pub fn cname(name: &str, ttl: u32, target: &str) -> Record {
    record(name, ttl, RecordData::Cname(target.parse().unwrap()))
}

pub fn soa(zone: &str, minimum: u32) -> Record {
    let (primary, mailbox) = ("ns.test".parse().unwrap(), "admin.test".parse().unwrap());
    record(zone, minimum, RecordData::Soa { primary, mailbox, numbers: [1, 2, 3, 4], minimum })
}

/// The beginnings of an answer to this.
pub fn answer_to(query: &Message) -> Message {
    let plain = Message { authorities: vec![], additional: vec![], ..query.clone() };
    Message { response: true, recursion_available: true, edns: query.edns.map(|_| 1232), ..plain }
}

/// Answers from a list of records, as a server that asks others does: it follows aliases, says "no such
/// name" for names that nothing stands under, and gives the zone's word for how long.
pub fn zone(records: Vec<Record>) -> Arc<Says> {
    Arc::new(move |query| {
        let mut answer = answer_to(query);
        let Question { mut name, of } = query.questions[0].clone();
        for _ in 0..20 {
            let of_name: Vec<&Record> =
                records.iter().filter(|record| record.name == name).collect();
            let matching = of_name.iter().filter(|record| record.data.record_type() == of);
            answer.answers.extend(matching.map(|record| (*record).clone()));
            let alias = of_name.iter().find_map(|record| match &record.data {
                RecordData::Cname(target) if of != RecordType::CNAME => Some((*record, target)),
                _ => None,
            });
            match alias {
                Some((record, target)) => {
                    answer.answers.push(record.clone());
                    name = target.clone();
                }
                None => {
                    let known = records.iter().any(|record| record.name.is_within(&name));
                    if !known {
                        answer.code = 3;
                    }
                    if of_name.iter().all(|record| record.data.record_type() != of) {
                        let heads = records.iter();
                        let heads = heads.filter(|r| r.data.record_type() == RecordType::SOA);
                        answer.authorities.extend(heads.cloned());
                    }
                    break;
                }
            }
        }
        Reply::Answer(answer)
    })
}

/// Serves by UDP until it is cancelled.
pub async fn serve_udp(cx: &Cx, address: SocketAddr, says: Arc<Says>, log: Log) -> io::Result<()> {
    let socket = UdpSocket::bind(cx, address).await?;
    let mut buffer = [0; 2048];
    loop {
        let (length, from) = socket.recv_from(cx, &mut buffer).await?;
        let query = Message::parse(&buffer[..length]).expect("the question is a message");
        log.lock().unwrap().push((query.questions[0].clone(), false));
        if let Reply::Answer(mut answer) = says(&query) {
            let mut packet = answer.encode();
            if packet.len() > usize::from(query.edns.unwrap_or(512)) {
                answer.answers.clear();
                answer.truncated = true;
                packet = answer.encode();
            }
            socket.send_to(cx, &packet, from).await?;
        }
    }
}

/// Serves by TCP until it is cancelled.
pub async fn serve_tcp(cx: &Cx, address: SocketAddr, says: Arc<Says>, log: Log) -> io::Result<()> {
    let listener = TcpListener::bind(cx, address).await?;
    loop {
        let (stream, _) = listener.accept(cx).await?;
        // Whoever goes away in the middle is no reason to stop.
        let _ = one(cx, stream, &says, &log).await;
        cx.checkpoint()?;
    }
}

async fn one(cx: &Cx, mut stream: TcpStream, says: &Arc<Says>, log: &Log) -> io::Result<()> {
    let mut length = [0; 2];
    stream.read_exact(cx, &mut length).await?;
    let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(cx, &mut query).await?;
    let query = Message::parse(&query).expect("the question is a message");
    log.lock().unwrap().push((query.questions[0].clone(), true));
    if let Reply::Answer(answer) = says(&query) {
        let packet = answer.encode();
        let length = (packet.len() as u16).to_be_bytes();
        stream.write_all(cx, &[&length, &packet[..]].concat()).await?;
    }
    stream.close(cx).await
}
