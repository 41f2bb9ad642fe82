//! The list of operations against the crates' source.
//!
//! `crates/lab/tests/operations/` interrupts public asynchronous functions at every poll. This step runs
//! it and compares the books it leaves with what the crates offer: a public asynchronous function
//! without an entry, an entry without a function, a wait that no interruption reached, and too few of
//! either are findings. So the list cannot fall behind the code. So is a public asynchronous function
//! whose documentation has no `# Cancel safety`, here and in the crates that no list covers.

mod source;

use std::collections::BTreeSet;

use crate::context::Context;
use crate::shell::Cmd;
use crate::step::{Failure, Outcome, Step, nothing, passed};
use crate::test::{counted, fresh_folder};
use crate::workspace::files;
use source::Source;

pub(crate) static STEP: Step = Step {
    name: "lab",
    about: "every public asynchronous function is interrupted at every poll",
    rerun: "lab",
    run,
};

const PACKAGE: &str = "asupersync-lab";
const TARGET: &str = "operations";

/// Crates whose public asynchronous functions must all be in the list. Of other crates there may be
/// entries, which must exist.
const CRATES: &[&str] =
    &["channel", "combinator", "dns", "io", "net", "os", "plan", "stream", "sync", "time", "tls"];
/// Further crates whose public asynchronous functions say what a cancelled call loses.
const DOCUMENTED: &[&str] = &["stream"];
/// Crates whose functions may be in the list.
const MORE: &[&str] = &["core"];

/// Asynchronous functions whose names a macro puts in, so that the source does not show them.
const BY_MACRO: &[&str] = &[
    "os::fs::create_dir",
    "os::fs::create_dir_all",
    "os::fs::metadata",
    "os::fs::remove_dir",
    "os::fs::remove_dir_all",
    "os::fs::remove_file",
    "os::fs::symlink_metadata",
    "os::fs::sync_dir",
];

/// Functions that are asynchronous and need no entry, each with its reason.
const EXEMPT: &[(&str, &str)] = &[
    ("combinator::into_branch::into_branch", "is the branch's own future, for the macros"),
    (
        "net::unix::stream::UnixStream::send_with_fds",
        "descriptors are real; crates/net/tests/unix.rs interrupts it",
    ),
    (
        "net::unix::stream::UnixStream::recv_with_fds",
        "descriptors are real; crates/net/tests/unix.rs interrupts it",
    ),
    (
        "os::async_fd::AsyncFd::read_with",
        "descriptors are real; crates/os/tests/async_fd.rs interrupts it",
    ),
    (
        "os::async_fd::AsyncFd::write_with",
        "descriptors are real; crates/os/tests/async_fd.rs interrupts it",
    ),
    (
        "os::process::child::Child::wait",
        "processes are real; crates/os/tests/processes.rs interrupts it",
    ),
    (
        "os::process::command::Command::output",
        "processes are real; crates/os/tests/processes.rs interrupts it",
    ),
    (
        "os::process::command::Command::spawn",
        "processes are real; crates/os/tests/processes.rs interrupts it",
    ),
    (
        "os::process::command::Command::status",
        "processes are real; crates/os/tests/processes.rs interrupts it",
    ),
    ("os::shutdown::Shutdown::drain", "hands out the drain, and waits for nothing"),
    ("stream::ext::StreamExt::buffered", "makes a stream"),
    ("stream::ext::StreamExt::buffer_unordered", "makes a stream"),
];

/// Waits that the list does not reach, each with its reason.
const UNREACHED: &[(&str, &str)] = &[
    ("AsyncFd::read_with", "descriptors are real"),
    ("AsyncFd::write_with", "descriptors are real"),
    ("Child::wait", "processes are real"),
    ("UdpSocket::send", "the virtual network takes every datagram at once"),
    ("UdpSocket::send_segments", "as above"),
    ("UdpSocket::send_to", "as above"),
    ("UnixDatagram::send", "waits only while the peer's buffer is full, which no entry fills"),
    ("UnixDatagram::send_to", "as above"),
    ("UnixStream::recv_with_fds", "descriptors are real"),
    ("UnixStream::send_with_fds", "descriptors are real"),
    ("process", "processes are real"),
];

/// The least that the list must come to.
const INTERRUPTIONS: usize = 20_000;

fn run(context: &Context, _: &[String]) -> Outcome {
    let package = context.workspace.package(PACKAGE);
    if !package.is_some_and(|package| package.has_test(TARGET)) {
        return nothing(format!("{PACKAGE} has no test target `{TARGET}`"));
    }
    let silent = silent(context)?;
    if !silent.is_empty() {
        return Err(Failure(silent.join("\n")));
    }
    let folder = context.target.join("operations");
    fresh_folder(&folder)?;
    let cmd: Cmd = context.cargo(&["test", "-p", PACKAGE, "--test", TARGET]);
    counted(&cmd.env("ASUPERSYNC_OPERATIONS_DIR", &folder).loud())?;

    let mut books = Books::default();
    for entry in std::fs::read_dir(&folder)? {
        books.read(&std::fs::read_to_string(entry?.path())?)?;
    }
    let (mut must, mut may) = (Source::default(), Source::default());
    for file in files(&context.root)? {
        let Some((name, path)) = in_crate(&file) else { continue };
        let source = match name {
            name if CRATES.contains(&name) => &mut must,
            name if MORE.contains(&name) => &mut may,
            _ => continue,
        };
        let text = std::fs::read_to_string(context.root.join(&file))?;
        source.read(name, path, &text).map_err(|error| Failure(format!("{file}: {error}")))?;
    }
    let findings = compare(&must, BY_MACRO, &may, &books);
    if findings.is_empty() {
        return passed(format!(
            "{} functions in {} situations, {} waits, {} interruptions",
            books.names().len(),
            books.operations.len(),
            books.waits.len(),
            books.interruptions()
        ));
    }
    Err(Failure(findings.join("\n")))
}

/// A finding for each public asynchronous function that does not say what a cancelled call loses.
fn silent(context: &Context) -> Result<Vec<String>, Failure> {
    let mut source = Source::default();
    for file in files(&context.root)? {
        let Some((name, path)) = in_crate(&file) else { continue };
        if CRATES.contains(&name) || DOCUMENTED.contains(&name) {
            let text = std::fs::read_to_string(context.root.join(&file))?;
            source.read(name, path, &text).map_err(|error| Failure(format!("{file}: {error}")))?;
        }
    }
    let finding = |name: &str| format!("{name}: its documentation has no `# Cancel safety`");
    Ok(source.silent().map(finding).collect())
}

/// `crates/NAME/src/PATH.rs` taken apart.
fn in_crate(file: &str) -> Option<(&str, &str)> {
    let (name, path) = file.strip_prefix("crates/")?.split_once("/src/")?;
    path.strip_suffix(".rs").map(|path| (name, path))
}

/// What a run of the list wrote down.
#[derive(Debug, Default)]
struct Books {
    operations: Vec<Operation>,
    waits: BTreeSet<String>,
}

#[derive(Debug)]
struct Operation {
    name: String,
    interruptions: usize,
}

impl Books {
    fn read(&mut self, text: &str) -> Result<(), Failure> {
        for line in text.lines() {
            let bad = || Failure(format!("not a line of the books: {line}"));
            let fields: Vec<&str> = line.split('\t').collect();
            match fields[..] {
                ["wait", label] => _ = self.waits.insert(label.to_owned()),
                ["operation", name, _situation, _bound, _most, interruptions] => {
                    let interruptions = interruptions.parse().map_err(|_| bad())?;
                    self.operations.push(Operation { name: name.to_owned(), interruptions });
                }
                _ => return Err(bad()),
            }
        }
        Ok(())
    }

    fn names(&self) -> BTreeSet<&str> {
        self.operations.iter().map(|operation| &*operation.name).collect()
    }

    fn interruptions(&self) -> usize {
        self.operations.iter().map(|operation| operation.interruptions).sum()
    }
}

fn compare(must: &Source, by_macro: &[&str], may: &Source, books: &Books) -> Vec<String> {
    let mut findings = Vec::new();
    let names = books.names();
    let exempt = |name: &str| EXEMPT.iter().any(|(other, _)| *other == name);
    let by_macro = || by_macro.iter().map(|name| (*name).to_owned());
    for name in must.functions().chain(by_macro()) {
        if !names.contains(&*name) && !exempt(&name) {
            findings.push(format!(
                "{name}: a public asynchronous function without an entry in crates/lab/tests/operations/"
            ));
        }
    }
    for name in &names {
        let known = |source: &Source| source.functions().any(|other| other == *name);
        let polled = must.polled().chain(may.polled()).any(|other| other == *name);
        if !known(must) && !known(may) && !polled && !by_macro().any(|other| other == *name) {
            findings.push(format!("{name}: an entry without a public asynchronous function"));
        }
    }
    for (name, _) in EXEMPT {
        if !must.functions().any(|other| other == *name) {
            findings.push(format!("{name}: exempt in xtask/src/lab.rs, and not there"));
        }
    }
    for label in must.waits() {
        let unreached = UNREACHED.iter().any(|(other, _)| *other == label);
        if books.waits.contains(label) == unreached {
            findings.push(if unreached {
                format!("\"{label}\": said to be out of reach in xtask/src/lab.rs, and reached")
            } else {
                format!("\"{label}\": a wait that no interruption reached")
            });
        }
    }
    if books.interruptions() < INTERRUPTIONS {
        let n = books.interruptions();
        findings.push(format!("{n} interruptions, of at least {INTERRUPTIONS}"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = r#"
        pub struct Lock;
        impl Lock {
            pub async fn take(&self, cx: &Cx) { cx.wait_at("Lock::take", site, poll).await }
            pub fn try_take(&self) -> bool { true }
        }
    "#;

    fn check(books: &str, wanted: &[&str]) {
        let mut must = Source::default();
        must.read("sync", "lock", SOURCE).unwrap();
        let mut read = Books::default();
        read.read(books).unwrap();
        let found = compare(&must, &[], &Source::default(), &read);
        // The exemption of another crate's function is not of this test.
        let found: Vec<&String> = found.iter().filter(|line| !line.contains("exempt")).collect();
        assert_eq!(found.len(), wanted.len(), "{found:?}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!(found.contains(wanted), "{found} has no {wanted}");
        }
    }

    #[test]
    fn a_full_list_has_no_findings() {
        let books = "operation\tsync::lock::Lock::take\ts\t1\t1\t20000\nwait\tLock::take\n";
        check(books, &[]);
    }

    #[test]
    fn missing_entries_unknown_ones_unreached_waits_and_too_few_runs_are_found() {
        check("wait\tLock::take\n", &["sync::lock::Lock::take: a public", "0 interruptions"]);
        let books = "operation\tsync::lock::Lock::take\ts\t1\t1\t20000\n\
                     operation\tsync::lock::Lock::try_take\ts\t1\t1\t1\n";
        check(books, &["try_take: an entry without", "\"Lock::take\": a wait"]);
    }
}
