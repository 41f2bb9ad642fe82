//! Bugs that happened, each modelled on the kernel's own pieces with its defect behind a switch, and its
//! fixed twin.
//!
//! The defect is found by exploration, named by the oracle whose business it is, shrunk, and replayed from
//! its file in a fresh process. The twin is explored to the end without a report.

mod corpus;
mod line;

mod batch_semaphore;
mod check_then_wait;
mod futurelock;
mod lock_across_send;
mod mpsc_close_permit;
mod notify_drop;
mod once_cancel;
mod overtake;
mod partial_frame;
mod rwlock_recursive_read;
mod send_cancel;
mod two_lock_order;
