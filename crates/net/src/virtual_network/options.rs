//! How a virtual network behaves.

use super::rng::Rng;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// How a virtual network behaves. Its `Display` is the whole set in one line, for a failure report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualOptions {
    /// How long a segment is under way, drawn for each. Segments of a direction never overtake.
    pub latency: RangeInclusive<Duration>,
    /// How many bytes a second a direction of a connection carries, each connection for itself; `None` for as
    /// many as there are. A segment's latency begins when its last byte is on the line.
    pub bandwidth: Option<std::num::NonZeroU64>,
    /// The most bytes of a direction that may be written and not yet read. At least one.
    pub window: usize,
    /// The longest segment, in bytes. At least one.
    pub segment: usize,
    /// How often a segment is cut at a random place, out of 1,000,000.
    pub split: u32,
    /// How often a read stops at a segment's end although the next has arrived, out of 1,000,000.
    pub short_read: u32,
    /// How often a segment is replaced by a reset of its connection, out of 1,000,000.
    pub reset: u32,
    /// How often a datagram is lost, out of 1,000,000.
    pub loss: u32,
    /// How often a datagram arrives twice, out of 1,000,000.
    pub duplicate: u32,
    /// How often a datagram is late by up to twice the longest latency, so that others overtake it, out
    /// of 1,000,000. The others of a pair of sockets keep their order.
    pub reorder: u32,
    /// The most bytes of datagrams that wait in a socket; what comes beyond is dropped.
    pub datagram_buffer: usize,
    /// The longest queue of connections not yet accepted, unless the listener says less.
    pub backlog: usize,
    /// After this long without an answer, `connect` fails.
    pub connect_timeout: Duration,
    /// The source address of connections to addresses that are not loopback, unless
    /// `connect_from` names one.
    pub local_ip: IpAddr,
}

impl Default for VirtualOptions {
    /// A quiet local network: 50 to 150 µs, 64 KiB windows, segments of 1,460 bytes, a cut now and
    /// then, no resets, and no datagram lost but for want of room.
    fn default() -> Self {
        VirtualOptions {
            latency: Duration::from_micros(50)..=Duration::from_micros(150),
            bandwidth: None,
            window: 64 * 1024,
            segment: 1460,
            split: 50_000,
            short_read: 50_000,
            reset: 0,
            loss: 0,
            duplicate: 0,
            reorder: 0,
            datagram_buffer: 208 * 1024,
            backlog: 128,
            connect_timeout: Duration::from_secs(127),
            local_ip: IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
        }
    }
}

impl VirtualOptions {
    /// Options drawn from a seed, each anywhere in what is legal: latencies from none to 200 ms,
    /// windows from 1 byte to 64 KiB, tiny segments or large ones, up to a quarter of all datagrams
    /// lost, doubled or late. Resets stay off.
    #[must_use]
    pub fn from_seed(seed: u64) -> VirtualOptions {
        let mut rng = Rng::named(seed, [0x6f70_7469_6f6e_7300]);
        // Powers first, so that small values are as frequent as large ones.
        let mut scale = |low: u32, high: u32| {
            let exponent = rng.within(&(u64::from(low)..=u64::from(high)));
            rng.within(&(1..=1 << exponent))
        };
        let (shortest, spread) = (scale(0, 17), scale(0, 17));
        let (window, segment) = (scale(3, 16) as usize, scale(2, 14) as usize);
        let (split, short_read) = (scale(1, 19) as u32, scale(1, 19) as u32);
        let (loss, duplicate) = (scale(1, 18) as u32, scale(1, 18) as u32);
        let reorder = scale(1, 18) as u32;
        VirtualOptions {
            latency: Duration::from_micros(shortest - 1)
                ..=Duration::from_micros(shortest - 1 + spread - 1),
            window,
            segment,
            split,
            short_read,
            loss,
            duplicate,
            reorder,
            ..VirtualOptions::default()
        }
    }

    /// The same network without what strikes at random: no reset, and no datagram lost, doubled or late.
    #[must_use]
    pub fn calm(&self) -> VirtualOptions {
        VirtualOptions { reset: 0, loss: 0, duplicate: 0, reorder: 0, ..self.clone() }
    }

    pub(crate) fn draw_latency(&self, rng: &mut Rng) -> Duration {
        let nanos = |d: &Duration| u64::try_from(d.as_nanos()).unwrap_or(u64::MAX / 4);
        Duration::from_nanos(rng.within(&(nanos(self.latency.start())..=nanos(self.latency.end()))))
    }
}

impl fmt::Display for VirtualOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let VirtualOptions {
            latency,
            bandwidth,
            window,
            segment,
            split,
            short_read,
            reset,
            loss,
            duplicate,
            reorder,
            datagram_buffer,
            backlog,
            connect_timeout,
            local_ip,
        } = self;
        let bandwidth = bandwidth.map(|bytes| format!("{bytes}B/s "));
        let bandwidth = bandwidth.unwrap_or_default();
        write!(
            f,
            "latency={:?}..={:?} {bandwidth}window={window} segment={segment} split={split}ppm \
             short_read={short_read}ppm reset={reset}ppm loss={loss}ppm \
             duplicate={duplicate}ppm reorder={reorder}ppm datagram_buffer={datagram_buffer} backlog={backlog} \
             connect_timeout={connect_timeout:?} local_ip={local_ip}",
            latency.start(),
            latency.end()
        )
    }
}
