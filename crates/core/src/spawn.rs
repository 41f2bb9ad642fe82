//! The one way into a region.

use crate::cap::Capabilities;
use crate::charge::{Account, Owner};
use crate::event::Event;
use crate::id::TaskId;
use crate::mutant::mutant;
use crate::region::{Refused, Region};
use crate::task::cell::allocate;
use crate::task::{TaskBody, TaskHandle, TaskOptions, TaskRef};
use crate::timer::{Fires, arm};
use std::panic::Location;
use std::sync::Arc;

/// The id of the next task that `creator` (or, without one, the region) makes.
pub(crate) fn next_id(region: &Region, creator: Option<&TaskRef>) -> TaskId {
    #[cfg(any(mutants, loom))]
    if mutant!(NamedByOrder) {
        static SPAWNED: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        return TaskId::of(0, SPAWNED.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
    }
    match creator {
        Some(task) => TaskId::of(task.header().id.to_bits(), task.header().next_ordinal()),
        None => TaskId::of(region.id.to_bits(), region.next_ordinal()),
    }
}

/// Allocates a task, admits it, hands it to the host.
pub(crate) fn into_region<C, T, E, F>(
    region: &Arc<Region>,
    creator: Option<&TaskRef>,
    options: TaskOptions,
    site: &'static Location<'static>,
    body: F,
) -> TaskHandle<T, E>
where
    C: Capabilities,
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
{
    admitted::<C, T, E, F>(region, creator, options, site, body, Region::admit)
}

/// The same, taken in by `admit`.
#[inline]
pub(crate) fn admitted<C, T, E, F>(
    region: &Arc<Region>,
    creator: Option<&TaskRef>,
    mut options: TaskOptions,
    site: &'static Location<'static>,
    body: F,
    admit: impl FnOnce(&Region, TaskRef) -> Result<(), Refused>,
) -> TaskHandle<T, E>
where
    C: Capabilities,
    T: Send + 'static,
    E: Send + 'static,
    F: for<'a> TaskBody<'a, C, T, E> + Send + 'static,
{
    // What a service spawns beside itself serves, too: nobody would ever end it otherwise.
    options.service |= creator.is_some_and(|task| region.is_served_by(task));
    let id = next_id(region, creator);
    let own = options.budget;
    let task = allocate::<C, T, E, F>(Arc::clone(region), id, options, site, body);
    let by = creator.map(|task| task.header().id);
    let (task, entered, queued) = task.tripled();
    match admit(region, entered) {
        Ok(()) => {
            if region.is_special() || own != crate::Budget::UNLIMITED {
                prepare(&task, by, own);
            }
            queued.submit_to(&*region.host);
        }
        Err(refused) => {
            drop(queued);
            refused.end(&task, by);
        }
    }
    TaskHandle::new(task)
}

/// What a task needs that nothing else needs before its first poll.
#[cold]
#[inline(never)]
fn prepare(task: &TaskRef, by: Option<TaskId>, own: crate::Budget) {
    let region = &task.header().region;
    if region.is_observed() {
        tell_spawned(task, by);
    }
    // Only now: a task that is refused ends at once, and nobody would disarm its timer or close its
    // account. It does not run before it is submitted.
    if own != crate::Budget::UNLIMITED {
        limit(task, own);
    }
    if region.is_soft() && !mutant!(SoftNotInherited) {
        task.header().inner.lock().scopes.base.soft = true;
    }
}

fn tell_spawned(task: &TaskRef, by: Option<TaskId>) {
    let header = task.header();
    let name = header.name();
    header.region.tell(|| Event::TaskSpawned {
        task: header.id,
        region: header.region.id,
        by,
        name: name.as_deref(),
        site: header.spawned_at,
        finalizer: false,
    });
}

/// Puts a task's own budget into effect.
fn limit(task: &TaskRef, own: crate::Budget) {
    let header = task.header();
    let region = &header.region;
    let effective = own.effective_at(region.host.now());
    let earlier = effective
        .deadline
        .filter(|deadline| region.due.is_none_or(|above| *deadline < above))
        .filter(|_| !mutant!(DeadlineNotArmed));
    let timer =
        earlier.map(|deadline| arm(&region.host, deadline, Fires::TaskDeadline(task.clone())));
    let account = effective
        .cost_quota
        .map(|units| Account::new(units, region.account.clone(), Owner::Task(task.clone())));
    let mut inner = header.inner.lock();
    let extra = inner.extra();
    extra.budget = effective;
    extra.deadline_timer = timer;
    extra.account = account;
}
