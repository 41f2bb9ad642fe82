//! The suite under a sanitizer, with a nightly compiler. The address sanitizer runs with the
//! prebuilt standard library; the thread sanitizer needs one built with it (with the prebuilt one
//! it reports falsely where the last reference of an `Arc` is dropped), so it needs `rust-src`.

use std::path::PathBuf;

use crate::context::Context;
use crate::step::{Done, Outcome, Skip, Step, passed};
use crate::test::counted;
use crate::tools::NIGHTLY;

pub(crate) static ADDRESS: Step = Step {
    name: "sanitize address",
    about: "the suite under the address and leak sanitizers",
    rerun: "sanitize",
    run: |context, _| {
        run(context, "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer", "asan", &[])
    },
};

pub(crate) static THREAD: Step = Step {
    name: "sanitize thread",
    about: "the suite under the thread sanitizer",
    rerun: "sanitize",
    run: thread,
};

pub(crate) static STEPS: &[&Step] = &[&ADDRESS, &THREAD];

fn thread(context: &Context, _: &[String]) -> Outcome {
    if let Err(skip) = NIGHTLY.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let sysroot = context.tool("rustc", &["+nightly", "--print", "sysroot"]).check()?;
    let source = PathBuf::from(sysroot.stdout.trim()).join("lib/rustlib/src/rust/library/std");
    if !source.is_dir() {
        return Ok(Done::Skipped(Skip::Missing {
            tool: "the standard library's source",
            remedy: "`rustup component add rust-src --toolchain nightly`; where that cannot be \
                     fetched, docs/checks.md says how to lay a distribution's copy in place"
                .into(),
        }));
    }
    run(context, "-Zsanitizer=thread", "tsan", &["-Zbuild-std"])
}

fn run(context: &Context, flags: &str, folder: &str, more: &[&str]) -> Outcome {
    if let Err(skip) = NIGHTLY.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let host = context.tool("rustc", &["+nightly", "-vV"]).check()?.stdout;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let packages = context.workspace.packages.iter().filter(|p| p.is_library());
    let packages: Vec<&str> = packages.flat_map(|p| ["-p", &p.name]).collect();
    let cmd = context
        .cargo(&["+nightly", "test", "--no-fail-fast", "--lib", "--tests", "--target", host])
        .args(more)
        .args(packages)
        .env("RUSTFLAGS", flags)
        .env("CARGO_TARGET_DIR", context.target.join(folder));
    let count = counted(&cmd.loud())?;
    passed(format!("{count} tests"))
}
