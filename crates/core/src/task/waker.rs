//! A task's waker: a counted reference to the task, and nothing else.

use super::{Header, TaskRef};
use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::task::{RawWaker, RawWakerVTable, Waker};

static VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, drop);

/// A waker that borrows the caller's reference instead of counting: for the length of one poll.
pub(super) fn borrowed(task: &TaskRef) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(task.as_raw().as_ptr().cast(), &VTABLE);
    // SAFETY: `VTABLE`'s functions uphold the contract for a pointer that carries one count. This one
    // carries none, so it is never dropped, and it is used only while `task` is borrowed; clones count.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Whether waking this wakes the task, and does nothing else.
#[inline]
pub(crate) fn is_of(waker: &Waker, task: &TaskRef) -> bool {
    std::ptr::eq(waker.data(), task.as_raw().as_ptr().cast())
        && std::ptr::eq(waker.vtable(), &raw const VTABLE)
}

/// # Safety
/// `data` came from [`borrowed`] or [`clone`] and its count is still held by somebody.
unsafe fn task(data: *const ()) -> ManuallyDrop<TaskRef> {
    // SAFETY: both makers store a non-null pointer to a live task; not dropping keeps the count as it is.
    ManuallyDrop::new(unsafe {
        TaskRef::from_raw(NonNull::new_unchecked(data.cast_mut().cast::<Header>()))
    })
}

unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: the waker being cloned keeps the task alive.
    let task = unsafe { task(data) };
    let raw = TaskRef::clone(&task).into_raw();
    RawWaker::new(raw.as_ptr().cast(), &VTABLE)
}

unsafe fn wake(data: *const ()) {
    // SAFETY: waking by value gives up the waker's count, which `into_inner` takes over.
    let task = unsafe { ManuallyDrop::into_inner(task(data)) };
    task.wake();
}

unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: the waker keeps the task alive during the call.
    let task = unsafe { task(data) };
    task.wake();
}

unsafe fn drop(data: *const ()) {
    // SAFETY: dropping gives up the waker's count, which `into_inner` takes over.
    let task = unsafe { ManuallyDrop::into_inner(task(data)) };
    std::mem::drop(task);
}
