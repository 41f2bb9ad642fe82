//! Locks of threads that have no context.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_sync::{AcquireError, Mutex, RwLock, Semaphore};
use host::{Boxed, in_task, now, poll};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::thread;

#[test]
fn threads_that_park_for_a_lock_exclude_each_other_and_all_get_in() {
    const THREADS: usize = 3;
    const TURNS: usize = 300;
    let (mutex, lock) = (Mutex::new(0), RwLock::new(0));
    let (semaphore, inside) = (Semaphore::new(2), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..TURNS {
                    let mut guard = mutex.blocking_lock();
                    // Somebody else stands in line by the time it is given back, more often than not.
                    thread::yield_now();
                    *guard += 1;
                    drop(guard);
                    *lock.blocking_write() += 1;
                    assert!(*lock.blocking_read() > 0);
                    let permit = semaphore.blocking_acquire().unwrap();
                    assert!(inside.fetch_add(1, Ordering::SeqCst) < 2);
                    inside.fetch_sub(1, Ordering::SeqCst);
                    drop(permit);
                }
            });
        }
    });
    assert_eq!((mutex.into_inner(), lock.into_inner()), (THREADS * TURNS, THREADS * TURNS));
    assert_eq!((semaphore.available_permits(), semaphore.waiting()), (2, 0));
}

#[test]
fn a_thread_stands_in_the_same_line_as_tasks() {
    in_task(|cx, _| {
        let mutex = Mutex::new(0);
        thread::scope(|scope| {
            let held = now(mutex.lock(cx)).unwrap();
            let thread = scope.spawn(|| *mutex.blocking_lock() = 1);
            while mutex.waiting() == 0 {
                thread::yield_now();
            }
            let mut behind: Boxed<'_, _> = Box::pin(mutex.lock(cx));
            assert!(poll(&mut behind).is_pending());
            drop(held);
            thread.join().unwrap();
            let Poll::Ready(Ok(guard)) = poll(&mut behind) else { panic!("handed over") };
            assert_eq!(*guard, 1, "the thread came first");
        });
    });
}

#[test]
fn a_parked_thread_hears_that_the_semaphore_was_closed() {
    let semaphore = Semaphore::new(1);
    thread::scope(|scope| {
        let parked =
            scope.spawn(|| semaphore.blocking_acquire_many(2).map(|permit| permit.count()));
        while semaphore.waiting() == 0 {
            thread::yield_now();
        }
        semaphore.close();
        assert_eq!(parked.join().unwrap(), Err(AcquireError::Closed));
    });
    assert!(semaphore.blocking_acquire().is_err());
    assert_eq!(semaphore.available_permits(), 1);
}

#[test]
fn what_would_stop_a_task_panics_leaves_the_line_and_takes_only_what_is_free() {
    in_task(|cx, _| {
        let (mutex, lock, semaphore) = (Mutex::new(()), RwLock::new(()), Semaphore::new(1));
        let refused = |work: &mut dyn FnMut()| {
            assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err());
        };
        let (guard, reader) = (mutex.blocking_lock(), lock.blocking_read());
        let permit = semaphore.blocking_acquire().unwrap();
        refused(&mut || drop(mutex.blocking_lock()));
        refused(&mut || drop(lock.blocking_write()));
        refused(&mut || drop(semaphore.blocking_acquire()));
        assert_eq!((mutex.waiting(), lock.waiting(), semaphore.waiting()), (0, 0, 0));
        drop((guard, reader, permit));
        drop((now(mutex.lock(cx)).unwrap(), now(lock.write(cx)).unwrap()));
        assert!(semaphore.try_acquire(cx).is_ok());
    });
}

#[test]
fn tasks_wait_for_the_guard_of_a_thread_and_leave_no_trace_of_it() {
    static MUTEX: std::sync::LazyLock<Mutex<i32>> = std::sync::LazyLock::new(|| Mutex::new(3));
    let guard = MUTEX.blocking_lock();
    // `in_task` looks for what was not settled when the task ends.
    in_task(|cx, _| {
        let mut waiter: Boxed<'_, _> = Box::pin(MUTEX.lock(cx));
        assert!(poll(&mut waiter).is_pending());
    });
    assert_eq!((*guard, MUTEX.waiting()), (3, 0));
    drop(guard);
    in_task(|cx, _| assert_eq!(*now(MUTEX.lock(cx)).unwrap(), 3));
}
