//! What an answer says about a question.

use crate::message::{Message, Question, ResponseCode};
use crate::{Name, Record, RecordData};
use std::net::SocketAddr;
use std::time::Duration;

/// How many names in a row may stand for one another.
pub(crate) const LONGEST_CHAIN: usize = 8;

/// A question that was sent, and to whom.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) server: SocketAddr,
    pub(crate) id: u16,
    pub(crate) question: Question,
}

impl Asked {
    /// The message, if it is the answer to this question: from the server that was asked, with the same
    /// id and question. Everything else is somebody else's, or forged (RFC 5452 section 9.1).
    pub(crate) fn accept(&self, from: SocketAddr, packet: &[u8]) -> Option<Message> {
        if !self.may_be(from, packet) {
            return None;
        }
        let message = Message::parse(packet).ok()?;
        self.answers_it(&message).then_some(message)
    }

    /// Whether the packet is the beginning of this question's answer, which says that it is no more than
    /// that, or `fills` all the room there was for it.
    pub(crate) fn is_cut(&self, from: SocketAddr, packet: &[u8], fills: bool) -> bool {
        self.may_be(from, packet)
            && Message::parse_head(packet)
                .is_ok_and(|head| self.answers_it(&head) && (head.truncated || fills))
    }

    /// Before anything else is read: most of what is forged ends here. An answer has one question (RFC
    /// 9619); one of another class would not be seen in the message.
    fn may_be(&self, from: SocketAddr, packet: &[u8]) -> bool {
        from.port() == self.server.port()
            && from.ip().to_canonical() == self.server.ip().to_canonical()
            && packet.get(..2) == Some(&self.id.to_be_bytes())
            && packet.get(4..6) == Some(&[0, 1])
    }

    fn answers_it(&self, message: &Message) -> bool {
        message.response
            && message.opcode == 0
            && message.questions == std::slice::from_ref(&self.question)
    }
}

/// What a server's answer comes to.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Records of the type, and how long they may be kept.
    Records(Vec<Record>, Duration),
    /// The name stands for this one, of which the server says nothing more.
    Alias(Name, Duration),
    /// The name has no record of the type, or does not exist.
    None { exists: bool, keep: Duration },
    /// The names stand for one another without an end.
    Chain,
    /// The server cannot or does not want to answer; by [`ResponseCode::OK`] it refers to others.
    Failed(ResponseCode),
}

/// Reads an answer. Only records of the name asked for, or of the names that it stands for, count:
/// what else a server adds is nobody's business.
pub(crate) fn read(question: &Question, message: &Message) -> Answer {
    let code = ResponseCode(message.code);
    if code != ResponseCode::OK && code != ResponseCode::NO_SUCH_NAME {
        return Answer::Failed(code);
    }
    // It does not know the zone and asks nobody: that is no "no" (RFC 1034 section 4.3.1).
    let knows = message.authoritative || message.recursion_available;
    if code == ResponseCode::OK && message.answers.is_empty() && !knows {
        return Answer::Failed(code);
    }
    let mut name = &question.name;
    let mut keep = u32::MAX;
    for _ in 0..=LONGEST_CHAIN {
        let of_name = message.answers.iter().filter(|record| record.name == *name);
        let records: Vec<Record> = of_name
            .clone()
            .filter(|record| record.data.record_type() == question.of)
            .cloned()
            .collect();
        if !records.is_empty() {
            let keep = records.iter().fold(keep, |keep, record| keep.min(record.ttl));
            return Answer::Records(records, seconds(keep));
        }
        let alias = of_name.clone().find_map(|record| match &record.data {
            RecordData::Cname(target) => Some((target, record.ttl)),
            _ => None,
        });
        match alias {
            Some((target, ttl)) => {
                keep = keep.min(ttl);
                name = target;
            }
            None if name == &question.name || code == ResponseCode::NO_SUCH_NAME => {
                let exists = code == ResponseCode::OK;
                return Answer::None { exists, keep: seconds(negative(message, name).min(keep)) };
            }
            // A server that asks others has followed as far as it got.
            None if negative(message, name) > 0 => {
                return Answer::None {
                    exists: true,
                    keep: seconds(negative(message, name).min(keep)),
                };
            }
            None => return Answer::Alias(name.clone(), seconds(keep)),
        }
    }
    Answer::Chain
}

/// For how many seconds "no" may be kept: the zone's own word, if there is one (RFC 2308 section 5).
fn negative(message: &Message, name: &Name) -> u32 {
    let of_zone = message.authorities.iter().filter(|record| name.is_within(&record.name));
    let minimum = of_zone.filter_map(|record| match record.data {
        RecordData::Soa { minimum, .. } => Some(minimum.min(record.ttl)),
        _ => None,
    });
    minimum.min().unwrap_or(0)
}

fn seconds(count: u32) -> Duration {
    Duration::from_secs(u64::from(count))
}

#[cfg(test)]
mod tests;
