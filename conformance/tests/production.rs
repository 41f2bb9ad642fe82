//! The cases on the production host with four workers.

#[path = "ours/interpreter.rs"]
mod interpreter;
#[path = "ours/production.rs"]
mod production;

asupersync_conformance::conformance!(production::multi_thread());
