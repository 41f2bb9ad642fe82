//! Tables whose keys are ids.

use std::hash::{BuildHasherDefault, Hash, Hasher};

/// A map from ids, or from enums of ids, with a fixed iteration order as
/// `asupersync_core::DetHashMap` has. Ids are digests already, so hashing is one multiplication; not for
/// keys that somebody outside may choose.
#[allow(clippy::disallowed_types, reason = "its hasher has no seed")]
pub type IdMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// A set of ids; see [`IdMap`].
#[allow(clippy::disallowed_types, reason = "its hasher has no seed")]
pub type IdSet<T> = std::collections::HashSet<T, BuildHasherDefault<IdHasher>>;

/// Multiplies by an odd constant (that of Steele and Vigna, "Computationally easy, spectrally good
/// multipliers", 2021) and brings the well-mixed high bits down.
#[derive(Clone, Copy, Debug, Default)]
pub struct IdHasher(u64);

impl IdHasher {
    /// The hash of one id.
    pub fn hash(id: impl Hash) -> u64 {
        let mut hasher = IdHasher::default();
        id.hash(&mut hasher);
        hasher.finish()
    }
}

impl Hasher for IdHasher {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    #[inline]
    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0 ^ value).wrapping_mul(0xd134_2543_de82_ef95);
    }

    #[inline]
    fn write_u32(&mut self, value: u32) {
        self.write_u64(u64::from(value));
    }

    #[inline]
    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }

    #[inline]
    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
