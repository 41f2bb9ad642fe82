//! Records, by type.

use crate::Name;
use crate::wire::{Malformed, Reader};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

/// A type of record, by its number in IANA's registry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordType(pub u16);

/// The types with a name here, each with its number.
macro_rules! types {
    ($($(#[$doc:meta])* $name:ident = $number:literal;)*) => {
        impl RecordType {
            $($(#[$doc])* pub const $name: RecordType = RecordType($number);)*
        }

        impl fmt::Display for RecordType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match *self {
                    $(RecordType::$name => f.write_str(stringify!($name)),)*
                    RecordType(number) => write!(f, "TYPE{number}"),
                }
            }
        }
    };
}

types! {
    /// An IPv4 address.
    A = 1;
    /// A name server.
    NS = 2;
    /// The name that this one stands for.
    CNAME = 5;
    /// The head of a zone.
    SOA = 6;
    /// The name of an address.
    PTR = 12;
    /// A mail server.
    MX = 15;
    /// Text.
    TXT = 16;
    /// An IPv6 address.
    AAAA = 28;
    /// A server of a service (RFC 2782).
    SRV = 33;
    /// The extension of the header (RFC 6891); in no zone.
    OPT = 41;
}

impl fmt::Debug for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A record of the class "Internet".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Whose record it is.
    pub name: Name,
    /// For how many seconds it may be kept. A value with the highest bit set is 0 (RFC 2181 section 8).
    pub ttl: u32,
    /// What it says.
    pub data: RecordData,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordData {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The name that this one stands for.
    Cname(Name),
    /// A name server.
    Ns(Name),
    /// The name of an address.
    Ptr(Name),
    /// A mail server.
    Mx {
        /// The lowest is tried first.
        preference: u16,
        /// The server.
        exchange: Name,
    },
    /// Strings of at most 255 octets each, of no fixed encoding.
    Txt(Arc<[Box<[u8]>]>),
    /// A server of a service.
    Srv {
        /// The lowest is tried first.
        priority: u16,
        /// How often one is taken among those of equal priority.
        weight: u16,
        /// The service's port.
        port: u16,
        /// The server; the root where there is no such service.
        target: Name,
    },
    /// The head of a zone: of its seven fields, those that tell how long "no" may be kept.
    Soa {
        /// The zone's first name server.
        primary: Name,
        /// The mailbox of whoever answers for the zone.
        mailbox: Name,
        /// Serial, refresh, retry, expire.
        numbers: [u32; 4],
        /// For how many seconds a "no" may be kept (RFC 2308 section 4).
        minimum: u32,
    },
    /// Any other type's, as it came.
    Other(RecordType, Arc<[u8]>),
}

impl RecordData {
    /// The record's type.
    #[must_use]
    pub fn record_type(&self) -> RecordType {
        match self {
            RecordData::A(_) => RecordType::A,
            RecordData::Aaaa(_) => RecordType::AAAA,
            RecordData::Cname(_) => RecordType::CNAME,
            RecordData::Ns(_) => RecordType::NS,
            RecordData::Ptr(_) => RecordType::PTR,
            RecordData::Mx { .. } => RecordType::MX,
            RecordData::Txt(_) => RecordType::TXT,
            RecordData::Srv { .. } => RecordType::SRV,
            RecordData::Soa { .. } => RecordType::SOA,
            RecordData::Other(other, _) => *other,
        }
    }

    /// Reads the data of a record of this type and length; all of it must be used.
    pub(crate) fn read(
        of: RecordType,
        length: usize,
        reader: &mut Reader<'_>,
    ) -> Result<RecordData, Malformed> {
        let end = reader.position() + length;
        let data = match of {
            RecordType::A => RecordData::A(reader.array::<4>()?.into()),
            RecordType::AAAA => RecordData::Aaaa(reader.array::<16>()?.into()),
            RecordType::CNAME => RecordData::Cname(Name::read(reader)?),
            RecordType::NS => RecordData::Ns(Name::read(reader)?),
            RecordType::PTR => RecordData::Ptr(Name::read(reader)?),
            RecordType::MX => {
                RecordData::Mx { preference: reader.u16()?, exchange: Name::read(reader)? }
            }
            RecordType::TXT => {
                let mut strings = Vec::new();
                while reader.position() < end {
                    let length = usize::from(reader.u8()?);
                    strings.push(reader.take(length)?.into());
                }
                if strings.is_empty() {
                    return Err(Malformed::RecordLength);
                }
                RecordData::Txt(strings.into())
            }
            RecordType::SRV => RecordData::Srv {
                priority: reader.u16()?,
                weight: reader.u16()?,
                port: reader.u16()?,
                target: Name::read(reader)?,
            },
            RecordType::SOA => RecordData::Soa {
                primary: Name::read(reader)?,
                mailbox: Name::read(reader)?,
                numbers: [reader.u32()?, reader.u32()?, reader.u32()?, reader.u32()?],
                minimum: reader.u32()?,
            },
            of => RecordData::Other(of, reader.take(length)?.into()),
        };
        if reader.position() == end { Ok(data) } else { Err(Malformed::RecordLength) }
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        match self {
            RecordData::A(address) => out.extend(address.octets()),
            RecordData::Aaaa(address) => out.extend(address.octets()),
            RecordData::Cname(name) | RecordData::Ns(name) | RecordData::Ptr(name) => {
                name.write(out);
            }
            RecordData::Mx { preference, exchange } => {
                out.extend(preference.to_be_bytes());
                exchange.write(out);
            }
            RecordData::Txt(strings) => {
                for string in strings.iter() {
                    // What was read is no longer; what a program makes is cut.
                    let length = u8::try_from(string.len()).unwrap_or(u8::MAX);
                    out.push(length);
                    out.extend(&string[..usize::from(length)]);
                }
            }
            RecordData::Srv { priority, weight, port, target } => {
                for number in [priority, weight, port] {
                    out.extend(number.to_be_bytes());
                }
                target.write(out);
            }
            RecordData::Soa { primary, mailbox, numbers, minimum } => {
                primary.write(out);
                mailbox.write(out);
                for number in numbers.iter().chain([minimum]) {
                    out.extend(number.to_be_bytes());
                }
            }
            RecordData::Other(_, data) => out.extend(data.iter()),
        }
    }
}
