//! The cases on the production host with no thread but the caller's.

#[path = "ours/interpreter.rs"]
mod interpreter;
#[path = "ours/production.rs"]
mod production;

asupersync_conformance::conformance!(production::current_thread());
