//! Names that are known without asking: the hosts file.

use crate::Name;
use asupersync_core::{DetHashMap, DetHashSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Names and addresses more than these are left out.
const MOST_ENTRIES: usize = 100_000;

/// Addresses of names and names of addresses, as a hosts file lists them.
#[derive(Clone, Debug, Default)]
pub struct Hosts {
    addresses: DetHashMap<Name, Vec<IpAddr>>,
    names: DetHashMap<IpAddr, Name>,
}

impl Hosts {
    /// Reads the text of a hosts file: an address and its names on each line, `#` before a remark. What
    /// cannot be read is left out. An address's own name is the first that stands beside it.
    ///
    /// ```
    /// use asupersync_dns::Hosts;
    ///
    /// let hosts = Hosts::parse("192.0.2.7  db db.internal  # the old one");
    /// assert_eq!(hosts.addresses(&"db".parse()?), ["192.0.2.7".parse::<std::net::IpAddr>().unwrap()]);
    /// # Ok::<_, asupersync_dns::InvalidName>(())
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Hosts {
        let mut hosts = Hosts::default();
        let mut entries = 0;
        'lines: for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else {
                continue;
            };
            for name in words.filter_map(|word| word.parse::<Name>().ok()) {
                entries += 1;
                if entries > MOST_ENTRIES {
                    break 'lines;
                }
                hosts.names.entry(address).or_insert_with(|| name.clone());
                hosts.addresses.entry(name).or_default().push(address);
            }
        }
        for addresses in hosts.addresses.values_mut() {
            let mut seen = DetHashSet::default();
            addresses.retain(|address| seen.insert(*address));
        }
        hosts
    }

    /// The addresses of a name, in the file's order. `localhost` and all below it is this machine,
    /// whatever the file says (RFC 6761 section 6.3).
    #[must_use]
    pub fn addresses(&self, name: &Name) -> Vec<IpAddr> {
        let mut known = self.addresses.get(name).cloned().unwrap_or_default();
        if "localhost".parse().is_ok_and(|local| name.is_within(&local)) {
            known.retain(IpAddr::is_loopback);
            if known.is_empty() {
                known = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
            }
        }
        known
    }

    /// The name of an address.
    #[must_use]
    pub fn name(&self, address: IpAddr) -> Option<&Name> {
        self.names.get(&address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_the_addresses_of_every_line_it_stands_on() {
        let hosts = Hosts::parse(
            "127.0.0.1 localhost\n::1 localhost ip6-localhost\n\
             192.0.2.1\tWWW.example.org www\n192.0.2.2 www\n192.0.2.2 www\nnonsense www\n#192.0.2.3 www",
        );
        let addresses = |name: &str| {
            let name = name.parse().unwrap();
            hosts.addresses(&name).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(addresses("www"), ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(addresses("www.EXAMPLE.org"), ["192.0.2.1"]);
        assert_eq!(addresses("localhost"), ["127.0.0.1", "::1"]);
        assert_eq!(addresses("my.localhost"), ["127.0.0.1", "::1"]);
        assert!(addresses("elsewhere").is_empty());
        let elsewhere = Hosts::parse("192.0.2.9 localhost a.localhost\n127.0.0.2 localhost");
        let texts = |name: &str| format!("{:?}", elsewhere.addresses(&name.parse().unwrap()));
        assert_eq!(texts("localhost"), "[127.0.0.2]");
        assert_eq!(texts("a.localhost"), "[127.0.0.1, ::1]");
        let name = hosts.name("192.0.2.1".parse().unwrap());
        assert_eq!(name.unwrap().to_string(), "www.example.org");
    }

    #[test]
    fn of_more_entries_than_there_may_be_the_first_are_taken() {
        let line = |n: usize| format!("10.{}.{}.{} www\n", n >> 16, n >> 8 & 255, n & 255);
        let text: String = (0..=MOST_ENTRIES).map(line).collect();
        let hosts = Hosts::parse(&text);
        assert_eq!(hosts.addresses(&"www".parse().unwrap()).len(), MOST_ENTRIES);
        let last = |n: usize| line(n).split(' ').next().unwrap().parse().unwrap();
        assert!(hosts.name(last(MOST_ENTRIES - 1)).is_some());
        assert!(hosts.name(last(MOST_ENTRIES)).is_none());
    }
}
