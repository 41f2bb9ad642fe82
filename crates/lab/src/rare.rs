//! Places in a program where something legal but rare may be made to happen.

use crate::host::LabHost;
use asupersync_core::Cx;
use asupersync_core::cap::HasIo;

/// Marks a place where the program may take a legal path that it seldom takes: a flush that comes early, a cache
/// that has nothing, a batch of one. True now and then in lab runs with
/// [`Faults::rare`](crate::Faults::rare), and false everywhere else.
///
/// A run that takes rare paths takes some of its marks always, each at about every fourth meeting, and the others
/// never (as FoundationDB's `BUGGIFY` does); the seed, the mark and the task decide.
/// [`LabReport::marks`](crate::LabReport::marks) says which marks a run met.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::{Faults, LabConfig, LabRuntime, rare};
///
/// let lab = LabRuntime::new(LabConfig::default().seed(1).faults(Faults::default().rare()));
/// let report = lab.run(async |cx: &Cx| {
///     let batch = if rare(cx, "a batch of one") { 1 } else { 64 };
///     Ok::<_, Error>(batch)
/// });
/// assert_eq!(report.marks[0].name, "a batch of one");
/// assert_eq!(report.marks[0].met, 1);
/// ```
pub fn rare<C: HasIo>(cx: &Cx<C>, mark: &'static str) -> bool {
    let Some(host) = cx.service::<LabHost>() else { return false };
    host.mark(mark, cx.task_id())
}

/// A mark of [`rare`] that a run met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// What it is called.
    pub name: &'static str,
    /// How often the program came by.
    pub met: u64,
    /// How often it was told to take the rare path.
    pub taken: u64,
}
