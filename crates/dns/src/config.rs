//! Which servers to ask, and how: `resolv.conf`.

use crate::Name;
use asupersync_core::DetHashSet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Servers, search domains more than these are left out.
const MOST_SERVERS: usize = 8;
const MOST_DOMAINS: usize = 32;
/// Text beyond so many bytes is not read.
const MOST_TEXT: usize = 64 * 1024;

/// Servers and habits of a resolver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Whom to ask, in this order.
    pub servers: Vec<SocketAddr>,
    /// Domains below which a short name is tried.
    pub search: Vec<Name>,
    /// A name with so many dots is tried as it stands first; with fewer, below the domains first.
    /// 1 by default.
    pub ndots: usize,
    /// How long one server may take for one try. 2 s by default.
    pub timeout: Duration,
    /// How often each server is tried. 2 by default.
    pub attempts: u32,
    /// Whether look-ups begin with a random server instead of the first.
    pub rotate: bool,
    /// The longest packet to receive, in octets: 1,232 by default, which is not cut up on its way.
    pub packet: u16,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout: Duration::from_secs(2),
            attempts: 2,
            rotate: false,
            packet: 1232,
        }
    }
}

impl Config {
    /// Asks these servers.
    #[must_use]
    pub fn new(servers: impl IntoIterator<Item = SocketAddr>) -> Config {
        Config { servers: servers.into_iter().take(MOST_SERVERS).collect(), ..Config::default() }
    }

    /// Reads the text of a `resolv.conf` as the system's resolver does: lines that it does not know or
    /// cannot read are left out, and with no server the machine itself is asked. Port 53 everywhere.
    ///
    /// ```
    /// use asupersync_dns::Config;
    ///
    /// let config = Config::parse("search example.org\nnameserver 192.0.2.53\noptions ndots:2 timeout:3");
    /// assert_eq!(config.servers, ["192.0.2.53:53".parse().unwrap()]);
    /// assert_eq!(config.ndots, 2);
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Config {
        let mut config = Config::default();
        for line in whole_lines(text).lines() {
            let line = line.split(['#', ';']).next().unwrap_or_default();
            let mut words = line.split_ascii_whitespace();
            match words.next() {
                Some("nameserver") if config.servers.len() < MOST_SERVERS => {
                    // A zone index (`fe80::1%eth0`) is nothing that a socket address keeps.
                    let address = words.next().and_then(|word| word.parse::<IpAddr>().ok());
                    config.servers.extend(address.map(|address| SocketAddr::new(address, 53)));
                }
                // The last line of either kind holds.
                Some("search" | "domain") => {
                    let domains = words.filter_map(|word| word.parse::<Name>().ok());
                    config.search = domains.take(MOST_DOMAINS).collect();
                }
                Some("options") => words.for_each(|word| config.option(word)),
                _ => {}
            }
        }
        if config.servers.is_empty() {
            config.servers.push(SocketAddr::from(([127, 0, 0, 1], 53)));
        }
        config
    }

    fn option(&mut self, word: &str) {
        let (name, value) = word.split_once(':').unwrap_or((word, ""));
        let value = value.parse::<u32>();
        // The caps are those of the system's resolver.
        match (name, value) {
            ("ndots", Ok(value)) => self.ndots = value.min(15) as usize,
            ("timeout", Ok(value)) => {
                self.timeout = Duration::from_secs(u64::from(value.clamp(1, 30)));
            }
            ("attempts", Ok(value)) => self.attempts = value.clamp(1, 5),
            ("rotate", _) => self.rotate = true,
            _ => {}
        }
    }

    /// The absolute names to try for a name as a person writes it. A dot at the end makes it absolute.
    pub(crate) fn candidates(&self, text: &str, name: &Name) -> Vec<Name> {
        if text.ends_with('.') {
            return vec![name.clone()];
        }
        let dots = name.label_count().saturating_sub(1);
        let below = self.search.iter().filter_map(|domain| name.below(domain));
        let mut candidates: Vec<Name> = below.collect();
        if dots >= self.ndots {
            candidates.insert(0, name.clone());
        } else {
            candidates.push(name.clone());
        }
        // The root is a search domain at times, and a domain stands twice.
        let mut seen = DetHashSet::default();
        candidates.retain(|name| seen.insert(name.clone()));
        candidates
    }
}

/// The lines that end within the limit. Part of a line may say something else than the line: the first
/// half of an address can be an address.
fn whole_lines(text: &str) -> &str {
    match text.as_bytes().get(..=MOST_TEXT) {
        Some(head) => &text[..head.iter().rposition(|byte| *byte == b'\n').unwrap_or(0)],
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_file_says_is_taken_and_what_makes_no_sense_is_left_out() {
        let config = Config::parse(
            "# made by hand\n\
             nameserver 192.0.2.1 ; the first\n\
             nameserver nonsense\nnameserver 2001:db8::53\nnameserver\n\
             domain example.net\n\
             search example.org  corp.example.org b\u{fc}cher\n\
             options timeout:99 attempts:0 ndots:3 rotate edns0 ndots:x\n\
             sortlist 130.155.160.0/255.255.240.0\n",
        );
        let servers: Vec<String> = config.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.1:53", "[2001:db8::53]:53"]);
        let search: Vec<String> = config.search.iter().map(ToString::to_string).collect();
        assert_eq!(search, ["example.org", "corp.example.org"]);
        assert_eq!((config.timeout, config.attempts), (Duration::from_secs(30), 1));
        assert!(config.rotate && config.ndots == 3);
        let nothing = Config::parse("");
        assert_eq!(nothing.servers, ["127.0.0.1:53".parse().unwrap()]);
        assert_eq!(
            Config::parse(&"nameserver 192.0.2.1\n".repeat(9000)).servers.len(),
            MOST_SERVERS
        );
    }

    #[test]
    fn of_a_text_that_is_too_long_whole_lines_are_read_and_no_more() {
        let last = "nameserver 192.0.2.123";
        let read = |before: usize, after: &str| {
            let text = format!("{}\n{last}{after}", "#".repeat(before - 1));
            Config::parse(&text).servers[0].to_string()
        };
        let fits = MOST_TEXT - last.len();
        assert_eq!(read(fits, ""), "192.0.2.123:53");
        assert_eq!(read(fits, "\n"), "192.0.2.123:53");
        // Without its last digit, it would be another server.
        assert_eq!(read(fits + 1, ""), "127.0.0.1:53");
        assert_eq!(read(fits + 1, "\n"), "127.0.0.1:53");
        // A character of two bytes stands across the limit.
        let text = format!("{}\n\u{fc}\n{last}\n", "#".repeat(MOST_TEXT - 2));
        assert!(!text.is_char_boundary(MOST_TEXT));
        assert_eq!(Config::parse(&text).servers, Config::parse("").servers);
        assert_eq!(Config::parse(&"#".repeat(2 * MOST_TEXT)), Config::parse(""));
    }

    #[test]
    fn of_more_search_domains_than_there_may_be_the_first_are_taken() {
        let domains = |count: usize| {
            let words: Vec<String> = (0..count).map(|n| format!("d{n}.test")).collect();
            Config::parse(&format!("search {}", words.join(" "))).search
        };
        assert_eq!(domains(MOST_DOMAINS).len(), MOST_DOMAINS);
        assert_eq!(domains(MOST_DOMAINS + 1), domains(MOST_DOMAINS));
    }

    #[test]
    fn a_short_name_is_tried_below_the_domains_first_and_a_long_one_last() {
        let config = Config { search: vec!["a.test".parse().unwrap()], ..Config::default() };
        let tried = |text: &str| {
            let names = config.candidates(text, &text.parse().unwrap());
            names.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(tried("www"), ["www.a.test", "www"]);
        assert_eq!(tried("www.example"), ["www.example", "www.example.a.test"]);
        assert_eq!(tried("www."), ["www"]);
    }
}
