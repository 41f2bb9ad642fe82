//! What the two ends share.
//!
//! Two machines side by side: [`Slots`] counts capacity, a lock holds the queue. A slot is taken by
//! a permit, travels with the message, and is given back when the message is received (or the permit
//! aborted). So `capacity - free` is always permits plus messages, and a closed channel is finished
//! when all slots are home.

use crate::error::Delivery;
use crate::mutant::mutant;
use asupersync_core::primitive::{Arc, AtomicUsize, CachePadded, Mutex, Ordering};
use asupersync_core::{Object, WakeList};
use asupersync_sync::slots::Slots;
use std::collections::VecDeque;
use std::task::Waker;

/// From this capacity on the receiver gives slots back aside, out of the senders' way.
const ASIDE_FROM: usize = 8;

pub(super) struct Shared<T> {
    pub(super) slots: Slots,
    pub(super) capacity: usize,
    pub(super) senders: AtomicUsize,
    pub(super) object: Object,
    pub(super) queue: CachePadded<Mutex<Queue<T>>>,
}

pub(super) struct Queue<T> {
    pub(super) messages: VecDeque<T>,
    /// The receiver's, while it is parked.
    pub(super) receiver: Option<Waker>,
    /// The receiver was dropped: messages are handed back.
    pub(super) gone: bool,
}

impl<T> Shared<T> {
    pub(super) fn new(capacity: usize) -> Arc<Shared<T>> {
        Arc::new(Shared {
            slots: Slots::new("mpsc::capacity", capacity),
            capacity,
            senders: AtomicUsize::new(1),
            object: Object::new("mpsc::queue"),
            queue: CachePadded(Mutex::new(Queue {
                messages: VecDeque::new(),
                receiver: None,
                gone: false,
            })),
        })
    }

    /// Puts a message in; its slot has been taken.
    pub(super) fn push(&self, message: T) -> Delivery<T> {
        self.object.write();
        let mut queue = self.queue.lock_backing_off();
        if queue.gone {
            drop(queue);
            self.slots.give(1);
            if mutant!(NotHandedBack) {
                return Delivery::Queued;
            }
            return Delivery::HandedBack(message);
        }
        queue.messages.push_back(message);
        let receiver = queue.receiver.take();
        drop(queue);
        wake(receiver);
        Delivery::Queued
    }

    /// Gives the slots of received messages back.
    pub(super) fn received(&self, messages: usize) {
        if self.capacity < ASIDE_FROM {
            self.slots.give(messages);
        } else {
            self.slots.give_aside(messages);
        }
    }

    /// Gives slots back that no message used.
    pub(super) fn abort(&self, slots: usize) {
        if mutant!(DroppedPermitKeepsSlot) {
            return;
        }
        if self.slots.give(slots) && !mutant!(ClosedPermitDroppedSilently) {
            // The receiver of a closed channel waits for the last slot to come home.
            self.wake_receiver();
        }
    }

    pub(super) fn wake_receiver(&self) {
        self.object.write();
        let receiver = self.queue.lock().receiver.take();
        wake(receiver);
    }

    /// Whether nothing can come any more, given that no message is there.
    pub(super) fn is_finished(&self) -> bool {
        // A sender's last act precedes its leaving; acquire makes its messages visible.
        self.senders.load(Ordering::Acquire) == 0 || self.slots.is_closed_and_home(self.capacity)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        WakeList::wake_one(waker);
    }
}
