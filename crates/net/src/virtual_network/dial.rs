//! Connecting through the virtual network.
//!
//! ```text
//!   Start ─▶ Asking ─▶ (taken) Answered ─▶ stream
//!     ▲         ├────▶ (no listener) Refused ─▶ error
//!     └─────────┴────▶ (lost: partition, backlog full) ask again later, until the time is up
//! ```

use super::connection::VirtualStream;
use super::listener::Offer;
use super::rng::Rng;
use super::timer::Alarm;
use super::{Protocol, VirtualNetwork};
use asupersync_core::Time;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// The first wait before a lost request is repeated; each further one is twice as long
/// (RFC 6298, section 2.1 and 5.5).
const FIRST_RETRY: Duration = Duration::from_secs(1);

pub(crate) struct Dial {
    network: VirtualNetwork,
    from: IpAddr,
    to: SocketAddr,
    alarm: Alarm,
    rng: Rng,
    started: Time,
    retry: Duration,
    stage: Stage,
}

enum Stage {
    Start,
    /// The request is on its way.
    Asking {
        arrives: Time,
        port: super::Port,
    },
    /// The request was lost, and is repeated.
    Lost {
        again: Time,
        port: super::Port,
    },
    /// The peer's queue has the connection; the answer is on its way.
    Answered {
        arrives: Time,
        stream: VirtualStream,
    },
    /// Nobody listens; the answer is on its way.
    Refused {
        arrives: Time,
    },
    Ended,
}

impl Dial {
    pub(crate) fn new(
        network: &VirtualNetwork,
        from: Option<IpAddr>,
        to: SocketAddr,
    ) -> io::Result<Dial> {
        Ok(Dial {
            from: network.source(from, to),
            to,
            alarm: Alarm::new(network.clock()?),
            network: network.clone(),
            rng: Rng::new(0),
            started: Time::ZERO,
            retry: FIRST_RETRY,
            stage: Stage::Start,
        })
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<io::Result<VirtualStream>> {
        let options = self.network.options().clone();
        loop {
            // A stage that waits is put back; one that answers is gone.
            match std::mem::replace(&mut self.stage, Stage::Ended) {
                Stage::Start => {
                    let port = self.network.ephemeral(Protocol::Tcp, self.from)?;
                    self.rng = self.network.rng(&port, self.to, 2);
                    let now = self.alarm.clock().host()?.now();
                    self.started = now;
                    let arrives = now + options.draw_latency(&mut self.rng);
                    self.stage = Stage::Asking { arrives, port };
                }
                Stage::Asking { arrives, port } => {
                    let Poll::Ready(now) = self.alarm.poll(arrives, context)? else {
                        self.stage = Stage::Asking { arrives, port };
                        return Poll::Pending;
                    };
                    self.stage = self.ask(now, port);
                }
                Stage::Lost { again, port } => {
                    let Poll::Ready(now) = self.alarm.poll(again, context)? else {
                        self.stage = Stage::Lost { again, port };
                        return Poll::Pending;
                    };
                    if now - self.started >= options.connect_timeout {
                        return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                    }
                    let arrives = now + options.draw_latency(&mut self.rng);
                    self.stage = Stage::Asking { arrives, port };
                }
                Stage::Answered { arrives, stream } => {
                    if self.alarm.poll(arrives, context)?.is_pending() {
                        self.stage = Stage::Answered { arrives, stream };
                        return Poll::Pending;
                    }
                    return Poll::Ready(Ok(stream));
                }
                Stage::Refused { arrives } => {
                    self.stage = Stage::Refused { arrives };
                    ready!(self.alarm.poll(arrives, context))?;
                    self.stage = Stage::Ended;
                    return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
                }
                Stage::Ended => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }
    }

    /// The request arrives.
    fn ask(&mut self, now: Time, port: super::Port) -> Stage {
        let back = now + self.network.options().draw_latency(&mut self.rng);
        let (here, there) = (port.address().ip(), self.to.ip());
        if self.network.is_partitioned(here, there) || self.network.is_partitioned(there, here) {
            return self.lost(now, port);
        }
        let Some(queue) = self.network.listener(self.to) else {
            return Stage::Refused { arrives: back };
        };
        let mut port = Some(port);
        let mut near = None;
        let offer = queue.offer(|| {
            let port = port.take().expect("the queue takes one connection");
            let [client, server] = self.network.connect(self.alarm.clock(), port, self.to);
            near = Some(client);
            server
        });
        match (offer, near, port) {
            (Offer::Taken, Some(stream), _) => Stage::Answered { arrives: back, stream },
            (Offer::Full, _, Some(port)) => self.lost(now, port),
            _ => Stage::Refused { arrives: back },
        }
    }

    fn lost(&mut self, now: Time, port: super::Port) -> Stage {
        let again = (now + self.retry).min(self.started + self.network.options().connect_timeout);
        self.retry *= 2;
        Stage::Lost { again, port }
    }
}
