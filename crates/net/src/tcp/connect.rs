//! Connecting: one address, several in a race, a name.

use super::real;
use super::taped::TapedDial;
use crate::error::{connect_failed, no_network};
use crate::resolve::{ResolveCaps, ToHostPort, resolve_host};
use crate::tcp::TcpStream;
use crate::virtual_network::{Dial, VirtualNetwork};
use crate::{HostPort, ToAddress};
use asupersync_core::cap::{HasIo, HasTime, Includes};
use asupersync_core::{Cx, Time};
use asupersync_reactor::{Io, Reactor, Taped};
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::panic::Location;
use std::pin::pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// The address of ours to connect from. On the virtual network this chooses the host that connects.
    pub local: Option<IpAddr>,
    /// After this long, resolving included, connecting is given up with `TimedOut`. Unless given, as
    /// long as the system tries: minutes perhaps.
    pub timeout: Option<Duration>,
    /// How long an address has for itself before the next one is tried beside it: 250 ms, RFC 8305's
    /// "Connection Attempt Delay" (section 5).
    pub attempt_delay: Duration,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        ConnectOptions { local: None, timeout: None, attempt_delay: Duration::from_millis(250) }
    }
}

impl ConnectOptions {
    /// The usual ones.
    #[must_use]
    pub fn new() -> ConnectOptions {
        ConnectOptions::default()
    }

    /// Connects from this address of ours.
    #[must_use]
    pub fn local(mut self, local: IpAddr) -> ConnectOptions {
        self.local = Some(local);
        self
    }

    /// Gives up after this long.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> ConnectOptions {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long an address has for itself; at least 10 ms (RFC 8305, section 5).
    #[must_use]
    pub fn attempt_delay(mut self, delay: Duration) -> ConnectOptions {
        self.attempt_delay = delay.max(Duration::from_millis(10));
        self
    }
}

/// At most so many addresses are tried: what a resolver hands over is a peer's word.
const MOST_ADDRESSES: usize = 64;

impl TcpStream {
    /// Connects to `address`.
    ///
    /// Waits as long as the system does, minutes perhaps: put a timeout around it, or use
    /// [`connect_with`](Self::connect_with).
    ///
    /// # Errors
    /// [`NetError`](crate::NetError) inside the `io::Error`: refused, timed out, unreachable
    /// (ASY-0511), not an address (ASY-0512). ASY-0004 inside it when the host has no network. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call closes what it had begun; the peer may have accepted it already. A cancel
    /// request is answered within one poll.
    #[track_caller]
    pub fn connect<'a, C: HasIo, A: ToAddress + 'a>(
        cx: &'a Cx<C>,
        address: A,
    ) -> impl Future<Output = io::Result<TcpStream>> + 'a {
        let to = address.to_address();
        connect(cx, None, to, Location::caller())
    }

    /// As [`connect`](Self::connect), from this address of ours. On the virtual network this chooses
    /// the host that connects.
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_from<'a, C: HasIo, A: ToAddress + 'a>(
        cx: &'a Cx<C>,
        local: IpAddr,
        address: A,
    ) -> impl Future<Output = io::Result<TcpStream>> + 'a {
        let to = address.to_address();
        connect(cx, Some(local), to, Location::caller())
    }

    /// As [`connect`](Self::connect), with options: a timeout, say.
    ///
    /// # Errors
    /// As [`connect`](Self::connect); `TimedOut` when the options' time is over.
    ///
    /// # Cancel safety
    /// As [`connect`](Self::connect).
    #[track_caller]
    pub fn connect_with<'a, C: HasIo + HasTime, A: ToAddress + 'a>(
        cx: &'a Cx<C>,
        address: A,
        options: &'a ConnectOptions,
    ) -> impl Future<Output = io::Result<TcpStream>> + 'a {
        let (to, site) = (address.to_address(), Location::caller());
        async move { race(cx, vec![to?], options, cx.now(), site).await }
    }

    /// Connects to whichever of several addresses answers first ("happy eyeballs", RFC 8305): in the
    /// given order but alternating between the address families, each beside the ones before it after
    /// [`attempt_delay`](ConnectOptions::attempt_delay), or at once when the last one failed. The losers
    /// are closed before the call returns. Of more than 64 addresses the first 64 are tried.
    ///
    /// # Errors
    /// That of the last address to fail, as [`connect`](Self::connect); `TimedOut` when the options'
    /// time is over; `InvalidInput` without an address.
    ///
    /// # Cancel safety
    /// A cancelled call closes what it had begun. A cancel request is answered within one poll.
    #[track_caller]
    pub fn connect_any<'a, C: HasIo + HasTime>(
        cx: &'a Cx<C>,
        addresses: impl IntoIterator<Item = SocketAddr>,
        options: &'a ConnectOptions,
    ) -> impl Future<Output = io::Result<TcpStream>> + 'a {
        let (addresses, site) =
            (addresses.into_iter().take(MOST_ADDRESSES).collect(), Location::caller());
        async move { race(cx, addresses, options, cx.now(), site).await }
    }

    /// Connects to a host by its name: resolves it (see [`resolve`](crate::resolve())) and goes on as
    /// [`connect_any`](Self::connect_any).
    ///
    /// # Errors
    /// As [`connect_any`](Self::connect_any); ASY-0513 inside when the name cannot be resolved, ASY-0512
    /// when it is no name.
    ///
    /// # Cancel safety
    /// A cancelled call closes what it had begun. A cancel request is answered within one poll.
    #[track_caller]
    pub fn connect_name<'a, C, H>(
        cx: &'a Cx<C>,
        host: H,
        options: &'a ConnectOptions,
    ) -> impl Future<Output = io::Result<TcpStream>> + 'a
    where
        C: HasIo + HasTime + Includes<ResolveCaps>,
        H: ToHostPort,
    {
        let (host, site) = (host.to_host_port(), Location::caller());
        async move { connect_host(cx, host?, options, site).await }
    }
}

async fn connect_host<C: HasIo + HasTime + Includes<ResolveCaps>>(
    cx: &Cx<C>,
    host: HostPort,
    options: &ConnectOptions,
    site: &'static Location<'static>,
) -> io::Result<TcpStream> {
    let started = cx.now();
    let addresses = {
        let mut resolving = pin!(resolve_host(cx, &host, site));
        let end = options.timeout.map(|timeout| started + timeout);
        let mut sleep = pin!(end.map(|end| cx.sleep_until(end)));
        poll_fn(|context| {
            if let Poll::Ready(addresses) = resolving.as_mut().poll(context) {
                return Poll::Ready(addresses);
            }
            let Some(sleep) = sleep.as_mut().as_pin_mut() else { return Poll::Pending };
            ready!(sleep.poll(context))?;
            let late = io::ErrorKind::TimedOut.into();
            Poll::Ready(Err(crate::error::resolve_failed(host.host(), late)))
        })
        .await?
    };
    let addresses = addresses.into_iter().take(MOST_ADDRESSES).collect();
    race(cx, addresses, options, started, site).await
}

/// One address being connected to.
enum Attempt {
    Real(Option<Io<mio::net::TcpStream>>),
    Virtual(Box<Dial>),
    Taped(TapedDial),
}

impl Attempt {
    fn start<C: HasIo>(
        cx: &Cx<C>,
        from: Option<IpAddr>,
        to: SocketAddr,
        site: &'static Location<'static>,
    ) -> io::Result<Attempt> {
        let failed = |error| connect_failed(to, error);
        if let Some(network) = cx.service::<VirtualNetwork>() {
            Ok(Attempt::Virtual(Box::new(Dial::new(&network, from, to).map_err(failed)?)))
        } else if let Some(reactor) = cx.service::<Reactor>() {
            Ok(Attempt::Real(Some(real::dial(&reactor, from, to).map_err(failed)?)))
        } else if let Some(taped) = cx.service::<Taped>() {
            Ok(Attempt::Taped(TapedDial::start(&taped, from, to).map_err(failed)?))
        } else {
            Err(no_network("connect to", Some(to), site))
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match self {
            Attempt::Virtual(dial) => dial.poll(context).map_ok(TcpStream::from_virtual),
            Attempt::Taped(dial) => dial.poll(context),
            Attempt::Real(stream) => {
                let waiting = stream.as_ref().expect("polled until it is ready");
                ready!(real::poll_connected(waiting, context))?;
                let stream = stream.take().expect("it has just been looked at");
                Poll::Ready(Ok(TcpStream::from_real(stream)))
            }
        }
    }
}

async fn connect<C: HasIo>(
    cx: &Cx<C>,
    from: Option<IpAddr>,
    to: io::Result<SocketAddr>,
    site: &'static Location<'static>,
) -> io::Result<TcpStream> {
    cx.checkpoint()?;
    let to = to?;
    let mut attempt = Attempt::start(cx, from, to, site)?;
    let answer = cx.wait_at("TcpStream::connect", site, |context| attempt.poll(context)).await?;
    answer.map_err(|error| connect_failed(to, error))
}

async fn race<C: HasIo + HasTime>(
    cx: &Cx<C>,
    addresses: Vec<SocketAddr>,
    options: &ConnectOptions,
    started: Time,
    site: &'static Location<'static>,
) -> io::Result<TcpStream> {
    cx.checkpoint()?;
    let end = options.timeout.map(|timeout| started + timeout);
    let mut waiting = alternate(addresses);
    let Some(first) = waiting.front().copied() else {
        let what = "there is no address to connect to";
        return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
    };
    let mut under_way: Vec<(SocketAddr, Attempt)> = Vec::new();
    let mut last_failure = None;
    loop {
        if let Some(to) = waiting.pop_front() {
            match Attempt::start(cx, options.local, to, site) {
                Ok(attempt) => under_way.push((to, attempt)),
                Err(error) => {
                    last_failure = Some(error);
                    continue;
                }
            }
        } else if under_way.is_empty() {
            return Err(last_failure.expect("there was an address, and it did not connect"));
        }
        let next = (!waiting.is_empty()).then(|| cx.now() + options.attempt_delay);
        let until = match (next, end) {
            (Some(next), Some(end)) => Some(next.min(end)),
            (next, end) => next.or(end),
        };
        match turn(cx, &mut under_way, until, site).await? {
            Turn::Ended(_, Ok(stream)) => return Ok(stream),
            Turn::Ended(index, Err(error)) => {
                let (to, _) = under_way.swap_remove(index);
                last_failure = Some(connect_failed(to, error));
            }
            Turn::TimeIsUp if end.is_some_and(|end| cx.now() >= end) => {
                let to = under_way.first().map_or(first, |(to, _)| *to);
                return Err(connect_failed(to, io::ErrorKind::TimedOut.into()));
            }
            Turn::TimeIsUp => {}
        }
    }
}

enum Turn {
    Ended(usize, io::Result<TcpStream>),
    TimeIsUp,
}

/// Waits until one of the attempts has ended, or a moment has come.
async fn turn<C: HasIo + HasTime>(
    cx: &Cx<C>,
    under_way: &mut [(SocketAddr, Attempt)],
    until: Option<Time>,
    site: &'static Location<'static>,
) -> io::Result<Turn> {
    let mut ended = pin!(cx.wait_at("TcpStream::connect", site, |context| {
        for (index, (_, attempt)) in under_way.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.poll(context) {
                return Poll::Ready((index, result));
            }
        }
        Poll::Pending
    }));
    let mut sleep = pin!(until.map(|until| cx.sleep_until(until)));
    poll_fn(|context| {
        if let Poll::Ready(ended) = ended.as_mut().poll(context) {
            let (index, result) = ended?;
            return Poll::Ready(Ok(Turn::Ended(index, result)));
        }
        let Some(sleep) = sleep.as_mut().as_pin_mut() else { return Poll::Pending };
        ready!(sleep.poll(context))?;
        Poll::Ready(Ok(Turn::TimeIsUp))
    })
    .await
}

/// The order of RFC 8305, section 4: as given, but one family after the other, beginning with the
/// family of the first.
fn alternate(addresses: Vec<SocketAddr>) -> VecDeque<SocketAddr> {
    let Some(first) = addresses.first() else { return VecDeque::new() };
    let v6_first = first.is_ipv6();
    let (mut one, mut other): (VecDeque<_>, VecDeque<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == v6_first);
    let mut order = VecDeque::new();
    while !(one.is_empty() && other.is_empty()) {
        order.extend(one.pop_front());
        order.extend(other.pop_front());
    }
    order
}

#[cfg(test)]
mod tests {
    use super::alternate;
    use std::net::SocketAddr;

    #[test]
    fn families_take_turns_and_keep_their_order() {
        let parse = |text: &str| -> Vec<SocketAddr> {
            text.split_whitespace().map(|word| word.parse().unwrap()).collect()
        };
        let given = parse("[::1]:1 [::2]:1 [::3]:1 1.1.1.1:1 1.1.1.2:1");
        let order = parse("[::1]:1 1.1.1.1:1 [::2]:1 1.1.1.2:1 [::3]:1");
        assert_eq!(Vec::from(alternate(given)), order);
        let given = parse("1.1.1.1:1 [::1]:1 1.1.1.2:1");
        assert_eq!(Vec::from(alternate(given.clone())), given);
        assert!(alternate(Vec::new()).is_empty());
    }
}
