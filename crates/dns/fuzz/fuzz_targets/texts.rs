//! A name, a `resolv.conf` and a hosts file of anybody's: never a panic, always within the limits.
#![no_main]

use asupersync_dns::{Config, Hosts, Name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(name) = text.parse::<Name>() {
        assert_eq!(name.to_string().parse::<Name>(), Ok(name));
    }
    let config = Config::parse(text);
    assert!((1..=8).contains(&config.servers.len()) && config.search.len() <= 32);
    assert!(config.ndots <= 15 && (1..=5).contains(&config.attempts));
    let hosts = Hosts::parse(text);
    for word in text.split_ascii_whitespace().take(100) {
        if let Ok(name) = word.parse() {
            for address in hosts.addresses(&name) {
                assert!(address.is_loopback() || hosts.name(address).is_some());
            }
        }
    }
});
