//! How long things took.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Buckets within one power of two.
const PARTS: usize = 4;
/// Two bits choose the bucket within a power of two.
const BITS: u32 = 2;
const BUCKETS: usize = 64 * PARTS;

/// Counts durations in buckets that grow by a quarter of a power of two, so a quantile is at most 25 %
/// too large.
///
/// Recording is a few relaxed atomic additions. What is read while others record is of no single moment.
pub struct Histogram {
    buckets: Box<[AtomicU64; BUCKETS]>,
    sum: AtomicU64,
    max: AtomicU64,
}

impl Histogram {
    /// An empty one.
    #[must_use]
    pub fn new() -> Histogram {
        Histogram {
            buckets: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            sum: AtomicU64::new(0),
            max: AtomicU64::new(0),
        }
    }

    /// Counts one duration; one of more than 584 years counts as that.
    pub fn record(&self, duration: Duration) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(nanos, Ordering::Relaxed);
        self.max.fetch_max(nanos, Ordering::Relaxed);
    }

    /// How many were counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).sum()
    }

    /// All of them together; it wraps around after 584 years.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum.load(Ordering::Relaxed))
    }

    /// The longest, exactly.
    #[must_use]
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max.load(Ordering::Relaxed))
    }

    /// An upper bound of the smallest duration that at least the share `q` of all do not exceed; zero
    /// when nothing was counted. `q` is cut to 0..=1.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        let counts: Vec<u64> =
            self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed)).collect();
        let count: u64 = counts.iter().sum();
        // At least one, so that the zeroth quantile is the smallest.
        let rank = (q.clamp(0.0, 1.0) * count as f64).ceil().max(1.0);
        let mut seen = 0;
        for (index, n) in counts.iter().enumerate() {
            seen += n;
            if *n > 0 && seen as f64 >= rank {
                return Duration::from_nanos(upper(index)).min(self.max());
            }
        }
        Duration::ZERO
    }
}

/// The bucket of a number: exact below `PARTS`, then by its highest bit and the two below it.
fn bucket(nanos: u64) -> usize {
    let Some(power) = nanos.checked_ilog2().filter(|power| *power >= BITS) else {
        return nanos as usize;
    };
    let part = (nanos >> (power - BITS)) as usize & (PARTS - 1);
    (power - BITS + 1) as usize * PARTS + part
}

/// The largest number of a bucket.
fn upper(index: usize) -> u64 {
    if index < PARTS {
        return index as u64;
    }
    let shift = (index / PARTS - 1) as u32;
    let first = (PARTS + index % PARTS) as u64;
    // In the last bucket this is 2^64 - 1.
    (first << shift) + ((1 << shift) - 1)
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram::new()
    }
}

impl fmt::Debug for Histogram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("p50", &self.quantile(0.5))
            .field("p99", &self.quantile(0.99))
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_is_in_a_bucket_whose_bound_is_at_most_a_quarter_above_it() {
        let around = (0..64).flat_map(|power| {
            let two = 1_u64 << power;
            [two - 1, two, two + two / 3, two.saturating_mul(2) - 1]
        });
        for n in around.chain([u64::MAX]) {
            let bound = upper(bucket(n));
            assert!(bound >= n && bound - n <= n / 4, "{n} has the bound {bound}");
            assert!(bucket(n) == 0 || upper(bucket(n) - 1) < n, "{n}");
        }
    }

    #[test]
    fn quantiles_of_a_hundred_durations() {
        let histogram = Histogram::new();
        assert_eq!(histogram.quantile(0.5), Duration::ZERO);
        for micros in 1..=100 {
            histogram.record(Duration::from_micros(micros));
        }
        let close = |q, micros| {
            let (got, exact) = (histogram.quantile(q), Duration::from_micros(micros));
            assert!(got >= exact && got <= exact * 5 / 4, "{q}: {got:?}");
        };
        close(0.0, 1);
        close(0.5, 50);
        close(0.99, 99);
        assert_eq!(histogram.quantile(1.0), histogram.max());
        assert_eq!((histogram.count(), histogram.sum()), (100, Duration::from_micros(5050)));
    }
}
