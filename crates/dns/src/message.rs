//! Messages, from octets and to octets (RFC 1035 section 4, RFC 6891).

use crate::wire::{Malformed, Reader};
use crate::{Name, Record, RecordData, RecordType};

/// The class "Internet".
const IN: u16 = 1;
/// More records than any answer to a question of ours has.
const MOST_RECORDS: usize = 1024;

const RESPONSE: u16 = 0x8000;
const TRUNCATED: u16 = 0x0200;
const RECURSION_DESIRED: u16 = 0x0100;
const RECURSION_AVAILABLE: u16 = 0x0080;
const AUTHORITATIVE: u16 = 0x0400;
const OPCODE: u16 = 0x7800;

/// What a server says of a question (RFC 1035 section 4.1.1, RFC 6895).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ResponseCode(pub u16);

impl ResponseCode {
    /// No error.
    pub const OK: ResponseCode = ResponseCode(0);
    /// The server could not read the question.
    pub const FORMAT: ResponseCode = ResponseCode(1);
    /// The server failed.
    pub const SERVER_FAILURE: ResponseCode = ResponseCode(2);
    /// There is no such name.
    pub const NO_SUCH_NAME: ResponseCode = ResponseCode(3);
    /// The server does not want to answer.
    pub const REFUSED: ResponseCode = ResponseCode(5);
}

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Question {
    /// Of which name.
    pub name: Name,
    /// Records of which type.
    pub of: RecordType,
}

/// A message: a question, or an answer to one.
///
/// Reading it is total: every packet is a message or [`Malformed`], with no loop and no allocation
/// beyond a small multiple of the packet's length. Records of other classes than "Internet" are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Pairs an answer with its question.
    pub id: u16,
    /// Whether it is an answer.
    pub response: bool,
    /// What sort of question; 0 is the ordinary one.
    pub opcode: u8,
    /// Whether the server answers for the zone itself.
    pub authoritative: bool,
    /// Whether the answer was too long for its packet.
    pub truncated: bool,
    /// Whether the server shall ask others.
    pub recursion_desired: bool,
    /// Whether it does.
    pub recursion_available: bool,
    /// What the server says, the upper bits from the OPT record.
    pub code: u16,
    /// The questions, of class "Internet".
    pub questions: Vec<Question>,
    /// Answers.
    pub answers: Vec<Record>,
    /// Who answers for the zone.
    pub authorities: Vec<Record>,
    /// What else may be of use, but for the OPT record.
    pub additional: Vec<Record>,
    /// The longest packet that the sender receives, in octets, if it speaks EDNS.
    pub edns: Option<u16>,
}

fn pass_option(options: &mut Reader<'_>) -> Result<(), Malformed> {
    let (_number, length) = (options.u16()?, options.u16()?);
    options.take(usize::from(length)).map(drop)
}

impl Message {
    /// A question for a server that asks others.
    #[must_use]
    pub fn question(id: u16, question: Question, edns: Option<u16>) -> Message {
        Message {
            id,
            recursion_desired: true,
            questions: vec![question],
            edns,
            ..Message::default()
        }
    }

    /// Reads a packet.
    ///
    /// # Errors
    /// Why it is no message.
    pub fn parse(packet: &[u8]) -> Result<Message, Malformed> {
        let mut reader = Reader::new(packet);
        let (mut message, counts) = Message::read_head(&mut reader)?;
        for (section, count) in counts.into_iter().enumerate() {
            for _ in 0..count {
                message.read_record(section + 1, &mut reader)?;
            }
        }
        if reader.is_at_end() { Ok(message) } else { Err(Malformed::Trailing) }
    }

    /// A message up to its questions, whatever follows.
    pub(crate) fn parse_head(packet: &[u8]) -> Result<Message, Malformed> {
        Ok(Message::read_head(&mut Reader::new(packet))?.0)
    }

    /// And how many records of each section are to follow.
    fn read_head(reader: &mut Reader<'_>) -> Result<(Message, [usize; 3]), Malformed> {
        let id = reader.u16()?;
        let flags = reader.u16()?;
        let counts = [reader.u16()?, reader.u16()?, reader.u16()?, reader.u16()?].map(usize::from);
        if counts.iter().sum::<usize>() > MOST_RECORDS {
            return Err(Malformed::TooManyRecords);
        }
        let mut message = Message {
            id,
            response: flags & RESPONSE != 0,
            opcode: ((flags & OPCODE) >> 11) as u8,
            authoritative: flags & AUTHORITATIVE != 0,
            truncated: flags & TRUNCATED != 0,
            recursion_desired: flags & RECURSION_DESIRED != 0,
            recursion_available: flags & RECURSION_AVAILABLE != 0,
            code: flags & 0xf,
            ..Message::default()
        };
        for _ in 0..counts[0] {
            let question = Question { name: Name::read(reader)?, of: RecordType(reader.u16()?) };
            if reader.u16()? == IN {
                message.questions.push(question);
            }
        }
        Ok((message, [counts[1], counts[2], counts[3]]))
    }

    fn read_record(&mut self, section: usize, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let name = Name::read(reader)?;
        let of = RecordType(reader.u16()?);
        let class = reader.u16()?;
        let ttl = reader.u32()?;
        let length = usize::from(reader.u16()?);
        if of == RecordType::OPT {
            // The class is the sender's packet length, the time the upper bits of the code.
            if section != 3 || self.edns.is_some() || name != Name::root() {
                return Err(Malformed::Edns);
            }
            // Options, each a number, a length and so many octets (RFC 6891 section 6.1.2).
            let mut options = Reader::new(reader.take(length)?);
            while !options.is_at_end() {
                pass_option(&mut options).map_err(|_| Malformed::Edns)?;
            }
            self.edns = Some(class);
            self.code |= ((ttl >> 24) as u16) << 4;
            return Ok(());
        }
        if class != IN {
            reader.take(length)?;
            return Ok(());
        }
        let data = RecordData::read(of, length, reader)?;
        let ttl = if ttl > i32::MAX as u32 { 0 } else { ttl };
        let record = Record { name, ttl, data };
        match section {
            1 => self.answers.push(record),
            2 => self.authorities.push(record),
            _ => self.additional.push(record),
        }
        Ok(())
    }

    /// The octets of it, without compression. Sections longer than 65,535 records are cut.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        out.extend(self.id.to_be_bytes());
        let flag = |set: bool, bit: u16| if set { bit } else { 0 };
        let flags = flag(self.response, RESPONSE)
            | u16::from(self.opcode & 0xf) << 11
            | flag(self.authoritative, AUTHORITATIVE)
            | flag(self.truncated, TRUNCATED)
            | flag(self.recursion_desired, RECURSION_DESIRED)
            | flag(self.recursion_available, RECURSION_AVAILABLE)
            | self.code & 0xf;
        out.extend(flags.to_be_bytes());
        let count = |length: usize| u16::try_from(length).unwrap_or(u16::MAX);
        let additional = self.additional.len() + usize::from(self.edns.is_some());
        let counts = [self.questions.len(), self.answers.len(), self.authorities.len(), additional];
        for length in counts {
            out.extend(count(length).to_be_bytes());
        }
        for question in &self.questions {
            question.name.write(&mut out);
            out.extend(question.of.0.to_be_bytes());
            out.extend(IN.to_be_bytes());
        }
        for record in [&self.answers, &self.authorities, &self.additional].into_iter().flatten() {
            record.name.write(&mut out);
            out.extend(record.data.record_type().0.to_be_bytes());
            out.extend(IN.to_be_bytes());
            out.extend(record.ttl.to_be_bytes());
            let at = out.len();
            out.extend([0, 0]);
            record.data.write(&mut out);
            let length = count(out.len() - at - 2).to_be_bytes();
            out[at..at + 2].copy_from_slice(&length);
        }
        if let Some(size) = self.edns {
            out.push(0);
            out.extend(RecordType::OPT.0.to_be_bytes());
            out.extend(size.to_be_bytes());
            out.extend((u32::from(self.code >> 4) << 24).to_be_bytes());
            out.extend([0, 0]);
        }
        out
    }
}
