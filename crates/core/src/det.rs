//! Hash tables whose iteration order is the same in every run.

use foldhash::quality::FixedState;

/// `std`'s map with a fixed seed: equal insertions give equal iteration order, in every process.
///
/// The seed is public, so keys chosen by an attacker can collide; put a limit on such a table, or use
/// a `BTreeMap`.
#[allow(clippy::disallowed_types, reason = "this is the replacement that the lint recommends")]
pub type DetHashMap<K, V> = std::collections::HashMap<K, V, FixedState>;

/// `std`'s set with a fixed seed; see [`DetHashMap`].
#[allow(clippy::disallowed_types, reason = "this is the replacement that the lint recommends")]
pub type DetHashSet<T> = std::collections::HashSet<T, FixedState>;
