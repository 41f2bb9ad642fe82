//! `asupersync-counts` lists the scenarios whose instructions are counted; `asupersync-counts NAME TIMES`
//! does one of them so many times. A program of its own, so that counting builds no peer.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use asupersync_bench::instructions;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => {
            for scenario in instructions::ALL {
                println!("{}", scenario.name);
            }
            ExitCode::SUCCESS
        }
        [wanted, times] => {
            let scenario = instructions::ALL.iter().find(|scenario| scenario.name == wanted);
            match (scenario, times.parse()) {
                (Some(scenario), Ok(times)) => {
                    (scenario.run)(times);
                    ExitCode::SUCCESS
                }
                _ => usage(),
            }
        }
        _ => usage(),
    }
}

fn usage() -> ExitCode {
    eprintln!("usage: asupersync-counts [NAME TIMES]; without arguments the names are listed");
    ExitCode::FAILURE
}
