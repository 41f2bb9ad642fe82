//! Every public asynchronous operation, interrupted at every poll in turn.
//!
//! Each entry of the list is an operation in a situation. It is run under the lab with a number of seeds;
//! under each, once for every moment at which it can be interrupted: before each of its polls by a
//! cancellation, after each by a cancellation, and after each by dropping its future. Its body then
//! checks what must hold whatever happened: nothing committed is lost or doubled, capacity and permits
//! are back, lines are served in order. The lab's oracles check the rest of each run: no obligation, task
//! or waiter leaked, no deadlock. A cancelled operation must answer within the bound it publishes.
//!
//! `cargo xtask lab` compares the names in the list with the public functions of the crates, and the
//! waits that were interrupted with those in their source.

mod channel;
mod combinator;
mod dns;
mod io;
mod net;
mod os;
mod probe;
mod stream;
mod sync;
mod time;
mod tls;

use probe::{Entry, Tally};

/// Runs a list under one seed after the other until there were so many interruptions.
fn check(group: &str, list: Vec<Entry>, least: usize) {
    assert!(!list.is_empty(), "nothing to interrupt");
    let mut tally = Tally::new(group, list);
    for seed in 0.. {
        tally.run(seed);
        if tally.interruptions() >= least {
            break;
        }
    }
    tally.finish();
}

#[test]
fn locks_lose_nothing_wherever_they_are_interrupted() {
    check("sync", sync::list(), 5_500);
}

#[test]
fn channels_lose_nothing_wherever_they_are_interrupted() {
    check("channel", channel::list(), 6_500);
}

#[test]
fn waits_for_time_and_tasks_lose_nothing_wherever_they_are_interrupted() {
    check("time", time::list(), 1_200);
}

#[test]
fn combinators_lose_nothing_wherever_they_are_interrupted() {
    check("combinator", combinator::list(), 3_000);
}

#[test]
fn streams_leave_the_rest_wherever_they_are_interrupted() {
    check("stream", stream::list(), 500);
}

#[test]
fn streams_of_bytes_lose_nothing_wherever_they_are_interrupted() {
    check("io", io::list(), 4_000);
}

#[test]
fn sockets_lose_nothing_wherever_they_are_interrupted() {
    check("net", net::list(), 400);
}

#[test]
fn look_ups_lose_nothing_wherever_they_are_interrupted() {
    check("dns", dns::list(), 100);
}

#[test]
fn files_and_signals_lose_nothing_wherever_they_are_interrupted() {
    check("os", os::list(), 400);
}

#[test]
fn handshakes_lose_nothing_wherever_they_are_interrupted() {
    check("tls", tls::list(), 50);
}
