//! What a read-write lock promises.
#![cfg(not(loom))]

#[path = "support/host.rs"]
mod host;

use asupersync_core::{Cancelled, TaskCx};
use asupersync_sync::{
    MappedRwLockReadGuard, MappedRwLockWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard,
    RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use host::{Boxed, Wakes, in_task, now, on_drop, on_wake, poll, poll_with};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

#[expect(dead_code, reason = "held for their drops")]
enum Guard<'a> {
    Read(RwLockReadGuard<'a, u32>),
    Write(RwLockWriteGuard<'a, u32>),
}

type Locking<'a> = Boxed<'a, Result<Guard<'a>, Cancelled>>;

fn locking<'a>(lock: &'a RwLock<u32>, cx: &'a TaskCx, write: bool) -> Locking<'a> {
    if write {
        Box::pin(async { lock.write(cx).await.map(Guard::Write) })
    } else {
        Box::pin(async { lock.read(cx).await.map(Guard::Read) })
    }
}

#[test]
fn readers_share_and_a_writer_is_alone() {
    in_task(|cx, _| {
        let lock = RwLock::new(1);
        let (one, two) = (now(lock.read(cx)).unwrap(), now(lock.read(cx)).unwrap());
        assert_eq!(*one + *two, 2);
        assert!(lock.try_write(cx).is_none());
        drop((one, two));
        let mut writer = now(lock.write(cx)).unwrap();
        assert!(lock.try_read(cx).is_none() && lock.try_write(cx).is_none());
        *writer += 1;
        drop(writer);
        assert_eq!(lock.into_inner(), 2);
    });
}

#[test]
fn a_waiting_writer_keeps_new_readers_out_and_lets_them_in_together_after_it() {
    in_task(|cx, _| {
        let lock = RwLock::new(0);
        let inside = now(lock.read(cx)).unwrap();
        let mut writer = locking(&lock, cx, true);
        assert!(poll(&mut writer).is_pending());
        let mut readers = [false; 3].map(|write| locking(&lock, cx, write));
        assert!(readers.iter_mut().all(|reader| poll(reader).is_pending()));
        let mut second = locking(&lock, cx, true);
        assert!(poll(&mut second).is_pending());
        drop(inside);
        let Poll::Ready(guard) = poll(&mut writer) else { panic!("the last reader has left") };
        drop(guard);
        assert!(poll(&mut second).is_pending(), "the readers' turn");
        let guards: Vec<_> = readers.iter_mut().map(poll).collect();
        assert!(guards.iter().all(Poll::is_ready));
        drop(guards);
        assert!(poll(&mut second).is_ready());
    });
}

#[test]
fn a_writer_that_stops_waiting_lets_the_readers_behind_it_in() {
    in_task(|cx, _| {
        let lock = RwLock::new(0);
        let _inside = now(lock.read(cx)).unwrap();
        let (mut writer, mut reader) = (locking(&lock, cx, true), locking(&lock, cx, false));
        let (wakes, waker) = Wakes::new();
        assert!(poll(&mut writer).is_pending());
        assert!(poll_with(&mut reader, &waker).is_pending());
        drop(writer);
        assert_eq!(wakes.count(), 1);
        assert!(poll(&mut reader).is_ready());
    });
}

#[test]
fn a_cancelled_waiter_answers_in_one_poll_and_passes_the_lock_on() {
    for write in [false, true] {
        in_task(move |cx, cancel| {
            let lock = RwLock::new(0);
            let guard = now(lock.write(cx)).unwrap();
            let mut waiter = locking(&lock, cx, write);
            assert!(poll(&mut waiter).is_pending());
            drop(guard);
            cancel();
            assert!(matches!(poll(&mut waiter), Poll::Ready(Err(_))), "cancel beats the grant");
            drop(waiter);
            assert!(lock.try_write(cx).is_some());
            assert!(now(lock.read(cx)).is_err() && now(lock.write(cx)).is_err());
        });
    }
}

#[test]
fn a_writer_becomes_a_reader_with_no_writer_in_between_and_lets_readers_in() {
    in_task(|cx, _| {
        let lock = RwLock::new(1);
        let mut guard = now(lock.write(cx)).unwrap();
        let (mut reader, mut writer) = (locking(&lock, cx, false), locking(&lock, cx, true));
        assert!(poll(&mut reader).is_pending() && poll(&mut writer).is_pending());
        *guard = 2;
        let guard = RwLockWriteGuard::downgrade(guard, cx);
        assert_eq!(*guard, 2);
        let Poll::Ready(Ok(beside)) = poll(&mut reader) else { panic!("readers share") };
        assert!(poll(&mut writer).is_pending());
        drop((guard, beside));
        assert!(poll(&mut writer).is_ready());
    });
}

#[test]
fn guards_of_parts_keep_the_whole_locked() {
    in_task(|cx, _| {
        let lock = RwLock::new((1, [2, 3]));
        let part = RwLockWriteGuard::map(now(lock.write(cx)).unwrap(), |pair| &mut pair.1);
        let mut part = MappedRwLockWriteGuard::map(part, |list| &mut list[0]);
        *part = 7;
        assert!(lock.try_read(cx).is_none());
        drop(part);
        let part = RwLockReadGuard::map(now(lock.read(cx)).unwrap(), |pair| &pair.1);
        let part = MappedRwLockReadGuard::map(part, |list| &list[0]);
        assert_eq!(*part, 7);
        assert!(lock.try_read(cx).is_some() && lock.try_write(cx).is_none());
        drop(part);
        assert!(lock.try_write(cx).is_some());
    });
}

#[test]
fn owned_guards_wait_in_the_same_lines_and_outlive_other_references() {
    in_task(|cx, _| {
        let lock = Arc::new(RwLock::new(vec![1, 2]));
        let guard = now(lock.write_owned(cx)).unwrap();
        let mut reader: Boxed<'_, _> = Box::pin(lock.read_owned(cx));
        let mut writer: Boxed<'_, _> = Box::pin(lock.write_owned(cx));
        assert!(poll(&mut reader).is_pending() && poll(&mut writer).is_pending());
        let mut part = OwnedRwLockWriteGuard::map(guard, |list| &mut list[1]);
        *part = 5;
        drop(part);
        let Poll::Ready(Ok(guard)) = poll(&mut reader) else { panic!("not handed over") };
        let part = OwnedRwLockReadGuard::map(guard, |list| &list[1]);
        assert_eq!(*part, 5);
        assert!(poll(&mut writer).is_pending());
        drop(part);
        let Poll::Ready(Ok(guard)) = poll(&mut writer) else { panic!("not handed over") };
        drop((reader, writer));
        drop(lock);
        assert_eq!(Arc::strong_count(OwnedRwLockWriteGuard::rwlock(&guard)), 2);
        assert_eq!(guard.len(), 2);
    });
}

#[test]
fn a_panic_under_the_lock_unlocks_it() {
    in_task(|cx, _| {
        let lock = RwLock::new(1);
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut guard = lock.try_write(cx).unwrap();
            *guard = 2;
            panic!("half done");
        }));
        assert!(panicked.is_err());
        assert_eq!(*lock.try_read(cx).unwrap(), 2);
    });
}

#[test]
fn hostile_wakers_keep_no_reader_out_and_none_is_kept() {
    in_task(|cx, _| {
        let lock = Arc::new(RwLock::new(0));
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = dropped.clone();
        let counted = on_drop(move || {
            count.fetch_add(1, Ordering::SeqCst);
        });
        let back = lock.clone();
        let reenter = on_wake(move || assert_eq!(back.waiting(), 0));
        let guard = now(lock.write(cx)).unwrap();
        let mut readers = [false; 3].map(|write| locking(&lock, cx, write));
        let (wakes, waker) = Wakes::new();
        assert!(poll_with(&mut readers[0], &counted).is_pending());
        drop(counted);
        assert!(poll_with(&mut readers[0], &on_wake(|| panic!("hostile"))).is_pending());
        assert_eq!(dropped.load(Ordering::SeqCst), 1, "the replaced waker is gone");
        assert!(poll_with(&mut readers[1], &reenter).is_pending());
        assert!(poll_with(&mut readers[2], &waker).is_pending());
        drop(guard);
        assert_eq!(wakes.count(), 1);
        assert!(readers.iter_mut().all(|reader| poll(reader).is_ready()));
    });
}

#[derive(Clone, Debug)]
enum Operation {
    Start(bool),
    Poll(usize),
    GoAway(usize),
    Unlock(usize),
    Try(bool),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        5 => any::<bool>().prop_map(Operation::Start),
        5 => (0..6_usize).prop_map(Operation::Poll),
        3 => (0..6_usize).prop_map(Operation::GoAway),
        5 => (0..6_usize).prop_map(Operation::Unlock),
        1 => any::<bool>().prop_map(Operation::Try),
    ]
}

/// Who is inside, whether they know it yet or not, and who stands in the two lines.
#[derive(Default)]
struct Model {
    readers: Vec<u32>,
    writer: Option<u32>,
    reader_line: VecDeque<u32>,
    writer_line: VecDeque<u32>,
}

impl Model {
    fn enter(&mut self, id: u32, write: bool) -> bool {
        let free = self.writer.is_none() && self.writer_line.is_empty();
        let free = free && (!write || self.readers.is_empty());
        match (write, free) {
            (false, true) => self.readers.push(id),
            (true, true) => self.writer = Some(id),
            (false, false) => self.reader_line.push_back(id),
            (true, false) => self.writer_line.push_back(id),
        }
        free
    }

    fn leave(&mut self, id: u32) {
        let wrote = self.writer == Some(id);
        if wrote {
            self.writer = None;
        }
        self.readers.retain(|other| *other != id);
        self.reader_line.retain(|other| *other != id);
        self.writer_line.retain(|other| *other != id);
        if self.writer.is_some() {
            return;
        }
        if self.writer_line.is_empty() || (wrote && !self.reader_line.is_empty()) {
            self.readers.extend(self.reader_line.drain(..));
        } else if self.readers.is_empty() {
            self.writer = self.writer_line.pop_front();
        }
    }

    fn inside(&self, id: u32) -> bool {
        self.writer == Some(id) || self.readers.contains(&id)
    }
}

fn behaves_like_the_model(operations: Vec<Operation>) {
    break_as_told();
    in_task(|cx, _| {
        let lock = RwLock::new(0_u32);
        let mut model = Model::default();
        let mut waiters: Vec<(u32, Locking<'_>, Arc<Wakes>)> = Vec::new();
        let mut guards: Vec<(u32, Guard<'_>)> = Vec::new();
        let mut next = 0;
        for operation in operations {
            match operation {
                Operation::Start(write) => {
                    let (id, mut future) = (next, locking(&lock, cx, write));
                    next += 1;
                    let (wakes, waker) = Wakes::new();
                    let free = model.enter(id, write);
                    match poll_with(&mut future, &waker) {
                        Poll::Ready(got) => {
                            assert!(free, "locked out of turn");
                            guards.push((id, got.unwrap()));
                        }
                        Poll::Pending => {
                            assert!(!free, "waits for a free lock");
                            waiters.push((id, future, wakes));
                        }
                    }
                }
                Operation::Poll(i) if i < waiters.len() => {
                    let id = waiters[i].0;
                    let waker = Arc::clone(&waiters[i].2).into();
                    match poll_with(&mut waiters[i].1, &waker) {
                        Poll::Ready(got) => {
                            assert!(model.inside(id), "locked out of turn");
                            guards.push((id, got.unwrap()));
                            drop(waiters.remove(i));
                        }
                        Poll::Pending => assert!(!model.inside(id), "missed its grant"),
                    }
                }
                Operation::GoAway(i) if i < waiters.len() => {
                    let (id, future, _) = waiters.remove(i);
                    drop(future);
                    model.leave(id);
                }
                Operation::Unlock(i) if i < guards.len() => {
                    let (id, mut guard) = guards.remove(i);
                    if let Guard::Write(value) = &mut guard {
                        **value += 1;
                    }
                    drop(guard);
                    model.leave(id);
                }
                Operation::Try(write) => {
                    let lines_empty = model.reader_line.is_empty() && model.writer_line.is_empty();
                    let free = lines_empty
                        && model.writer.is_none()
                        && (!write || model.readers.is_empty());
                    let got = if write {
                        lock.try_write(cx).is_some()
                    } else {
                        lock.try_read(cx).is_some()
                    };
                    assert_eq!(got, free);
                }
                _ => {}
            }
            assert_eq!(lock.waiting(), model.reader_line.len() + model.writer_line.len());
            for (id, _, wakes) in &waiters {
                assert_eq!(wakes.count() > 0, model.inside(*id), "woken exactly when granted");
            }
        }
    });
}

proptest! {
    #![proptest_config(host::cases(host::FEW))]
    #[test]
    fn behaves_like_two_lines_that_take_turns(
        operations in prop::collection::vec(operation(), 0..50),
    ) {
        behaves_like_the_model(operations);
    }
}

fn break_as_told() {
    #[cfg(mutants)]
    asupersync_sync::mutant::set(host::broken_by(asupersync_sync::mutant::ALL));
}

#[cfg(mutants)]
#[test]
fn the_model_sees_its_mutants() {
    use asupersync_sync::mutant::Mutant;
    for mutant in
        [Mutant::GrantNotPassedOn, Mutant::WriterLeavesReadersStand, Mutant::ReaderLeavesSilently]
    {
        host::check_broken("behaves_like_two_lines_that_take_turns", mutant);
    }
}
