//! What goes wrong in a run, drawn from its seed.
//!
//! A run with faults has two phases. In the first, things go wrong as the seed says; at [`FaultPlan::HEALED`]
//! everything is mended, and from then on the program must come to its end within a bound.

use crate::host::LabHost;
use asupersync_core::{Host, SplitMix64, Time};
use asupersync_net::{VirtualNetwork, VirtualOptions};
use asupersync_os::fs::VirtualFiles;
use parking_lot::Mutex;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Weak};
use std::task::{Wake, Waker};
use std::time::Duration;

/// Which sorts of faults may strike. None by default.
///
/// ```
/// use asupersync_lab::Faults;
///
/// let plan = Faults::default().network().files().expand(7);
/// assert_eq!(plan, Faults::default().network().files().expand(7));
/// println!("{plan}"); // all that will happen
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    network: bool,
    files: bool,
    rare: bool,
    clock: bool,
}

impl Faults {
    /// A network with [options drawn from the seed](VirtualOptions::from_seed) and some resets; partitions, in
    /// both directions or one; stalled connections; connections that are reset.
    #[must_use]
    pub const fn network(mut self) -> Faults {
        self.network = true;
        self
    }

    /// A disk that is full for a while.
    #[must_use]
    pub const fn files(mut self) -> Faults {
        self.files = true;
        self
    }

    /// Places that the program marks with [`rare`](crate::rare).
    #[must_use]
    pub const fn rare(mut self) -> Faults {
        self.rare = true;
        self
    }

    /// A clock that jumps ahead, as that of a machine that was asleep: what was due meanwhile is due at once.
    /// And timers that are late, each by up to a quarter of its span.
    #[must_use]
    pub const fn clock(mut self) -> Faults {
        self.clock = true;
        self
    }

    /// All that a seed comes to.
    #[must_use]
    pub fn expand(self, seed: u64) -> FaultPlan {
        let mut draw = SplitMix64::new(seed ^ 0x6661_756c_7473);
        let mut faults = Vec::new();
        if self.network {
            let options = VirtualOptions::from_seed(seed);
            // A reset a thousand segments, in half of the seeds.
            let reset = if draw.below(2) == 0 { 0 } else { draw.below(2_000) as u32 };
            faults.push(Fault::Network(Box::new(VirtualOptions { reset, ..options })));
            for _ in 0..draw.below(4) {
                let (from, until) = window(&mut draw);
                let which = draw.below(1_000);
                faults.push(match draw.below(4) {
                    0 => Fault::Partition { from, until, which },
                    1 => Fault::OneWay { from, until, which },
                    2 => Fault::Stall { from, until, which },
                    _ => Fault::Reset { at: from, which },
                });
            }
        }
        if self.files {
            for _ in 0..draw.below(3) {
                let (from, until) = window(&mut draw);
                faults.push(Fault::FullDisk { from, until });
            }
        }
        if self.rare {
            faults.push(Fault::Rare);
        }
        if self.clock {
            for _ in 0..1 + draw.below(3) {
                let (from, until) = window(&mut draw);
                faults.push(match draw.below(2) {
                    0 => Fault::ClockJump { at: from, by: until.saturating_since(from) },
                    _ => Fault::LateTimers { from, until, permille: 1 + draw.below(250) as u32 },
                });
            }
        }
        FaultPlan { faults: faults.into_iter().enumerate().collect() }
    }

    pub(crate) fn is_any(self) -> bool {
        self != Faults::default()
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sorts = [
            (self.network, "network"),
            (self.files, "files"),
            (self.rare, "rare"),
            (self.clock, "clock"),
        ];
        let names: Vec<&str> = sorts.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        f.write_str(&names.join(" "))
    }
}

/// One thing that goes wrong. Which pair of machines or connection is struck is counted among those there are at
/// that time; where there is none, nothing is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The network behaves like this.
    Network(Box<VirtualOptions>),
    /// Nothing passes between two machines.
    Partition {
        /// When it begins.
        from: Time,
        /// When it is healed.
        until: Time,
        /// Which pair.
        which: u64,
    },
    /// Nothing passes from one machine to another.
    OneWay {
        /// When it begins.
        from: Time,
        /// When it is healed.
        until: Time,
        /// Which pair, and which way.
        which: u64,
    },
    /// Nothing passes on one connection.
    Stall {
        /// When it begins.
        from: Time,
        /// When it is restored.
        until: Time,
        /// Which connection.
        which: u64,
    },
    /// One connection is reset.
    Reset {
        /// When.
        at: Time,
        /// Which connection.
        which: u64,
    },
    /// No file grows.
    FullDisk {
        /// When it begins.
        from: Time,
        /// When there is room again.
        until: Time,
    },
    /// Marks of [`rare`](crate::rare) are taken now and then.
    Rare,
    /// The clock jumps ahead.
    ClockJump {
        /// When.
        at: Time,
        /// How far.
        by: Duration,
    },
    /// Timers armed in this time fire late.
    LateTimers {
        /// When it begins.
        from: Time,
        /// When timers are exact again.
        until: Time,
        /// By this part of the time for which a timer was set.
        permille: u32,
    },
}

impl Fault {
    fn window(&self) -> Option<(Time, Time)> {
        match *self {
            Fault::Network(_) | Fault::Rare => None,
            Fault::Reset { at, .. } | Fault::ClockJump { at, .. } => Some((at, at)),
            Fault::Partition { from, until, .. }
            | Fault::OneWay { from, until, .. }
            | Fault::Stall { from, until, .. }
            | Fault::FullDisk { from, until }
            | Fault::LateTimers { from, until, .. } => Some((from, until)),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Network(options) => write!(f, "network: {options}"),
            Fault::Partition { from, until, which } => {
                write!(f, "partition of pair {which}, {from} to {until}")
            }
            Fault::OneWay { from, until, which } => {
                write!(f, "one-way partition of pair {which}, {from} to {until}")
            }
            Fault::Stall { from, until, which } => {
                write!(f, "stall of connection {which}, {from} to {until}")
            }
            Fault::Reset { at, which } => write!(f, "reset of connection {which} at {at}"),
            Fault::FullDisk { from, until } => write!(f, "full disk, {from} to {until}"),
            Fault::Rare => f.write_str("rare marks are taken"),
            Fault::ClockJump { at, by } => write!(f, "clock jumps by {by:?} at {at}"),
            Fault::LateTimers { from, until, permille } => {
                write!(f, "timers late by {permille} permille, {from} to {until}")
            }
        }
    }
}

/// What a seed's faults come to. `Display` is all of it, a line each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FaultPlan {
    /// Each with its number, which it keeps when others are left out.
    faults: Vec<(usize, Fault)>,
}

impl FaultPlan {
    /// When everything is mended: 10 seconds of virtual time.
    pub const HEALED: Time = Time::from_secs(10);

    /// What goes wrong.
    pub fn faults(&self) -> impl Iterator<Item = &Fault> {
        self.faults.iter().map(|(_, fault)| fault)
    }

    pub(crate) fn numbers(&self) -> Vec<usize> {
        self.faults.iter().map(|(number, _)| *number).collect()
    }

    /// The plan without the faults of these numbers.
    pub(crate) fn without(mut self, left_out: &[usize]) -> FaultPlan {
        self.faults.retain(|(number, _)| !left_out.contains(number));
        self
    }

    pub(crate) fn network(&self) -> Option<&VirtualOptions> {
        self.faults().find_map(|fault| match fault {
            Fault::Network(options) => Some(&**options),
            _ => None,
        })
    }

    pub(crate) fn takes_rare(&self) -> bool {
        self.faults().any(|fault| *fault == Fault::Rare)
    }

    /// Arms a timer for each beginning and end, and one for the end of all.
    pub(crate) fn arm(&self, host: &Arc<LabHost>) {
        for (number, fault) in &self.faults {
            let Some((from, until)) = fault.window() else { continue };
            let strike = Arc::new(Strike {
                host: Arc::downgrade(host),
                number: *number as u32,
                fault: Some(fault.clone()),
                mend: Mutex::new(None),
            });
            host.arm_timer(from, Waker::from(strike.clone()));
            if until > from {
                host.arm_timer(until, Waker::from(strike));
            }
        }
        let host_ref = Arc::downgrade(host);
        let heal = Strike { host: host_ref, number: u32::MAX, fault: None, mend: Mutex::new(None) };
        host.arm_timer(FaultPlan::HEALED, Waker::from(Arc::new(heal)));
    }
}

impl fmt::Display for FaultPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, fault) in &self.faults {
            writeln!(f, "  {number}: {fault}")?;
        }
        write!(f, "  everything is mended at {}", FaultPlan::HEALED)
    }
}

/// What a struck fault has to undo.
enum Mend {
    Path(IpAddr, IpAddr),
    Connection(SocketAddr, SocketAddr),
    Disk,
    Timers,
    Nothing,
}

/// A timer's call that does damage, and at its second call mends it; without a fault it mends everything.
struct Strike {
    host: Weak<LabHost>,
    number: u32,
    fault: Option<Fault>,
    mend: Mutex<Option<Mend>>,
}

impl Wake for Strike {
    fn wake(self: Arc<Self>) {
        let Some(host) = self.host.upgrade() else { return };
        host.note_fault(self.number);
        let network = host.driver::<VirtualNetwork>();
        let files = host.driver::<VirtualFiles>();
        let Some(fault) = &self.fault else {
            network.iter().for_each(|network| {
                network.heal_all();
                network.calm();
            });
            files.iter().for_each(|files| files.set_capacity(usize::MAX));
            host.delay_timers(0);
            return;
        };
        let mend = self.mend.lock().take();
        match (mend, network, files) {
            (Some(Mend::Path(a, b)), Some(network), _) => network.heal(a, b),
            (Some(Mend::Connection(a, b)), Some(network), _) => _ = network.unstall(a, b),
            (Some(Mend::Disk), _, Some(files)) => files.set_capacity(usize::MAX),
            (Some(Mend::Timers), ..) => host.delay_timers(0),
            (Some(_), ..) => {}
            (None, network, files) => {
                let mend = strike(fault, &host, network.as_deref(), files.as_deref());
                *self.mend.lock() = Some(mend.unwrap_or(Mend::Nothing));
            }
        }
    }
}

fn strike(
    fault: &Fault,
    host: &LabHost,
    network: Option<&VirtualNetwork>,
    files: Option<&VirtualFiles>,
) -> Option<Mend> {
    fn pick<T: Copy>(all: &[T], which: u64) -> Option<T> {
        all.get(usize::try_from(which).ok()?.checked_rem(all.len())?).copied()
    }
    match *fault {
        Fault::Partition { which, .. } => {
            let (a, b) = pick(&network?.paths(), which)?;
            network?.partition(a, b);
            Some(Mend::Path(a, b))
        }
        Fault::OneWay { which, .. } => {
            let (a, b) = pick(&network?.paths(), which / 2)?;
            let (from, to) = if which % 2 == 0 { (a, b) } else { (b, a) };
            network?.partition_one_way(from, to);
            Some(Mend::Path(a, b))
        }
        Fault::Stall { which, .. } => {
            let (a, b) = pick(&network?.connections(), which)?;
            network?.stall(a, b);
            Some(Mend::Connection(a, b))
        }
        Fault::Reset { which, .. } => {
            let (a, b) = pick(&network?.connections(), which)?;
            network?.reset(a, b);
            None
        }
        Fault::FullDisk { .. } => {
            files?.set_capacity(0);
            Some(Mend::Disk)
        }
        Fault::ClockJump { by, .. } => {
            host.jump(by);
            None
        }
        Fault::LateTimers { permille, .. } => {
            host.delay_timers(permille);
            Some(Mend::Timers)
        }
        Fault::Network(_) | Fault::Rare => None,
    }
}

/// A beginning and an end, short ones as likely as long ones: between 2 µs and 4 s after the start or each
/// other.
fn window(draw: &mut SplitMix64) -> (Time, Time) {
    let mut length = || {
        let exponent = 11 + draw.below(21); // 2^32 ns are 4.3 s
        Duration::from_nanos((1 << exponent) + draw.below(1 << exponent) / 2)
    };
    let from = Time::ZERO + length();
    (from, from + length())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_expands_to_the_same_plan_whatever_is_left_out_of_it() {
        let all = Faults::default().network().files().rare().clock();
        let mut sorts = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let plan = all.expand(seed);
            assert_eq!(plan, all.expand(seed));
            let last = plan.numbers().last().copied().unwrap_or_default();
            assert_eq!(plan.clone().without(&[0]).numbers().last().copied(), Some(last));
            for fault in plan.faults() {
                sorts.insert(fault.to_string().split([' ', ':']).next().unwrap_or("").to_owned());
                let window = fault.window();
                assert!(window.is_none_or(|(from, until)| from <= until));
                assert!(window.is_none_or(|(_, until)| until < FaultPlan::HEALED), "{fault}");
            }
        }
        let sorts: Vec<&str> = sorts.iter().map(String::as_str).collect();
        let every = "clock full network one-way partition rare reset stall timers";
        assert_eq!(sorts.join(" "), every);
        assert!(!Faults::default().is_any());
        assert_eq!(Faults::default().expand(3).faults().count(), 0);
    }
}
