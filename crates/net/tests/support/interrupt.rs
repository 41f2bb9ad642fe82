//! A call that is cancelled while it waits, and the descriptors of the process.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use asupersync_core::{BranchEnd, BranchOptions, CancelReason, Cx};
use std::future::{Future, poll_fn};
use std::pin::pin;

/// Polls a call once and, if it waits then, cancels it. None: it had to be dropped.
pub async fn cancelled<F: Future>(cx: &Cx, call: F) -> Option<F::Output> {
    let mut branch = pin!(cx.branch(BranchOptions::default(), call));
    let mut polled = false;
    let end = poll_fn(|context| {
        if polled {
            branch.as_mut().cancel(CancelReason::user("interrupted"));
        }
        polled = true;
        let poll = branch.as_mut().poll(context);
        if poll.is_pending() {
            context.waker().wake_by_ref();
        }
        poll
    })
    .await;
    match end {
        BranchEnd::Finished(output) => Some(output),
        BranchEnd::Dropped(_) => None,
    }
}

/// The open descriptors' numbers. The listing's own is among them.
pub fn descriptors() -> Vec<u64> {
    let names = std::fs::read_dir("/proc/self/fd").unwrap();
    names.map(|entry| entry.unwrap().file_name().to_str().unwrap().parse().unwrap()).collect()
}
