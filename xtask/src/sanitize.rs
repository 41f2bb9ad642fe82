//! The suite under a sanitizer, with a nightly compiler. The address sanitizer runs with the
//! prebuilt standard library; the thread sanitizer needs one built with it (with the prebuilt one
//! it reports falsely where the last reference of an `Arc` is dropped), so it needs `rust-src`.
//!
//! Leaks are not looked for: a dozen tests forget values on purpose, to see the kernel find them. That
//! memory comes back is `crates/runtime/tests/allocations.rs`'s to say, which counts.

use std::path::PathBuf;

use crate::context::Context;
use crate::step::{Done, Outcome, Skip, Step, passed};
use crate::test::counted;
use crate::tools::NIGHTLY;

pub(crate) static ADDRESS: Step = Step {
    name: "sanitize address",
    about: "the suite under the address sanitizer",
    rerun: "sanitize",
    run: |context, names| {
        let flags = "-Zsanitizer=address -Cunsafe-allow-abi-mismatch=sanitizer";
        run(context, flags, "asan", &[], names, &[])
    },
};

pub(crate) static THREAD: Step = Step {
    name: "sanitize thread",
    about: "the suite under the thread sanitizer",
    rerun: "sanitize",
    run: thread,
};

pub(crate) static STEPS: &[&Step] = &[&ADDRESS, &THREAD];

fn thread(context: &Context, names: &[String]) -> Outcome {
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
    // Through the C library it sees the system calls: what passes through a pipe is in order, and a signal
    // ends a wait.
    let flags = "-Zsanitizer=thread --cfg rustix_use_libc";
    run(context, flags, "tsan", &["-Zbuild-std"], names, HELD_BACK)
}

/// Tests that the thread sanitizer may hang: it holds a signal's handler back until the thread that the signal hit
/// makes a call that the sanitizer knows, and `std`'s way of waiting (the bare `futex` call) is none.
const HELD_BACK: &[&str] = &["each_watcher_receives_the_signals_it_asked_for"];

/// Runs the suites of the named library crates, or of all, without the tests that are to be skipped.
fn run(
    context: &Context,
    flags: &str,
    folder: &str,
    more: &[&str],
    names: &[String],
    skipped: &[&str],
) -> Outcome {
    if let Err(skip) = NIGHTLY.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let host = context.tool("rustc", &["+nightly", "-vV"]).check()?.stdout;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
    let packages = context.workspace.packages.iter().filter(|p| p.is_library());
    let named = |name: &str| names.is_empty() || names.iter().any(|wanted| wanted == name);
    let packages = packages.filter(|package| named(package.short()));
    let packages: Vec<&str> = packages.flat_map(|p| ["-p", &p.name]).collect();
    if packages.is_empty() {
        return Err(format!("none of {} is a library crate", names.join(", ")).into());
    }
    let cmd = context
        .cargo(&["+nightly", "test", "--no-fail-fast", "--lib", "--tests", "--target", host])
        .args(more)
        .args(packages)
        .arg("--")
        .args(skipped.iter().flat_map(|test| ["--skip", *test]))
        .env("RUSTFLAGS", flags)
        .env("ASAN_OPTIONS", "detect_leaks=0")
        // A frame is many times its size: nested futures that fit otherwise do not.
        .env("RUST_MIN_STACK", (16 << 20).to_string())
        .env("CARGO_TARGET_DIR", context.target.join(folder));
    let count = counted(&cmd.loud())?;
    passed(format!("{count} tests"))
}
