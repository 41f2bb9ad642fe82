//! Ways to break what the cases run on, by name.

use asupersync_channel::mutant as channel;
use asupersync_core::mutant::{self, Mutant};
use std::fmt;

/// Something broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    Kernel(Mutant),
    Channel(channel::Mutant),
    /// The rule by which contexts are narrowed: no run shows that, the compiler does.
    #[allow(dead_code, reason = "one of the test files only breaks what runs")]
    Narrowing,
}

impl Broken {
    /// The one that is written this way.
    pub(crate) fn parse(text: &str) -> Option<Broken> {
        let kernel = mutant::ALL.iter().map(|mutant| Broken::Kernel(*mutant));
        let channel = channel::ALL.iter().map(|mutant| Broken::Channel(*mutant));
        kernel.chain(channel).find(|broken| broken.to_string() == text)
    }

    /// Breaks it in this process.
    pub(crate) fn set(self) {
        match self {
            Broken::Kernel(broken) => mutant::set(Some(broken)),
            Broken::Channel(broken) => channel::set(Some(broken)),
            Broken::Narrowing => {}
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Broken::Kernel(mutant) => write!(f, "kernel {mutant:?}"),
            Broken::Channel(mutant) => write!(f, "channel {mutant:?}"),
            Broken::Narrowing => f.write_str("narrowing"),
        }
    }
}
