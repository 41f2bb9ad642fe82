//! A network in memory, repeatable by its seed.

mod connection;
mod datagram;
mod dial;
mod link;
mod listener;
mod names;
mod options;
mod rng;
mod timer;
mod unix;

pub use self::options::VirtualOptions;

pub(crate) use self::connection::{End, VirtualStream};
pub(crate) use self::datagram::VirtualUdp;
pub(crate) use self::dial::Dial;
pub(crate) use self::listener::VirtualListener;
pub(crate) use self::unix::{VirtualUnixDatagram, VirtualUnixListener, VirtualUnixStream};

use self::connection::Connection;
use self::datagram::Mailbox;
use self::link::Link;
use self::listener::Queue;
use self::rng::{Rng, words};
use self::timer::Clock;
use crate::unix::UnixAddr;
use asupersync_core::primitive::Mutex;
use asupersync_core::{Host, Object, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};

/// A network in memory, repeatable by its seed: the lab's driver behind [`TcpListener`] and
/// [`TcpStream`].
///
/// The host [attaches](Self::attach) itself and offers the network as the service of this type.
/// Cheap to clone: clones are the same network, so a test keeps one to partition and reset.
///
/// Every IP address is a host of its own, and exists as soon as it is bound or connected from. Bytes
/// travel in segments whose cuts and latencies are drawn from streams of entropy named by the seed
/// and the connection's addresses, so one connection's traffic does not change another's.
///
/// # What is modelled
///
/// Latency for each segment and for both halves of connecting; segments cut and reads ending at any
/// segment's end; bounded windows, so a slow reader stops its writer; refusal where nobody listens;
/// the bounded backlog, whose overflow makes `connect` try again after 1, 2, 4 .. seconds; half-close;
/// the reset that a peer gets for closing with unread bytes, for writing to one that is gone, or for an
/// abort (linger 0); resets by the network, at random or on demand; partitions, in both directions or one,
/// and stalls of single connections, during which nothing arrives and after which everything does, in order;
/// a bandwidth for each direction of a connection; machines that crash and come back, whose peers stay half-open
/// until they write.
///
/// Datagrams are lost, doubled and overtaken as often as the options say, dropped by a partition and
/// by a receiver whose buffer is full, and cut to the length of the buffer they are received into.
/// Multicast reaches every socket of the port that joined the group; broadcast every socket of the port.
///
/// Unix sockets are links without latency between any two tasks; their paths and abstract names are the
/// network's own, and no file is made. Their datagrams are never lost.
///
/// # What is not
///
/// * Loss and retransmission of segments: what is lost on a real path is late here, never gone.
/// * Congestion: a segment's latency does not depend on what other connections carry, and datagrams take no
///   bandwidth.
/// * Half of a handshake: while either direction is cut, connecting is as if both were.
/// * Descriptors do not pass over virtual Unix sockets, and their peers have no credentials.
/// * Windows travel at once: the writer knows of the room a reader makes in that same instant.
/// * The window limits bytes, whatever their segments cost; there is no separate send buffer, so
///   `close` and drop never wait and lingering means nothing, except for 0.
/// * Keep-alive probes, Nagle's delay, urgent data, simultaneous open, `TIME_WAIT`: the options are
///   remembered and otherwise ignored. A peer behind a partition stays half-open for ever.
/// * A reset is answered by every later call; Linux answers it once, and then the end of the stream.
/// * An address nobody has bound refuses; a real one may also be unreachable, or silent. A datagram to
///   it is lost, and its sender is not told.
/// * Fragments: a datagram arrives whole or not at all, up to 65,507 bytes. Hop limits and multicast
///   interfaces are remembered or ignored.
/// * Sockets bound to an unspecified address listen on *every* address of the network.
///
/// [`TcpListener`]: crate::TcpListener
/// [`TcpStream`]: crate::TcpStream
#[derive(Clone)]
pub struct VirtualNetwork {
    shared: Arc<Shared>,
}

struct Shared {
    seed: u64,
    options: Arc<VirtualOptions>,
    object: Object,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    clock: Option<Clock>,
    listeners: BTreeMap<SocketAddr, Arc<Queue<VirtualStream>>>,
    /// Sockets for datagrams.
    mailboxes: BTreeMap<SocketAddr, Arc<Mailbox>>,
    /// Addresses in use, by listeners, by the connecting ends of connections, by sockets for datagrams.
    ports: BTreeSet<(Protocol, SocketAddr)>,
    /// The next ephemeral port to try and how many were given out, for each IP address.
    ephemeral: BTreeMap<(Protocol, IpAddr), Ephemeral>,
    /// Unix sockets, by what they are bound to.
    unix: BTreeMap<UnixAddr, unix::Bound>,
    /// How many Unix connections were made.
    unix_connections: u64,
    /// What names resolve to.
    names: BTreeMap<String, Vec<IpAddr>>,
    /// From where nothing reaches where.
    partitions: BTreeSet<(IpAddr, IpAddr)>,
    /// In place of the options given, once the network was calmed.
    calmed: Option<Arc<VirtualOptions>>,
    live: Vec<Live>,
    sweep_at: usize,
}

/// Each has ports of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Protocol {
    Tcp,
    Udp,
}

#[derive(Clone, Copy)]
struct Ephemeral {
    next: u16,
    given: u64,
}

struct Live {
    client: SocketAddr,
    server: SocketAddr,
    connection: Weak<Connection>,
}

/// RFC 6335, section 6: the dynamic ports.
const EPHEMERAL: std::ops::RangeInclusive<u16> = 49152..=65535;

impl VirtualNetwork {
    /// A network without connections. `seed` decides everything its options leave open.
    #[must_use]
    pub fn new(options: VirtualOptions, seed: u64) -> VirtualNetwork {
        VirtualNetwork {
            shared: Arc::new(Shared {
                seed,
                options: Arc::new(options),
                object: Object::new("virtual network"),
                table: Mutex::new(Table::default()),
            }),
        }
    }

    /// A network that takes instants and timers from `host`: what a lab's `service_with` makes anew
    /// for each run, from the run's seed.
    #[must_use]
    pub fn for_host(options: VirtualOptions, seed: u64, host: Weak<dyn Host>) -> VirtualNetwork {
        let network = VirtualNetwork::new(options, seed);
        network.attach(host);
        network
    }

    /// Takes instants and timers from this host. Until then every operation fails.
    pub fn attach(&self, host: Weak<dyn Host>) {
        let before = self.shared.table.lock().clock.replace(Clock::new(host));
        drop(before);
    }

    /// The seed.
    #[must_use]
    pub fn seed(&self) -> u64 {
        self.shared.seed
    }

    /// How this network behaves, unless it was [calmed](Self::calm).
    #[must_use]
    pub fn options(&self) -> &VirtualOptions {
        &self.shared.options
    }

    /// Lets nothing pass between two addresses, in either direction, until [`heal`](Self::heal).
    /// Nothing is lost: what is under way waits. Connecting is tried again and may time out.
    pub fn partition(&self, a: IpAddr, b: IpAddr) {
        self.partition_one_way(a, b);
        self.partition_one_way(b, a);
    }

    /// Lets nothing pass from one address to another until [`heal`](Self::heal), and what goes the other way
    /// pass as before.
    pub fn partition_one_way(&self, from: IpAddr, to: IpAddr) {
        self.shared.object.write();
        self.shared.table.lock().partitions.insert((from, to));
        self.from(from, to, Link::cut);
    }

    /// Lets everything pass again, both ways; what waited arrives in order.
    pub fn heal(&self, a: IpAddr, b: IpAddr) {
        self.shared.object.write();
        for (from, to) in [(a, b), (b, a)] {
            self.shared.table.lock().partitions.remove(&(from, to));
            self.from(from, to, Link::heal);
        }
    }

    /// Heals every partition, and every stalled connection.
    pub fn heal_all(&self) {
        self.shared.object.write();
        self.shared.table.lock().partitions.clear();
        for connection in self.live(|_, _| true) {
            connection.change(|link, now| [0, 1].into_iter().for_each(|end| link.heal(end, now)));
        }
    }

    /// Lets nothing pass on the connections between two sockets, in whichever order they are named, until
    /// [`unstall`](Self::unstall) or [`heal_all`](Self::heal_all); answers how many there were. Other
    /// connections of the same machines go on.
    pub fn stall(&self, a: SocketAddr, b: SocketAddr) -> usize {
        let chosen = self.between(a, b);
        for (connection, ..) in &chosen {
            connection.change(|link, now| [0, 1].into_iter().for_each(|end| link.cut(end, now)));
        }
        chosen.len()
    }

    /// Lets everything pass on these connections again, as far as no partition cuts their path; answers how
    /// many there were. What waited arrives in order.
    pub fn unstall(&self, a: SocketAddr, b: SocketAddr) -> usize {
        let chosen = self.between(a, b);
        for (connection, client, server) in &chosen {
            let ways = [(client.ip(), server.ip()), (server.ip(), client.ip())];
            let table = self.shared.table.lock();
            let open = ways.map(|way| !table.partitions.contains(&way));
            drop(table);
            connection.change(|link, now| {
                (0..2).filter(|end| open[*end]).for_each(|end| link.heal(end, now));
            });
        }
        chosen.len()
    }

    /// The machine of this address stops without a word and starts again: datagrams that wait there are gone,
    /// and its connections are reset for those on it. Their peers are left half-open, and learn of it when they
    /// write. End the machine's own tasks afterwards, and start them anew; with [`partition`](Self::partition)
    /// around it, it stays away for a while.
    pub fn crash(&self, machine: IpAddr) {
        self.shared.object.write();
        for (connection, client, server) in
            self.live_with(|client, server| client.ip() == machine || server.ip() == machine)
        {
            let ends = [client.ip(), server.ip()];
            connection.change(|link, now| {
                (0..2).filter(|end| ends[*end] == machine).for_each(|end| link.crash(end, now));
            });
        }
        let table = self.shared.table.lock();
        let mailboxes = table.mailboxes.iter().filter(|(address, _)| address.ip() == machine);
        let mailboxes: Vec<Arc<Mailbox>> = mailboxes.map(|(_, mailbox)| mailbox.clone()).collect();
        drop(table);
        mailboxes.iter().for_each(|mailbox| mailbox.discard());
    }

    /// Ends what strikes at random, from now on and for every connection: see [`VirtualOptions::calm`].
    pub fn calm(&self) {
        self.shared.object.write();
        let calm = Arc::new(self.options().calm());
        self.shared.table.lock().calmed = Some(calm.clone());
        for connection in self.live(|_, _| true) {
            connection.change(|link, _| link.set_options(calm.clone()));
        }
    }

    /// The pairs of different addresses between which there is a connection, or may be datagrams, in order.
    #[must_use]
    pub fn paths(&self) -> Vec<(IpAddr, IpAddr)> {
        let connected = self.connections().into_iter().map(|(a, b)| (a.ip(), b.ip()));
        let connected = connected.map(|(a, b)| (a.min(b), a.max(b))).filter(|(a, b)| a != b);
        let mut paths: BTreeSet<(IpAddr, IpAddr)> = connected.collect();
        let table = self.shared.table.lock();
        let machines: BTreeSet<IpAddr> =
            table.mailboxes.keys().map(SocketAddr::ip).filter(|ip| !ip.is_unspecified()).collect();
        drop(table);
        for a in &machines {
            paths.extend(machines.range(..a).map(|b| (*b, *a)));
        }
        paths.into_iter().collect()
    }

    /// Resets the connections between two sockets, in whichever order they are named, and answers
    /// how many there were. What has not arrived is lost, and both ends get `ConnectionReset`.
    pub fn reset(&self, a: SocketAddr, b: SocketAddr) -> usize {
        self.reset_where(|client, server| (client, server) == (a, b) || (server, client) == (a, b))
    }

    /// Resets every connection that two addresses `choose` picks: the connecting one first.
    pub fn reset_where(&self, choose: impl Fn(SocketAddr, SocketAddr) -> bool) -> usize {
        let chosen = self.live(choose);
        for connection in &chosen {
            connection.change(Link::reset);
        }
        chosen.len()
    }

    /// The connections that have an owner at one end at least, as (connecting, accepting) addresses.
    #[must_use]
    pub fn connections(&self) -> Vec<(SocketAddr, SocketAddr)> {
        let table = self.shared.table.lock();
        let live = table.live.iter().filter(|live| live.connection.strong_count() > 0);
        live.map(|live| (live.client, live.server)).collect()
    }

    /// Changes what connections carry from one address to another.
    fn from(&self, from: IpAddr, to: IpAddr, each: impl Fn(&mut Link, usize, Time)) {
        let path = |a: SocketAddr, b: SocketAddr| (a.ip(), b.ip()) == (from, to);
        for (connection, client, server) in
            self.live_with(|client, server| path(client, server) || path(server, client))
        {
            connection.change(|link, now| {
                if path(client, server) {
                    each(link, 0, now);
                }
                if path(server, client) {
                    each(link, 1, now);
                }
            });
        }
    }

    fn between(
        &self,
        a: SocketAddr,
        b: SocketAddr,
    ) -> Vec<(Arc<Connection>, SocketAddr, SocketAddr)> {
        self.live_with(|client, server| (client, server) == (a, b) || (server, client) == (a, b))
    }

    fn live(&self, choose: impl Fn(SocketAddr, SocketAddr) -> bool) -> Vec<Arc<Connection>> {
        self.live_with(choose).into_iter().map(|(connection, ..)| connection).collect()
    }

    /// The connections that somebody still owns, with their connecting and accepting addresses.
    fn live_with(
        &self,
        choose: impl Fn(SocketAddr, SocketAddr) -> bool,
    ) -> Vec<(Arc<Connection>, SocketAddr, SocketAddr)> {
        let table = self.shared.table.lock();
        let chosen = table.live.iter().filter(|live| choose(live.client, live.server));
        chosen
            .filter_map(|live| Some((live.connection.upgrade()?, live.client, live.server)))
            .collect()
    }

    /// How the network behaves now.
    fn current(&self) -> Arc<VirtualOptions> {
        let calmed = self.shared.table.lock().calmed.clone();
        calmed.unwrap_or_else(|| self.shared.options.clone())
    }

    fn clock(&self) -> io::Result<Clock> {
        let clock = self.shared.table.lock().clock.clone();
        clock.ok_or_else(|| io::Error::other("the virtual network was not attached to its host"))
    }

    /// Where a connection comes from.
    fn source(&self, from: Option<IpAddr>, to: SocketAddr) -> IpAddr {
        match from {
            Some(from) => from,
            None if to.ip().is_loopback() || to.ip().is_unspecified() => to.ip(),
            None => self.options().local_ip,
        }
    }

    fn rng(&self, client: &Port, server: SocketAddr, purpose: u64) -> Rng {
        let name = words(client.address).into_iter().chain(words(server));
        Rng::named(self.shared.seed, name.chain([client.ordinal, purpose]))
    }

    /// Whether nothing passes from one address to another.
    fn is_partitioned(&self, from: IpAddr, to: IpAddr) -> bool {
        self.shared.object.read();
        self.shared.table.lock().partitions.contains(&(from, to))
    }

    fn listener(&self, address: SocketAddr) -> Option<Arc<Queue<VirtualStream>>> {
        self.shared.object.read();
        let table = self.shared.table.lock();
        let anywhere = match address {
            SocketAddr::V4(_) => IpAddr::from([0; 4]),
            SocketAddr::V6(_) => IpAddr::from([0; 16]),
        };
        let wildcard = SocketAddr::new(anywhere, address.port());
        table.listeners.get(&address).or_else(|| table.listeners.get(&wildcard)).cloned()
    }

    fn listen(&self, address: SocketAddr, queue: &Arc<Queue<VirtualStream>>) -> io::Result<Port> {
        let port = self.port(Protocol::Tcp, address)?;
        self.shared.table.lock().listeners.insert(port.address, queue.clone());
        Ok(port)
    }

    fn unlisten(&self, address: SocketAddr) {
        self.shared.object.write();
        let queue = self.shared.table.lock().listeners.remove(&address);
        drop(queue);
    }

    /// Takes a port: the given one, or a free one for port 0.
    fn port(&self, protocol: Protocol, address: SocketAddr) -> io::Result<Port> {
        if address.port() == 0 {
            return self.ephemeral(protocol, address.ip());
        }
        self.shared.object.write();
        if !self.shared.table.lock().ports.insert((protocol, address)) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(Port { network: self.clone(), protocol, address, ordinal: 0 })
    }

    /// Takes a free ephemeral port of an address.
    fn ephemeral(&self, protocol: Protocol, ip: IpAddr) -> io::Result<Port> {
        self.shared.object.write();
        let mut table = self.shared.table.lock();
        let Table { ephemeral, ports, .. } = &mut *table;
        let counter = ephemeral
            .entry((protocol, ip))
            .or_insert(Ephemeral { next: *EPHEMERAL.start(), given: 0 });
        for _ in EPHEMERAL {
            let address = SocketAddr::new(ip, counter.next);
            counter.next = if counter.next == *EPHEMERAL.end() {
                *EPHEMERAL.start()
            } else {
                counter.next + 1
            };
            if ports.insert((protocol, address)) {
                counter.given += 1;
                let ordinal = counter.given;
                drop(table);
                return Ok(Port { network: self.clone(), protocol, address, ordinal });
            }
        }
        Err(io::ErrorKind::AddrNotAvailable.into())
    }

    /// Makes a connection, whose connecting end owns `port`.
    fn connect(&self, clock: Clock, port: Port, server: SocketAddr) -> [VirtualStream; 2] {
        let rngs = [self.rng(&port, server, 0), self.rng(&port, server, 1)];
        let link = Link::new(self.current(), rngs);
        let client = port.address;
        let connection = Connection::new(clock, link);
        let mut table = self.shared.table.lock();
        if table.live.len() >= table.sweep_at {
            table.live.retain(|live| live.connection.strong_count() > 0);
            table.sweep_at = 16.max(table.live.len() * 2);
        }
        let live = Live { client, server, connection: Arc::downgrade(&connection) };
        table.live.push(live);
        drop(table);
        VirtualStream::pair(connection, client, server, port)
    }
}

/// An address in use, given back when dropped.
pub(crate) struct Port {
    network: VirtualNetwork,
    protocol: Protocol,
    address: SocketAddr,
    /// Which one of its IP address's ephemeral ports this is, counting every one given out.
    ordinal: u64,
}

impl Port {
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.network.shared.object.write();
        self.network.shared.table.lock().ports.remove(&(self.protocol, self.address));
    }
}

impl fmt::Debug for VirtualNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualNetwork")
            .field("seed", &self.shared.seed)
            .field("options", &format_args!("{}", self.shared.options))
            .finish_non_exhaustive()
    }
}
