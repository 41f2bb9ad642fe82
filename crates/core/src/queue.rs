//! The one wait queue: first in, first out, and safe to leave.
//!
//! Channels, locks and semaphores keep a [`WaitQueue`] inside their own mutex. A waiter enters at the
//! back, is granted at the front, and learns of its grant when it is polled next. In between it may
//! go away: [`remove`](WaitQueue::remove) says whether it had been granted, and then the grant must
//! be passed on, or a wake-up is lost.

use crate::wake::WakeList;
use slab::Slab;
use std::task::Waker;

const NONE: usize = usize::MAX;

/// Waiters in order of arrival, each with a payload (what it asks for, or what it is handed).
///
/// Locked and woken from outside: methods that make a waiter runnable return its waker, to be woken
/// after the lock is released.
#[derive(Debug)]
pub struct WaitQueue<P = ()> {
    entries: Slab<Entry<P>>,
    head: usize,
    tail: usize,
    waiting: usize,
}

#[derive(Debug)]
struct Entry<P> {
    payload: P,
    /// `None` once granted.
    waker: Option<Waker>,
    prev: usize,
    next: usize,
}

/// A waiter's place. Given back by [`WaitQueue::poll`] when granted, or by [`WaitQueue::remove`].
#[derive(Debug, PartialEq, Eq)]
pub struct WaitKey(usize);

/// How a waiter stood when it left.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a grant that is not passed on is a lost wake-up"]
pub enum Removed<P> {
    /// It was still in line.
    Waiting(P),
    /// It had been granted and did not know it yet: the grant must go to the next.
    Granted(P),
}

impl<P> WaitQueue<P> {
    /// An empty queue; allocates nothing.
    pub const fn new() -> Self {
        WaitQueue { entries: Slab::new(), head: NONE, tail: NONE, waiting: 0 }
    }

    /// Whether nobody is in line. Granted waiters are no longer in line.
    pub fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// How many are in line.
    pub fn len(&self) -> usize {
        self.waiting
    }

    /// Enters at the back.
    pub fn push_back(&mut self, payload: P, waker: Waker) -> WaitKey {
        let tail = self.tail;
        let entry = Entry { payload, waker: Some(waker), prev: tail, next: NONE };
        let key = self.entries.insert(entry);
        if tail == NONE {
            self.head = key;
        } else {
            self.entries[tail].next = key;
        }
        self.tail = key;
        self.waiting += 1;
        WaitKey(key)
    }

    /// The payload of the first in line.
    pub fn front_mut(&mut self) -> Option<&mut P> {
        match self.head {
            NONE => None,
            head => Some(&mut self.entries[head].payload),
        }
    }

    /// Takes the first out of line and marks it granted. Wake the waker after unlocking.
    #[must_use = "the granted waiter must be woken"]
    pub fn grant_front(&mut self) -> Option<Waker> {
        let head = self.head;
        if head == NONE {
            return None;
        }
        self.unlink(head);
        self.entries[head].waker.take()
    }

    /// Grants everyone in line.
    pub fn grant_all(&mut self, wakers: &mut WakeList) {
        while let Some(waker) = self.grant_front() {
            wakers.push(waker);
        }
    }

    /// Asks how a waiter stands. Granted: its payload, and its place is gone. Still waiting: `waker`
    /// is exchanged for the stored one; the caller drops what is left in it after unlocking.
    pub fn poll(&mut self, key: &WaitKey, waker: &mut Option<Waker>) -> Option<P> {
        let entry = &mut self.entries[key.0];
        if entry.waker.is_none() {
            return Some(self.entries.remove(key.0).payload);
        }
        if waker.is_some() {
            std::mem::swap(&mut entry.waker, waker);
        }
        None
    }

    /// Leaves the queue. The stored waker, if any, is left in `waker`, to be dropped after unlocking.
    pub fn remove(&mut self, key: WaitKey, waker: &mut Option<Waker>) -> Removed<P> {
        if self.entries[key.0].waker.is_some() {
            self.unlink(key.0);
            let entry = self.entries.remove(key.0);
            *waker = entry.waker;
            Removed::Waiting(entry.payload)
        } else {
            Removed::Granted(self.entries.remove(key.0).payload)
        }
    }

    fn unlink(&mut self, key: usize) {
        let (prev, next) = (self.entries[key].prev, self.entries[key].next);
        match prev {
            NONE => self.head = next,
            prev => self.entries[prev].next = next,
        }
        match next {
            NONE => self.tail = prev,
            next => self.entries[next].prev = prev,
        }
        self.waiting -= 1;
    }
}

impl<P> Default for WaitQueue<P> {
    fn default() -> Self {
        WaitQueue::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[derive(Clone, Debug)]
    enum Operation {
        Enter,
        GrantFront,
        Poll(usize),
        Leave(usize),
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop_oneof![
            Just(Operation::Enter),
            Just(Operation::GrantFront),
            (0..8_usize).prop_map(Operation::Poll),
            (0..8_usize).prop_map(Operation::Leave),
        ]
    }

    proptest! {
        #[test]
        fn behaves_like_a_list_of_names(operations in prop::collection::vec(operation(), 0..80)) {
            let mut queue = WaitQueue::new();
            let mut keys: Vec<(u32, WaitKey)> = Vec::new();
            let mut line: VecDeque<u32> = VecDeque::new();
            let mut granted: Vec<u32> = Vec::new();
            let mut next = 0;
            for operation in operations {
                match operation {
                    Operation::Enter => {
                        keys.push((next, queue.push_back(next, Waker::noop().clone())));
                        line.push_back(next);
                        next += 1;
                    }
                    Operation::GrantFront => {
                        let front = line.pop_front();
                        prop_assert_eq!(queue.grant_front().is_some(), front.is_some());
                        granted.extend(front);
                    }
                    Operation::Poll(n) if n < keys.len() => {
                        let name = keys[n].0;
                        let mut waker = Some(Waker::noop().clone());
                        let answer = queue.poll(&keys[n].1, &mut waker);
                        if granted.contains(&name) {
                            prop_assert_eq!(answer, Some(name));
                            let _ = keys.remove(n);
                            granted.retain(|other| *other != name);
                        } else {
                            prop_assert_eq!(answer, None);
                        }
                    }
                    Operation::Leave(n) if n < keys.len() => {
                        let (name, key) = keys.remove(n);
                        let expected = if granted.contains(&name) {
                            Removed::Granted(name)
                        } else {
                            Removed::Waiting(name)
                        };
                        prop_assert_eq!(queue.remove(key, &mut None), expected);
                        line.retain(|other| *other != name);
                        granted.retain(|other| *other != name);
                    }
                    Operation::Poll(_) | Operation::Leave(_) => {}
                }
                prop_assert_eq!(queue.len(), line.len());
                prop_assert_eq!(queue.front_mut().copied(), line.front().copied());
            }
        }
    }
}
