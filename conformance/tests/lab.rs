//! The cases in the lab, under a row of seeds.

#[path = "ours/interpreter.rs"]
mod interpreter;
#[path = "ours/lab.rs"]
mod lab;

asupersync_conformance::conformance!(lab::seeded(50));
