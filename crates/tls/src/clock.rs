//! What time it is, for certificates and tickets.

use asupersync_core::Cx;
use asupersync_core::cap::HasTime;
use rustls::pki_types::UnixTime;
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Where the date comes from by which certificates, revocation lists and tickets are judged.
///
/// The kernel's time counts from the host's start and has no date. [`Clock::system`], the default, is
/// the machine's date. [`Clock::host`] is a date that one names for the host's start, from where it
/// goes on with [`Cx::now`]: in the lab, virtual time. It is read when a handshake begins.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Host(Arc<HostClock>),
}

#[derive(Debug)]
struct HostClock {
    /// Seconds after 1970 at which the host's clock stood at zero.
    start: u64,
    /// Seconds of the host's clock when the latest handshake began.
    elapsed: AtomicU64,
}

impl Clock {
    /// The machine's date.
    #[must_use]
    pub const fn system() -> Clock {
        Clock(Source::System)
    }

    /// The host's clock, which stood at zero `start` after 1970-01-01 UTC.
    #[must_use]
    pub fn host(start: Duration) -> Clock {
        let start = start.as_secs();
        Clock(Source::Host(Arc::new(HostClock { start, elapsed: AtomicU64::new(0) })))
    }

    /// Brings a host's clock up to date.
    pub(crate) fn read<C: HasTime>(&self, cx: &Cx<C>) {
        if let Source::Host(clock) = &self.0 {
            let elapsed = cx.now().as_nanos() / 1_000_000_000;
            // Two handshakes may race; the later date wins.
            clock.elapsed.fetch_max(elapsed, Ordering::Relaxed);
        }
    }

    pub(crate) fn provider(&self) -> Arc<dyn TimeProvider> {
        match &self.0 {
            Source::System => Arc::new(DefaultTimeProvider),
            Source::Host(clock) => clock.clone(),
        }
    }
}

impl Default for Clock {
    fn default() -> Clock {
        Clock::system()
    }
}

impl TimeProvider for HostClock {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.start.checked_add(self.elapsed.load(Ordering::Relaxed))?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}
