//! `cargo xtask`: one name for each check of the project.
//!
//! `cargo xtask` alone lists the commands. A command is a list of steps; a step is one check with a
//! name, a time and a verdict, and every step can be run alone by its own name. What a step needs
//! from the machine it looks for, and says how to get; nothing is installed without `--install`.
//!
//! What this program does not know: what the crates do. It reads `cargo metadata`, `git ls-files`
//! and the text of the files, and runs the tools that judge them.

#![forbid(unsafe_code)]

mod alone;
mod bench;
mod ci;
mod commands;
mod conformance;
mod context;
mod counts;
mod deny;
mod determinism;
mod docs;
mod examples;
mod features;
mod formal;
mod fuzz;
mod lab;
mod layers;
mod loom;
mod model;
mod msrv;
mod mutants;
mod newcomer;
mod pages;
mod peers;
mod sanitize;
mod shell;
mod step;
mod test;
mod tidy;
mod tools;
mod workspace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let (flags, words): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|word| word == "--install");
    let Some((name, arguments)) = words.split_first() else {
        print!("{}", commands::list());
        return ExitCode::SUCCESS;
    };
    let Some(command) = commands::find(name) else {
        eprintln!("there is no command `{name}`\n\n{}", commands::list());
        return ExitCode::from(2);
    };
    match context::Context::new(!flags.is_empty()) {
        Ok(context) => step::run_all(&context, command.name, command.steps, arguments),
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::from(2)
        }
    }
}
