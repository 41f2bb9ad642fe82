//! What a count of slots promises, whichever of its two words they are given back to.
#![cfg(not(loom))]

use asupersync_core::WaitKey;
use asupersync_sync::slots::{Refused, Slots};
use proptest::prelude::*;
use std::collections::VecDeque;
use std::task::{Context, Poll, Waker};

/// At most so many waiters at a time.
const WAITERS: usize = 4;

#[derive(Clone, Debug)]
enum Operation {
    Take(usize),
    Give { n: usize, aside: bool },
    Enter(usize),
    Leave(usize),
    RemoveFree(usize),
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        2 => (0..4_usize).prop_map(Operation::Take),
        3 => (1..4_usize, any::<bool>()).prop_map(|(n, aside)| Operation::Give { n, aside }),
        2 => (1..5_usize).prop_map(Operation::Enter),
        1 => (0..WAITERS).prop_map(Operation::Leave),
        1 => (1..4_usize).prop_map(Operation::RemoveFree),
    ]
}

/// A count and a line, in the plainest way.
#[derive(Default)]
struct Model {
    free: usize,
    /// Names and wishes, first come first.
    line: VecDeque<(usize, usize)>,
    served: Vec<usize>,
}

impl Model {
    fn serve(&mut self) {
        while let Some(&(name, n)) = self.line.front() {
            if self.free < n {
                return;
            }
            self.free -= n;
            self.line.pop_front();
            self.served.push(name);
        }
    }

    fn take(&mut self, n: usize) -> Result<(), Refused> {
        let first = self.line.is_empty() && self.free >= n;
        if n > 0 && !first {
            return Err(Refused::Short);
        }
        self.free -= n;
        Ok(())
    }
}

proptest! {
    #[test]
    fn slots_are_counted_and_served_as_in_one_word(
        operations in prop::collection::vec(operation(), 0..60),
    ) {
        let slots = Slots::new("slots", 0);
        let mut model = Model::default();
        let mut waiters: [Option<(usize, WaitKey)>; WAITERS] = [const { None }; WAITERS];
        let mut context = Context::from_waker(Waker::noop());
        for operation in operations {
            match operation {
                Operation::Take(n) => prop_assert_eq!(slots.try_take(n), model.take(n)),
                Operation::Give { n, aside } => {
                    if aside { slots.give_aside(n) } else { _ = slots.give(n) }
                    model.free += n;
                }
                Operation::Enter(n) => {
                    let Some(name) = waiters.iter().position(Option::is_none) else { continue };
                    let mut key = None;
                    let polled = slots.poll_take(n, &mut key, &mut context);
                    prop_assert_eq!(polled, match model.take(n) {
                        Ok(()) => Poll::Ready(Ok(())),
                        Err(_) => Poll::Pending,
                    });
                    if let Some(key) = key {
                        waiters[name] = Some((n, key));
                        model.line.push_back((name, n));
                    }
                }
                Operation::Leave(name) => {
                    let Some((_, key)) = waiters[name].take() else { continue };
                    slots.leave(&mut Some(key));
                    model.line.retain(|(other, _)| *other != name);
                }
                Operation::RemoveFree(n) => {
                    prop_assert_eq!(slots.remove_free(n), n.min(model.free));
                    model.free -= n.min(model.free);
                }
            }
            model.serve();
            for name in model.served.drain(..) {
                let (n, key) = waiters[name].take().expect("it stood in line");
                let polled = slots.poll_take(n, &mut Some(key), &mut context);
                prop_assert_eq!(polled, Poll::Ready(Ok(())));
            }
            prop_assert_eq!(slots.free(), model.free);
            prop_assert_eq!(slots.waiting(), model.line.len());
        }
    }
}
