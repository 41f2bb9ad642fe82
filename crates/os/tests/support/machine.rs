//! Child processes on the machine. Each test file that uses it is a process of its own: children are the
//! whole process's.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

use asupersync_core::{Cx, Error, Outcome};
use asupersync_os::process::Command;
use asupersync_runtime::RuntimeBuilder;
use std::sync::{Mutex, PoisonError};

/// Tests that count this process's children run one at a time.
static CHILDREN: Mutex<()> = Mutex::new(());

pub fn on_the_machine<F>(body: F)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> asupersync_core::TaskBody<'a, asupersync_core::cap::All, (), Error> + Send + 'static,
{
    let _alone = CHILDREN.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(body);
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    assert_eq!(children(), [0; 0], "children are left");
}

/// This process's children, zombies included.
pub fn children() -> Vec<u32> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let list = task.unwrap().path().join("children");
        // A thread may have ended meanwhile.
        let list = std::fs::read_to_string(list).unwrap_or_default();
        found.extend(list.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    found
}

/// The PATH of who runs this may hold nothing but a compiler.
pub fn shell(script: &str) -> Command {
    Command::new("/bin/sh").arg("-c").arg(format!("PATH=/usr/bin:/bin\n{script}"))
}

pub fn is_alive(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.contains(") Z ")
}
