//! A stub resolver: it asks name servers by UDP and TCP, and remembers what they said.
//!
//! [`Resolver`] finds addresses, mail servers ([`Resolver::mx`]), services ([`Resolver::srv`]), texts
//! and the names of addresses. A [`Config`] says whom to ask and how (`resolv.conf`'s meaning), [`Hosts`]
//! what is known without asking, [`CacheLimits`] how much is remembered and for how long. As a
//! [`Resolve`](asupersync_net::Resolve) it serves a host's `connect` by name:
//! `RuntimeBuilder::service(Arc::new(Arc::new(resolver) as Arc<dyn Resolve>))`. Without it hosts ask
//! the system's resolver, or the lab's table.
//!
//! [`Message`], [`Record`] and [`Name`] are the format of the wire (RFC 1035, 3596, 2782, 6891), apart
//! from sockets and time.
//!
//! What this crate does not know: files (it is given texts), sockets beyond `net`'s, zones, DNSSEC.
//!
//! # Example
//!
//! ```
//! use asupersync_core::Cx;
//! use asupersync_dns::{AddressFamily, Config, Resolver};
//! use std::io;
//!
//! async fn find(cx: &Cx, resolv_conf: &str) -> io::Result<()> {
//!     let resolver = Resolver::new(Config::parse(resolv_conf));
//!     let addresses = resolver.addresses(cx, "www.example.org", AddressFamily::Both).await?;
//!     for (preference, server) in resolver.mx(cx, "example.org").await? {
//!         println!("{addresses:?} {preference} {server}");
//!     }
//!     Ok(())
//! }
//! # let _ = find;
//! ```
//!
//! # Forged answers
//!
//! Each question has a random id and goes out from a random port, both drawn from the context's
//! randomness. What counts as its answer comes from the server's own address and port and repeats
//! id and question; every other packet is passed over, and after 64 of them the question is put by TCP.
//! Of an answer only the records of the name asked for, and of the names that it stands for, are used.
//! An attacker who does not see the question has to guess id and port, just under 32 bits, within 64
//! packets. On a path that others can read or write, DNS without DNSSEC or TLS is not to be trusted,
//! whoever asks.
//!
//! # What a server controls
//!
//! A packet is read once, within its length: names of at most 255 octets, pointers that go strictly
//! down, 1,024 records, eight names in a row that stand for one another, a day of keeping (15 minutes
//! for a "no") whatever the record says, 1,024 answers in the cache.
//!
//! # Cancel safety
//!
//! A cancelled look-up closes its socket; what it had learnt is in the cache. Look-ups have no
//! time limit as a whole but that of their parts: servers times attempts times `timeout`, for each
//! search domain and each family (both at once).
//!
//! # Limitations
//!
//! * It does not ask from the root down: the servers must do that.
//! * No DNSSEC, no DNS over TLS or HTTPS, no internationalised names (write `xn--`), no multicast.
//! * Two look-ups of the same name at the same time both ask.
//! * Addresses of one family keep the server's order (no RFC 6724 sorting).
//! * The wire format is our own, not `hickory-proto`: that needs a newer compiler than this family.

#![forbid(unsafe_code)]

mod answer;
mod cache;
mod config;
mod error;
mod exchange;
mod family;
mod hosts;
mod message;
mod name;
mod record;
mod resolver;
mod wire;

pub use cache::CacheLimits;
pub use config::Config;
pub use error::{DnsError, DnsErrorKind};
pub use family::AddressFamily;
pub use hosts::Hosts;
pub use message::{Message, Question, ResponseCode};
pub use name::{InvalidName, Name};
pub use record::{Record, RecordData, RecordType};
pub use resolver::{Resolver, Service};
pub use wire::Malformed;
