//! I8: same seed, same trace. A program that fails this cannot be replayed.

use crate::config::LabConfig;
use crate::oracle::{Invariant, Verdict};
use crate::runtime::LabRuntime;
use asupersync_core::{Cx, TaskBody, cap};
use asupersync_trace::{EventLog, Limits, Trace, first_difference};

/// Runs a body twice with this seed, and compares the two traces byte for byte. The verdict names the
/// first event in which they differ, and has seen as many events as the first trace has.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::repeatable;
/// use std::collections::HashMap;
///
/// // A randomly seeded map decides who is spawned first.
/// let verdict = repeatable(1, async |cx: &Cx| {
///     let names: HashMap<u32, String> = (0..20).map(|n| (n, format!("task {n}"))).collect();
///     cx.region(async move |scope| {
///         for name in names.into_values() {
///             let _ = scope.spawn_named(name, async |cx: &Cx| Ok::<_, Error>(cx.yield_now().await?));
///         }
///         Ok::<_, Error>(())
///     }).await.into_result()
/// });
/// assert!(!verdict.is_ok());
/// ```
pub fn repeatable<F, T, E>(seed: u64, body: F) -> Verdict
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
    F: for<'a> TaskBody<'a, cap::All, T, E> + Clone + Send + 'static,
    T: Send + 'static,
    E: Send + 'static,
{
    let lab = LabRuntime::new(LabConfig::default().seed(seed).capture_trace(true));
    let first = lab.run(body.clone()).trace.map(EventLog::into_bytes);
    let second = lab.run(body).trace.map(EventLog::into_bytes);
    compare(&first.unwrap_or_default(), &second.unwrap_or_default())
}

/// What two traces of one run say.
pub(crate) fn compare(first: &[u8], second: &[u8]) -> Verdict {
    let parse = |bytes| Trace::parse(bytes, &Limits::default());
    let (Ok(left), Ok(right)) = (parse(first), parse(second)) else {
        return Verdict::unseen(Invariant::Determinism);
    };
    let seen = left.events().len() as u64;
    let difference = (first != second).then(|| first_difference(&left, &right)).flatten();
    Verdict::of(Invariant::Determinism, seen, difference.map(|difference| difference.to_string()))
}
