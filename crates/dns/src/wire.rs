//! Octets in the order of the wire.

use std::fmt;

/// The length of a message's header (RFC 1035 section 4.1.1), in octets.
pub(crate) const HEADER: usize = 12;

/// Why a packet is no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// It ends in the middle.
    Short,
    /// More than 255 octets of name.
    NameTooLong,
    /// A name's pointer does not point to an earlier name.
    Pointer,
    /// A label of a kind that nobody uses.
    Label,
    /// A record's data has another length than its type's, or a text has no string.
    RecordLength,
    /// More records than are read.
    TooManyRecords,
    /// Two OPT records, or one in the wrong place, or its options are not.
    Edns,
    /// Octets behind the last record.
    Trailing,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Malformed::Short => "the packet ends in the middle",
            Malformed::NameTooLong => "a name has more than 255 octets",
            Malformed::Pointer => "a name points to a place where no earlier name is",
            Malformed::Label => "a label is of an unknown kind",
            Malformed::RecordLength => "a record's length is not its type's",
            Malformed::TooManyRecords => "there are more records than are read",
            Malformed::Edns => "an OPT record is doubled, in the wrong place or of broken options",
            Malformed::Trailing => "octets follow the last record",
        })
    }
}

impl std::error::Error for Malformed {}

#[derive(Clone, Copy)]
pub(crate) struct Reader<'a> {
    message: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(message: &'a [u8]) -> Reader<'a> {
        Reader { message, position: 0 }
    }

    /// Another reader of the same message.
    pub(crate) fn at(&self, position: usize) -> Reader<'a> {
        Reader { message: self.message, position }
    }

    pub(crate) fn position(&self) -> usize {
        self.position
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.position == self.message.len()
    }

    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let end = self.position.checked_add(count).ok_or(Malformed::Short)?;
        let taken = self.message.get(self.position..end).ok_or(Malformed::Short)?;
        self.position = end;
        Ok(taken)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Malformed::Short)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_be_bytes(self.array()?))
    }
}
