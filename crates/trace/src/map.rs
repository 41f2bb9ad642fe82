//! Hash maps whose hasher has a fixed seed; nothing here depends on their order of iteration.

use foldhash::fast::FixedState;

#[expect(clippy::disallowed_types, reason = "the hasher's seed is fixed")]
pub(crate) type DetMap<K, V> = std::collections::HashMap<K, V, FixedState>;
