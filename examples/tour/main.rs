//! The tour: the main idea, in three acts and under a minute.
//!
//! 1. A TCP service on the production runtime, a thousand clients, a cancellation in mid-flight; both ends
//!    compare their books.
//! 2. The very same service and clients in the lab, on a virtual network that resets connections.
//! 3. A planted cancellation bug: found, replayed, and shown to be gone when it is mended.

mod bug;
mod production;
mod service;
mod simulation;

use std::process::ExitCode;
use std::time::Duration;

/// Nanoseconds are for machines.
fn readable(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1_000 => format!("{us} µs"),
        us @ 1_000..1_000_000 => format!("{:.1} ms", us as f64 / 1e3),
        us => format!("{:.2} s", us as f64 / 1e6),
    }
}

/// An act's title, and what plays it; its error says what went wrong.
type Act = (&'static str, fn() -> Result<(), String>);

fn main() -> ExitCode {
    let acts: [Act; 3] = [
        ("a service, a thousand clients, a cancellation", production::run),
        ("the same program in the lab, 200 seeds with resets", simulation::run),
        ("a planted cancellation bug, found and replayed", bug::run),
    ];
    let mut passed = 0;
    for (n, (title, act)) in acts.iter().enumerate() {
        println!("── {} of {}: {title}", n + 1, acts.len());
        match act() {
            Ok(()) => passed += 1,
            Err(why) => println!("   FAILED: {why}"),
        }
        println!();
    }
    println!("tour: {passed} of {} ok", acts.len());
    if passed == acts.len() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
