//! Plans kept by block size.

use std::collections::VecDeque;
use std::sync::Arc;

use super::EncodingPlan;

/// The plans of the most recently used block sizes, within a bound on their bytes.
#[derive(Debug)]
pub struct PlanCache {
    plans: VecDeque<Arc<EncodingPlan>>,
    bytes: usize,
    limit: usize,
}

impl Default for PlanCache {
    /// Room for 32 MiB: the plans of a few of the largest blocks, or of all small ones.
    fn default() -> Self {
        Self::new(32 << 20)
    }
}

impl PlanCache {
    /// A cache for up to `limit` bytes of plans; the latest plan is kept whatever its size.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { plans: VecDeque::new(), bytes: 0, limit }
    }

    /// The plan for `symbols` source symbols; `None` unless `1 <= symbols <= 56,403`.
    pub fn get(&mut self, symbols: u32) -> Option<Arc<EncodingPlan>> {
        let found = self.plans.iter().position(|plan| plan.parameters().k == symbols);
        let plan = match found.and_then(|at| self.plans.remove(at)) {
            Some(plan) => plan,
            None => {
                let plan = Arc::new(EncodingPlan::new(symbols)?);
                self.bytes += plan.cost().bytes;
                while self.bytes > self.limit {
                    let Some(oldest) = self.plans.pop_back() else { break };
                    self.bytes -= oldest.cost().bytes;
                }
                plan
            }
        };
        self.plans.push_front(Arc::clone(&plan));
        Some(plan)
    }

    /// Bytes held now.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_keeps_recent_plans_within_its_bytes() {
        let small = EncodingPlan::new(10).unwrap().cost().bytes;
        let mut cache = PlanCache::new(3 * small);
        let first = cache.get(10).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.get(10).unwrap()));
        cache.get(100).unwrap();
        assert!(!Arc::ptr_eq(&first, &cache.get(10).unwrap()));
        assert!(cache.get(0).is_none() && cache.get(56_404).is_none());
    }
}
