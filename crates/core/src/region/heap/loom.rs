//! A use that outlasts the close: the kernel promises that there is none, and memory must not depend on it.

use super::{Owner, RRef};
use crate::RegionId;
use crate::mutant::{self, Mutant};
use loom::sync::atomic::{AtomicUsize, Ordering};
use loom::thread;
use std::sync::Arc;

/// What is written by its drop, exclusively, and read by its uses; loom reports a use that is not before the drop.
struct Watched(AtomicUsize);

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.with_mut(|value| *value = 0);
    }
}

/// Two uses, each on a thread of its own, and the close.
fn uses_and_the_close() {
    let owner = Owner::new(RegionId::of(0, 0));
    let heap = Arc::clone(&owner.0);
    let value = heap.arena.lock().put(Watched(AtomicUsize::new(7)));
    let looks = |value: RRef<Watched>| {
        move || {
            let Some(_use) = value.heap.begin_use() else { return };
            // SAFETY: the use has begun, so the value is there; that it is, is the story.
            let watched = unsafe { value.value.as_ref() };
            assert_eq!(watched.0.load(Ordering::Relaxed), 7);
        }
    };
    let value = RRef { heap, value };
    let first = thread::spawn(looks(value.clone()));
    let second = thread::spawn(looks(value));
    drop(owner);
    first.join().unwrap();
    second.join().unwrap();
}

fn explore() {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(2);
    builder.check(uses_and_the_close);
}

#[test]
fn no_value_is_dropped_while_it_is_looked_at() {
    // One test for the story and its weakened twins: the mutant in force is one for the whole process.
    explore();
    for weakened in [Mutant::CloseIgnoresUses, Mutant::UseEndsRelaxed] {
        mutant::set(Some(weakened));
        let found = std::panic::catch_unwind(explore).is_err();
        mutant::set(None);
        assert!(found, "{weakened:?} went unnoticed");
    }
}
