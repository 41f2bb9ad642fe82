//! Names of hosts.

use crate::error::{no_network, resolve_failed};
use crate::virtual_network::VirtualNetwork;
use asupersync_core::cap::{self, HasIo, Includes};
use asupersync_core::{CancelReason, Cancelled, Cx, JoinError, TaskHandle, cancelled_in};
use asupersync_reactor::Reactor;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::panic::Location;
use std::pin::Pin;
use std::sync::Arc;

/// What a resolver may do: spawn, read the clock, draw random numbers, use sockets and the blocking pool.
pub type ResolveCaps = cap::Set<cap::Yes, cap::Yes, cap::Yes, cap::Yes, cap::No, cap::Yes, cap::No>;

/// A look-up under way.
pub type Lookup<'a> = Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>>;

/// Turns a name into addresses. A host offers one as the service of the type `Arc<dyn Resolve>`:
/// `RuntimeBuilder::service(Arc::new(Arc::new(mine) as Arc<dyn Resolve>))`, or the lab's
/// `LabConfig::service` likewise.
///
/// Without one, the production host's names are resolved by [`SystemResolver`], and the lab's by the
/// table of its [`VirtualNetwork`].
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of a name, each with `port`, the best first. Never an empty list: a name without
    /// an address is an error of the kind `NotFound`.
    ///
    /// The name is neither an IP address nor empty: callers have dealt with those.
    ///
    /// # Errors
    /// `NotFound` where the name does not exist, `TimedOut` where nobody answered, or another error
    /// that says what went wrong. `Cancelled`.
    fn resolve<'a>(&'a self, cx: &'a Cx<ResolveCaps>, name: &'a str, port: u16) -> Lookup<'a>;
}

/// The system's resolver (`getaddrinfo`), on the blocking pool. Its errors do not tell a name that does
/// not exist from a name server that does not answer: all are of one kind, with the system's text.
///
/// # Cancel safety
/// A look-up that was cancelled returns at once. The system's call cannot be interrupted: once begun
/// it runs to its end, and the region's close waits for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemResolver;

impl Resolve for SystemResolver {
    fn resolve<'a>(&'a self, cx: &'a Cx<ResolveCaps>, name: &'a str, port: u16) -> Lookup<'a> {
        let name = name.to_owned();
        Box::pin(async move {
            // The task itself succeeds: a name that does not exist is no reason to stop its siblings.
            let call = move || Ok((name.as_str(), port).to_socket_addrs().map(Vec::from_iter));
            let mut asking = Asking(cx.spawn_blocking(call));
            match asking.0.join(cx).await {
                Ok(outcome) => outcome.into_result().map_err(io::Error::other)?,
                Err(JoinError::Cancelled(cancelled)) => Err(cancelled.into()),
                Err(error) => Err(io::Error::other(error)),
            }
        })
    }
}

/// A call on the blocking pool, taken back if it has not begun when nobody waits for it any more.
struct Asking(TaskHandle<io::Result<Vec<SocketAddr>>, Cancelled>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.cancel(CancelReason::user("nobody waits for the look-up"));
    }
}

/// Where something is: a name and a port, to be resolved when it is connected to.
///
/// Made from text (`"example.org:443"`, `"[::1]:80"`, `"10.0.0.1:80"`) or from a pair
/// (`("example.org", 443)`).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    host: Box<str>,
    port: u16,
}

/// The longest name in text (RFC 1035, section 2.3.4, without the dot of the root).
const LONGEST_NAME: usize = 253;

impl HostPort {
    /// A host by name or IP address, and a port.
    ///
    /// # Errors
    /// ASY-0512 inside when the name is empty, longer than 253 bytes, or contains a NUL or a space.
    pub fn new(host: impl Into<String>, port: u16) -> io::Result<HostPort> {
        let host = host.into();
        let is_bad = |byte: u8| byte <= b' ' || byte == 0x7f;
        if host.is_empty() || host.len() > LONGEST_NAME || host.bytes().any(is_bad) {
            return Err(crate::error::not_a_host(&host));
        }
        Ok(HostPort { host: host.into(), port })
    }

    /// The name or IP address.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl std::str::FromStr for HostPort {
    type Err = io::Error;

    fn from_str(text: &str) -> io::Result<HostPort> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return HostPort::new(address.ip().to_string(), address.port());
        }
        let parts = text.rsplit_once(':').filter(|(host, _)| !host.contains(':'));
        let parsed = parts.and_then(|(host, port)| Some((host, port.parse().ok()?)));
        let (host, port) = parsed.ok_or_else(|| crate::error::not_a_host(text))?;
        HostPort::new(host, port)
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let HostPort { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Something that names a host and a port.
pub trait ToHostPort {
    /// The host and port.
    ///
    /// # Errors
    /// When it is not one (ASY-0512).
    fn to_host_port(&self) -> io::Result<HostPort>;
}

impl ToHostPort for HostPort {
    fn to_host_port(&self) -> io::Result<HostPort> {
        Ok(self.clone())
    }
}

impl ToHostPort for str {
    fn to_host_port(&self) -> io::Result<HostPort> {
        self.parse()
    }
}

impl ToHostPort for String {
    fn to_host_port(&self) -> io::Result<HostPort> {
        self.parse()
    }
}

impl ToHostPort for (&str, u16) {
    fn to_host_port(&self) -> io::Result<HostPort> {
        HostPort::new(self.0, self.1)
    }
}

impl ToHostPort for (String, u16) {
    fn to_host_port(&self) -> io::Result<HostPort> {
        HostPort::new(self.0.as_str(), self.1)
    }
}

impl ToHostPort for SocketAddr {
    fn to_host_port(&self) -> io::Result<HostPort> {
        HostPort::new(self.ip().to_string(), self.port())
    }
}

impl<T: ToHostPort + ?Sized> ToHostPort for &T {
    fn to_host_port(&self) -> io::Result<HostPort> {
        (**self).to_host_port()
    }
}

/// The addresses of a host by the host's resolver, the best first. An IP address is its own answer.
///
/// # Errors
/// [`NetError`](crate::NetError) inside the `io::Error`: unknown, no answer (ASY-0513), or no name at
/// all (ASY-0512). ASY-0004 inside it when the host has no network. `Cancelled`.
///
/// # Cancel safety
/// Nothing is lost; see the resolver for what goes on. A cancel request is answered within one
/// poll.
#[track_caller]
pub fn resolve<'a, C, H>(
    cx: &'a Cx<C>,
    host: H,
) -> impl Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a
where
    C: HasIo + Includes<ResolveCaps>,
    H: ToHostPort,
{
    let (host, site) = (host.to_host_port(), Location::caller());
    async move { resolve_host(cx, &host?, site).await }
}

pub(crate) async fn resolve_host<C: HasIo + Includes<ResolveCaps>>(
    cx: &Cx<C>,
    host: &HostPort,
    site: &'static Location<'static>,
) -> io::Result<Vec<SocketAddr>> {
    cx.checkpoint()?;
    if let Ok(ip) = host.host().parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, host.port())]);
    }
    let resolver: Arc<dyn Resolve> = if let Some(resolver) = cx.service::<Arc<dyn Resolve>>() {
        Arc::clone(&resolver)
    } else if let Some(network) = cx.service::<VirtualNetwork>() {
        network
    } else if cx.service::<Reactor>().is_some() {
        Arc::new(SystemResolver)
    } else {
        return Err(no_network("resolve a name", None, site));
    };
    let answer = resolver.resolve(cx.narrow(), host.host(), host.port()).await;
    match answer {
        Ok(addresses) if addresses.is_empty() => {
            Err(resolve_failed(host.host(), io::ErrorKind::NotFound.into()))
        }
        Err(error) if cancelled_in(&error).is_none() => Err(resolve_failed(host.host(), error)),
        answer => answer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_port_are_read_from_text_and_written_back() {
        for text in ["db:5432", "example.org:443", "10.0.0.1:80", "[::1]:80"] {
            let host: HostPort = text.parse().unwrap();
            assert_eq!(host.to_string(), text);
        }
        let host: HostPort = "[2001:db8::1]:80".parse().unwrap();
        assert_eq!((host.host(), host.port()), ("2001:db8::1", 80));
    }

    #[test]
    fn what_is_no_host_and_port_is_refused_with_advice() {
        let long = format!("{}:1", "a".repeat(254));
        for text in ["", ":80", "db", "db:", "db:x", "db:70000", "a b:1", "::1:80", "a\0b:1", &long]
        {
            let error = text.parse::<HostPort>().unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{text}");
            assert!(error.to_string().starts_with("ASY-0512"), "{error}");
        }
    }
}
