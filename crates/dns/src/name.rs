//! Domain names.

use crate::wire::{HEADER, Malformed, Reader};
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// The longest name on the wire (RFC 1035 section 2.3.4), in octets with the root's.
const LONGEST: usize = 255;
/// The longest label, in octets.
const LONGEST_LABEL: usize = 63;

/// An absolute domain name. Two that differ in the case of ASCII letters are equal: names are kept in
/// lower case.
///
/// ```
/// use asupersync_dns::Name;
///
/// let name: Name = "WWW.Example.org".parse()?;
/// assert_eq!(name.to_string(), "www.example.org");
/// # Ok::<_, asupersync_dns::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name {
    /// Labels, each behind its length, without the root's empty one.
    labels: Box<[u8]>,
}

impl Name {
    /// The root.
    #[must_use]
    pub fn root() -> Name {
        Name { labels: Box::default() }
    }

    /// The name under which an address's own names are kept (RFC 1035 section 3.5, RFC 3596
    /// section 2.5).
    #[must_use]
    pub fn reverse(address: IpAddr) -> Name {
        let text = match address {
            IpAddr::V4(address) => {
                let [a, b, c, d] = address.octets();
                format!("{d}.{c}.{b}.{a}.in-addr.arpa")
            }
            IpAddr::V6(address) => {
                let octets = address.octets();
                let nibbles = octets.iter().rev().map(|o| format!("{:x}.{:x}.", o & 15, o >> 4));
                nibbles.collect::<String>() + "ip6.arpa"
            }
        };
        text.parse().unwrap_or_else(|_| Name::root())
    }

    /// This name below another: `www` below `example.org`. None if that is too long.
    #[must_use]
    pub fn below(&self, parent: &Name) -> Option<Name> {
        let labels = [&*self.labels, &*parent.labels].concat();
        (labels.len() < LONGEST).then(|| Name { labels: labels.into() })
    }

    /// How many labels it has.
    #[must_use]
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// Whether it is this name or one below it.
    #[must_use]
    pub fn is_within(&self, parent: &Name) -> bool {
        let mut rest = &*self.labels;
        loop {
            if rest == &*parent.labels {
                return true;
            }
            match rest.split_first() {
                Some((length, tail)) => rest = &tail[usize::from(*length)..],
                None => return false,
            }
        }
    }

    fn labels(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = &*self.labels;
        std::iter::from_fn(move || {
            let (length, tail) = rest.split_first()?;
            let (label, tail) = tail.split_at(usize::from(*length));
            rest = tail;
            Some(label)
        })
    }

    /// Reads a name, which may end in a pointer to an earlier one (RFC 1035 section 4.1.4).
    ///
    /// A pointer must point before the piece it stands in, to where a name can be: behind the header.
    /// So the places that are read go strictly down, and no message can make this go round.
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Name, Malformed> {
        let mut labels = Vec::with_capacity(32);
        let mut piece = reader.position();
        let mut elsewhere: Option<Reader<'_>> = None;
        loop {
            let from = elsewhere.as_mut().unwrap_or(&mut *reader);
            let head = from.u8()?;
            match head >> 6 {
                0 if head == 0 => break,
                0 => {
                    let label = from.take(usize::from(head))?;
                    if labels.len() + 1 + label.len() >= LONGEST {
                        return Err(Malformed::NameTooLong);
                    }
                    labels.push(head);
                    labels.extend(label.iter().map(u8::to_ascii_lowercase));
                }
                3 => {
                    let to = usize::from(head & 0x3f) << 8 | usize::from(from.u8()?);
                    if !(HEADER..piece).contains(&to) {
                        return Err(Malformed::Pointer);
                    }
                    piece = to;
                    elsewhere = Some(reader.at(to));
                }
                _ => return Err(Malformed::Label),
            }
        }
        Ok(Name { labels: labels.into() })
    }

    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.labels);
        out.push(0);
    }
}

/// Text that is no domain name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidName {
    /// Nothing, or two dots in a row.
    EmptyLabel,
    /// More than 63 octets between two dots.
    LongLabel,
    /// More than 253 characters.
    TooLong,
    /// A character that is neither a letter of ASCII, a digit, `-` nor `_`.
    Character(char),
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidName::EmptyLabel => f.write_str("a label of the name is empty"),
            InvalidName::LongLabel => f.write_str("a label of the name has more than 63 octets"),
            InvalidName::TooLong => f.write_str("the name has more than 253 characters"),
            InvalidName::Character(c) if c.is_ascii() => {
                write!(f, "{c:?} may not be in a name; letters, digits, `-` and `_` may")
            }
            InvalidName::Character(c) => {
                write!(f, "{c:?} may not be in a name; write it in its ASCII form (`xn--..`)")
            }
        }
    }
}

impl std::error::Error for InvalidName {}

impl FromStr for Name {
    type Err = InvalidName;

    /// Letters, digits, `-` and `_` between dots; a dot at the end changes nothing.
    fn from_str(text: &str) -> Result<Name, InvalidName> {
        if text == "." {
            return Ok(Name::root());
        }
        let text = text.strip_suffix('.').unwrap_or(text);
        let mut labels = Vec::with_capacity(text.len() + 1);
        for label in text.split('.') {
            if let Some(c) =
                label.chars().find(|c| !matches!(c, 'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_'))
            {
                return Err(InvalidName::Character(c));
            }
            match label.len() {
                0 => return Err(InvalidName::EmptyLabel),
                1..=LONGEST_LABEL => labels.push(label.len() as u8),
                _ => return Err(InvalidName::LongLabel),
            }
            labels.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        if labels.len() >= LONGEST {
            return Err(InvalidName::TooLong);
        }
        Ok(Name { labels: labels.into() })
    }
}

impl fmt::Display for Name {
    /// Without the dot of the root. Octets that are no letter, digit, `-` or `_` are written as `\DDD`
    /// (RFC 4343 section 2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.labels.is_empty() {
            return f.write_str(".");
        }
        for (at, label) in self.labels().enumerate() {
            if at > 0 {
                f.write_str(".")?;
            }
            for &octet in label {
                match octet {
                    b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => write!(f, "{}", char::from(octet))?,
                    octet => write!(f, "\\{octet:03}")?,
                }
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Name({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn text_that_is_no_name_is_refused_by_what_is_wrong_with_it() {
        let refused = |text: &str| text.parse::<Name>().unwrap_err();
        assert_eq!(refused(""), InvalidName::EmptyLabel);
        assert_eq!(refused("a..b"), InvalidName::EmptyLabel);
        assert_eq!(refused(&"a".repeat(64)), InvalidName::LongLabel);
        assert_eq!(refused(&["a"; 128].join(".")), InvalidName::TooLong);
        assert_eq!(refused("a b"), InvalidName::Character(' '));
        assert_eq!(refused("bücher.example"), InvalidName::Character('ü'));
        assert_eq!(["a"; 127].join(".").parse::<Name>().unwrap().label_count(), 127);
    }

    #[test]
    fn a_name_is_within_itself_and_what_stands_above_it() {
        let www = name("www.Example.org.");
        assert!(www.is_within(&name("example.ORG")) && www.is_within(&www));
        assert!(www.is_within(&Name::root()));
        assert!(!www.is_within(&name("ample.org")) && !name("example.org").is_within(&www));
    }

    #[test]
    fn addresses_have_names_of_their_own() {
        assert_eq!(
            Name::reverse("192.0.2.7".parse().unwrap()).to_string(),
            "7.2.0.192.in-addr.arpa"
        );
        let six = Name::reverse("2001:db8::1".parse().unwrap());
        assert_eq!(six.label_count(), 34);
        assert!(
            six.to_string().starts_with("1.0.0.0.")
                && six.to_string().ends_with("8.b.d.0.1.0.0.2.ip6.arpa")
        );
    }

    #[test]
    fn pointers_go_down_or_not_at_all() {
        // Behind a header.
        let read = |bytes: &[u8], at: usize| {
            Name::read(&mut Reader::new(&[&[0; HEADER], bytes].concat()).at(HEADER + at))
        };
        let twice = b"\x01a\x00\x01b\xc0\x0c\x01c\xc0\x0f";
        assert_eq!(read(twice, 7).unwrap(), name("c.b.a"));
        assert_eq!(read(b"\xc0\x0c", 0), Err(Malformed::Pointer), "itself");
        assert_eq!(read(b"\x01a\xc0\x0c", 0), Err(Malformed::Pointer), "the start of its own name");
        assert_eq!(read(b"\xc0\x0e\xc0\x0c", 2), Err(Malformed::Pointer), "one another");
        assert_eq!(read(b"\x00\xc0\x15", 1), Err(Malformed::Pointer), "forward");
        assert_eq!(read(b"\xc0\x0b", 0), Err(Malformed::Pointer), "into the header");
        assert_eq!(read(b"\x40a", 0), Err(Malformed::Label));
        assert_eq!(read(b"\x05abc", 0), Err(Malformed::Short));
        let mut long = b"\x3f".to_vec();
        long.extend([b'a'; 63]);
        let long = [&long[..], &long, &long, &long, b"\0"].concat();
        assert_eq!(read(&long, 0), Err(Malformed::NameTooLong));
    }
}
