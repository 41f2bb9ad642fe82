//! `asupersync-bench GROUP [--quick] [--only TEXT]` prints a table and writes
//! `target/bench/GROUP.json`. `asupersync-bench instructions [NAME]` lists the scenarios whose
//! instructions are counted, or runs one.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use asupersync_bench::{groups, instructions, runner::Runner};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let only = arguments.iter().position(|argument| argument == "--only");
    let only = only.and_then(|at| arguments.get(at + 1)).cloned().unwrap_or_default();
    let name = arguments.first().map_or("", String::as_str);
    if name == "instructions" {
        return count(arguments.get(1).map(String::as_str));
    }
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

fn count(scenario: Option<&str>) -> ExitCode {
    let Some(wanted) = scenario else {
        for (name, _) in instructions::ALL {
            println!("{name}");
        }
        return ExitCode::SUCCESS;
    };
    match instructions::ALL.iter().find(|(name, _)| *name == wanted) {
        Some((_, run)) => {
            run();
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("there is no scenario {wanted}; without a name they are listed");
            ExitCode::FAILURE
        }
    }
}
