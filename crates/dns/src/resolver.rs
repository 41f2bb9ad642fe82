//! Questions to whoever knows: the hosts file, the cache, the servers.

use crate::answer::{self, Answer, LONGEST_CHAIN};
use crate::cache::{Cache, CacheLimits, Known};
use crate::exchange;
use crate::family::{AddressFamily, RESOLUTION_DELAY, both, in_order};
use crate::message::Question;
use crate::{Config, DnsError, DnsErrorKind, Hosts, Name, Record, RecordData, RecordType};
use asupersync_combinator::{TimeoutError, timeout};
use asupersync_core::cap::Includes;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Cx, Object, cancelled_in};
use asupersync_net::{Lookup, Resolve, ResolveCaps};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// A server of a service, as [`Resolver::srv`] finds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// The lowest is tried first.
    pub priority: u16,
    /// How often this one is taken among those of equal priority.
    pub weight: u16,
    /// The service's port.
    pub port: u16,
    /// The server.
    pub target: Name,
}

/// A resolver. Clones share the cache.
///
/// It is a [`Resolve`], so that a host that offers it as its service connects by it. A connection waits 50 ms
/// for the addresses of one family when it has those of the other: a server that is silent about one of
/// them holds it up no longer.
#[derive(Clone, Debug)]
pub struct Resolver {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    config: Config,
    hosts: Hosts,
    family: AddressFamily,
    cache: Mutex<Cache>,
    /// Tells the kernel who looks into the cache: whether a task asks a server depends on who did before.
    looks: Object,
}

impl Resolver {
    /// Asks by this configuration, with an empty hosts file and the cache's ordinary limits.
    #[must_use]
    pub fn new(config: Config) -> Resolver {
        Resolver::with(config, Hosts::default(), AddressFamily::default(), CacheLimits::default())
    }

    /// Asks by this configuration, for the addresses that [`Resolve`] wants by `family`.
    #[must_use]
    pub fn with(
        config: Config,
        hosts: Hosts,
        family: AddressFamily,
        cache: CacheLimits,
    ) -> Resolver {
        let cache = Mutex::new(Cache::new(cache));
        let looks = Object::new("Resolver::cache");
        Resolver { shared: Arc::new(Shared { config, hosts, family, cache, looks }) }
    }

    /// Forgets every answer.
    pub fn clear_cache(&self) {
        self.shared.looks.write();
        self.shared.cache.lock().clear();
    }

    /// The records of this type of a name: as it stands, or below a search domain (the first of these
    /// names that has any). Names that it stands for are followed, eight in a row.
    ///
    /// # Errors
    /// A [`DnsError`] inside: there is no such name or record (ASY-0550), no server answers (ASY-0551),
    /// the names go round (ASY-0552), the text is no name (ASY-0553). `Cancelled`.
    ///
    /// # Cancel safety
    /// Nothing is lost; what was learnt stays in the cache.
    pub async fn lookup<C: Includes<ResolveCaps>>(
        &self,
        cx: &Cx<C>,
        name: &str,
        of: RecordType,
    ) -> io::Result<Arc<[Record]>> {
        let cx = cx.narrow::<ResolveCaps>();
        let parsed: Name = parse(name)?;
        let mut failed = None;
        for candidate in self.shared.config.candidates(name, &parsed) {
            match self.records(cx, candidate, of).await {
                Err(error) if is_no(&error) => failed = worse(failed, error),
                answer => return answer,
            }
        }
        Err(failed
            .unwrap_or_else(|| DnsError::new(DnsErrorKind::NoSuchName, name, Some(of)).into()))
    }

    /// The addresses of a name by the hosts file, or by its records; see [`lookup`](Self::lookup). What is an
    /// address already is answered as it is.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancel safety
    /// As [`lookup`](Self::lookup).
    pub async fn addresses<C: Includes<ResolveCaps>>(
        &self,
        cx: &Cx<C>,
        name: &str,
        family: AddressFamily,
    ) -> io::Result<Vec<IpAddr>> {
        self.addresses_within(cx.narrow(), name, family, None).await
    }

    /// With a delay, what is known so long after the first address.
    async fn addresses_within(
        &self,
        cx: &Cx<ResolveCaps>,
        name: &str,
        family: AddressFamily,
        delay: Option<Duration>,
    ) -> io::Result<Vec<IpAddr>> {
        if let Ok(address) = name.parse() {
            let of_family = in_order(family, vec![address]);
            let none = || DnsError::new(DnsErrorKind::NoRecords, name, None).into();
            return if of_family.is_empty() { Err(none()) } else { Ok(of_family) };
        }
        let parsed: Name = parse(name)?;
        let candidates = self.shared.config.candidates(name, &parsed);
        for candidate in [&parsed].into_iter().chain(&candidates) {
            let known = in_order(family, self.shared.hosts.addresses(candidate));
            if !known.is_empty() {
                return Ok(known);
            }
        }
        let mut failed = None;
        for candidate in candidates {
            match self.addresses_of(cx, &candidate, family, delay).await {
                Err(error) if is_no(&error) => failed = worse(failed, error),
                answer => return answer,
            }
        }
        Err(failed.unwrap_or_else(|| DnsError::new(DnsErrorKind::NoSuchName, name, None).into()))
    }

    /// The mail servers of a domain by preference, those of equal preference in the answer's order.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancel safety
    /// As [`lookup`](Self::lookup).
    pub async fn mx<C: Includes<ResolveCaps>>(
        &self,
        cx: &Cx<C>,
        domain: &str,
    ) -> io::Result<Vec<(u16, Name)>> {
        let records = self.lookup(cx, domain, RecordType::MX).await?;
        let mut servers: Vec<(u16, Name)> = records
            .iter()
            .filter_map(|record| match &record.data {
                RecordData::Mx { preference, exchange } => Some((*preference, exchange.clone())),
                _ => None,
            })
            .collect();
        servers.sort_by_key(|(preference, _)| *preference);
        Ok(servers)
    }

    /// The servers of a service (`_xmpp._tcp.example.org`) in the order to try them: by priority, and
    /// drawn by weight among those of equal priority (RFC 2782).
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup). A service that is said not to exist is `NoRecords`.
    ///
    /// # Cancel safety
    /// As [`lookup`](Self::lookup).
    pub async fn srv<C: Includes<ResolveCaps>>(
        &self,
        cx: &Cx<C>,
        service: &str,
    ) -> io::Result<Vec<Service>> {
        let records = self.lookup(cx, service, RecordType::SRV).await?;
        let mut left: Vec<Service> = records
            .iter()
            .filter_map(|record| match &record.data {
                RecordData::Srv { priority, weight, port, target } if *target != Name::root() => {
                    let (priority, weight, port) = (*priority, *weight, *port);
                    Some(Service { priority, weight, port, target: target.clone() })
                }
                _ => None,
            })
            .collect();
        if left.is_empty() {
            return Err(
                DnsError::new(DnsErrorKind::NoRecords, service, Some(RecordType::SRV)).into()
            );
        }
        // Those without weight first, as the RFC has it: they are drawn if the draw is zero.
        left.sort_by_key(|service| (service.priority, service.weight));
        let cx = cx.narrow::<ResolveCaps>();
        let mut order = Vec::with_capacity(left.len());
        while let Some(first) = left.first() {
            let equal = left.iter().take_while(|other| other.priority == first.priority);
            let total: u64 = equal.map(|service| u64::from(service.weight)).sum();
            let mut draw = cx.random_u64() % (total + 1);
            let drawn = left.iter().position(|service| {
                let hit = draw <= u64::from(service.weight);
                draw = draw.saturating_sub(u64::from(service.weight));
                hit
            });
            order.push(left.remove(drawn.unwrap_or(0)));
        }
        Ok(order)
    }

    /// The texts of a name, the strings of each record joined.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancel safety
    /// As [`lookup`](Self::lookup).
    pub async fn txt<C: Includes<ResolveCaps>>(
        &self,
        cx: &Cx<C>,
        name: &str,
    ) -> io::Result<Vec<Vec<u8>>> {
        let records = self.lookup(cx, name, RecordType::TXT).await?;
        let texts = records.iter().filter_map(|record| match &record.data {
            RecordData::Txt(strings) => Some(strings.concat()),
            _ => None,
        });
        Ok(texts.collect())
    }

    /// The names of an address: the hosts file's, or those of its PTR records.
    ///
    /// # Errors
    /// As [`lookup`](Self::lookup).
    ///
    /// # Cancel safety
    /// As [`lookup`](Self::lookup).
    pub async fn names_of<C: Includes<ResolveCaps>>(
        &self,
        cx: &Cx<C>,
        address: IpAddr,
    ) -> io::Result<Vec<Name>> {
        if let Some(name) = self.shared.hosts.name(address) {
            return Ok(vec![name.clone()]);
        }
        let cx = cx.narrow::<ResolveCaps>();
        let records = self.records(cx, Name::reverse(address), RecordType::PTR).await?;
        let names = records.iter().filter_map(|record| match &record.data {
            RecordData::Ptr(name) => Some(name.clone()),
            _ => None,
        });
        Ok(names.collect())
    }

    async fn addresses_of(
        &self,
        cx: &Cx<ResolveCaps>,
        name: &Name,
        family: AddressFamily,
        delay: Option<Duration>,
    ) -> io::Result<Vec<IpAddr>> {
        let four = async {
            match family {
                AddressFamily::Ipv6 => None,
                _ => Some(self.records(cx, name.clone(), RecordType::A).await),
            }
        };
        let six = async {
            match family {
                AddressFamily::Ipv4 => None,
                _ => Some(self.records(cx, name.clone(), RecordType::AAAA).await),
            }
        };
        let [four, six] = both(cx, four, six, delay).await?;
        let mut addresses = Vec::new();
        let mut failed = None;
        for answer in [six, four].into_iter().flatten() {
            match answer {
                Ok(records) => addresses.extend(records.iter().filter_map(address)),
                Err(error) => failed = worse(failed, error),
            }
        }
        match failed {
            // One family's failure does not matter while the other has addresses.
            Some(error) if addresses.is_empty() || cancelled_in(&error).is_some() => Err(error),
            _ => Ok(in_order(family, addresses)),
        }
    }

    /// The records of an absolute name, from the cache or the servers.
    async fn records(
        &self,
        cx: &Cx<ResolveCaps>,
        name: Name,
        of: RecordType,
    ) -> io::Result<Arc<[Record]>> {
        let question = Question { name, of };
        self.shared.looks.read();
        let known = self.shared.cache.lock().get(&question, cx.now());
        let known = match known {
            Some(known) => known,
            None => {
                let (known, keep) = self.follow(cx, &question).await?;
                self.shared.looks.write();
                self.shared.cache.lock().put(question.clone(), known.clone(), keep, cx.now());
                known
            }
        };
        let kind = match known {
            Known::Records(records) => return Ok(records),
            Known::None { exists: true } => DnsErrorKind::NoRecords,
            Known::None { exists: false } => DnsErrorKind::NoSuchName,
        };
        Err(DnsError::new(kind, question.name, Some(of)).into())
    }

    /// Asks for a name, and for those that it stands for.
    async fn follow(
        &self,
        cx: &Cx<ResolveCaps>,
        question: &Question,
    ) -> io::Result<(Known, Duration)> {
        let mut current = question.clone();
        let mut keep = Duration::MAX;
        for _ in 0..LONGEST_CHAIN {
            match self.ask_servers(cx, &current).await? {
                Answer::Records(records, ttl) => {
                    return Ok((Known::Records(records.into()), keep.min(ttl)));
                }
                Answer::None { exists, keep: ttl } => {
                    return Ok((Known::None { exists }, keep.min(ttl)));
                }
                Answer::Alias(target, ttl) => {
                    keep = keep.min(ttl);
                    current.name = target;
                }
                Answer::Chain => break,
                Answer::Failed(code) => {
                    let kind = DnsErrorKind::ServerFailed(code);
                    return Err(DnsError::new(kind, &question.name, Some(question.of)).into());
                }
            }
        }
        Err(DnsError::new(DnsErrorKind::AliasChain, &question.name, Some(question.of)).into())
    }

    /// Asks one server after the other until one has an answer.
    async fn ask_servers(&self, cx: &Cx<ResolveCaps>, question: &Question) -> io::Result<Answer> {
        let config = &self.shared.config;
        let count = config.servers.len();
        let failed = |kind| io::Error::from(DnsError::new(kind, &question.name, Some(question.of)));
        if count == 0 {
            return Err(failed(DnsErrorKind::NoServers));
        }
        let first = if config.rotate { (cx.random_u64() % count as u64) as usize } else { 0 };
        let mut last = None;
        for _ in 0..config.attempts.max(1) {
            for at in 0..count {
                let server = config.servers[(first + at) % count];
                let exchange = exchange::ask(cx, server, question, config.packet);
                match timeout(cx, config.timeout, exchange).await {
                    Ok(Ok(message)) => match answer::read(question, &message) {
                        Answer::Failed(code) => last = Some(Answer::Failed(code)),
                        answer => return Ok(answer),
                    },
                    Ok(Err(error)) if cancelled_in(&error).is_some() => return Err(error),
                    Ok(Err(_)) => {}
                    Err(TimeoutError::Cancelled(cancelled)) => return Err(cancelled.into()),
                    Err(_) => {}
                }
                cx.checkpoint()?;
            }
        }
        last.ok_or_else(|| failed(DnsErrorKind::NoAnswer))
    }
}

impl Resolve for Resolver {
    fn resolve<'a>(&'a self, cx: &'a Cx<ResolveCaps>, name: &'a str, port: u16) -> Lookup<'a> {
        Box::pin(async move {
            let (family, delay) = (self.shared.family, Some(RESOLUTION_DELAY));
            let addresses = self.addresses_within(cx, name, family, delay).await?;
            Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
        })
    }
}

fn parse(name: &str) -> io::Result<Name> {
    let parsed = name.parse();
    parsed.map_err(|why| DnsError::new(DnsErrorKind::InvalidName(why), name, None).into())
}

/// Whether the answer is that there is nothing, rather than that there is no answer.
fn is_no(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound && DnsError::inside(error).is_some()
}

/// Of two failures the one to report: no answer says less than "no", and "no such record" more than
/// "no such name".
fn worse(one: Option<io::Error>, other: io::Error) -> Option<io::Error> {
    let rank = |error: &io::Error| match DnsError::inside(error).map(DnsError::kind) {
        Some(DnsErrorKind::NoSuchName) => 0,
        Some(DnsErrorKind::NoRecords) => 1,
        Some(_) => 2,
        None => 3,
    };
    match one {
        Some(one) if rank(&one) >= rank(&other) => Some(one),
        _ => Some(other),
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record.data {
        RecordData::A(address) => Some(address.into()),
        RecordData::Aaaa(address) => Some(address.into()),
        _ => None,
    }
}
