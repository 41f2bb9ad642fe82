//! Child processes.
//!
//! A process is a child of the region whose task spawned it: the region closes only when the process has
//! ended and was waited for, and a cancelled region kills it, with its whole group. There are no
//! zombies and no orphans.

mod child;
mod command;
mod reaper;

pub use self::child::{Child, Output};
pub use self::command::{Command, HasProcesses};
pub use std::process::{ExitStatus, Stdio};
