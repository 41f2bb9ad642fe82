//! `asupersync-bench GROUP [--quick] [--only TEXT]` prints a table and writes
//! `target/bench/GROUP.json`.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use asupersync_bench::{groups, runner::Runner};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only = arguments.iter().position(|argument| argument == "--only");
    let only = only.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_default();
    let name = arguments.first().map_or("", String::as_str);
    let Some((name, run)) = groups::ALL.iter().find(|(group, _)| *group == name) else {
        let names: Vec<&str> = groups::ALL.iter().map(|(name, _)| *name).collect();
        eprintln!(
            "usage: asupersync-bench GROUP [--quick] [--only TEXT]; groups: {}",
            names.join(", ")
        );
        return ExitCode::FAILURE;
    };
    let mut runner = Runner::new(name, quick, only);
    run(&mut runner);
    match runner.finish() {
        Ok(path) => {
            println!("written: {}", path.display());
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("cannot write the results: {error}");
            ExitCode::FAILURE
        }
    }
}
