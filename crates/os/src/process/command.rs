//! What to run, and how.

use super::child::{Child, Output, collect};
use super::reaper::{Publishes, Reaper, Running, Shared};
use crate::async_fd::reactor;
use crate::blocking::Call;
use crate::pipe::{PipeReader, PipeWriter};
use asupersync_core::cap::{HasBlocking, HasIo, HasSpawn, HasTime};
use asupersync_core::{Cx, Outcome, Scope, TaskHandle};
use asupersync_reactor::{FdSource, Io};
use mio::Interest;
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::panic::Location;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// May run processes: drivers, the clock, and children that run on the blocking pool.
pub trait HasProcesses: HasIo + HasTime + HasSpawn + HasBlocking {}

impl<C: HasIo + HasTime + HasSpawn + HasBlocking> HasProcesses for C {}

/// A program to be run; as `std::process::Command`, but by value. Standard streams are ours unless told
/// otherwise.
#[derive(Debug)]
pub struct Command {
    command: std::process::Command,
    own_group: bool,
    grace: Duration,
}

impl Command {
    /// A program, by path or by a name to be found in `PATH`, without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Command {
        let command = std::process::Command::new(program);
        Command { command, own_group: true, grace: Duration::ZERO }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Command {
        self.command.arg(argument);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        self.command.args(arguments);
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Command {
        self.command.env(name, value);
        self
    }

    /// Takes a variable out of its environment.
    #[must_use]
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Command {
        self.command.env_remove(name);
        self
    }

    /// Empties its environment.
    #[must_use]
    pub fn env_clear(mut self) -> Command {
        self.command.env_clear();
        self
    }

    /// Sets its working directory.
    #[must_use]
    pub fn current_dir(mut self, folder: impl AsRef<Path>) -> Command {
        self.command.current_dir(folder);
        self
    }

    /// Sets its standard input. With `Stdio::piped()` the child has a [`PipeWriter`].
    #[must_use]
    pub fn stdin(mut self, stdin: impl Into<Stdio>) -> Command {
        self.command.stdin(stdin);
        self
    }

    /// Sets its standard output. With `Stdio::piped()` the child has a [`PipeReader`].
    #[must_use]
    pub fn stdout(mut self, stdout: impl Into<Stdio>) -> Command {
        self.command.stdout(stdout);
        self
    }

    /// Sets its standard error. With `Stdio::piped()` the child has a [`PipeReader`].
    #[must_use]
    pub fn stderr(mut self, stderr: impl Into<Stdio>) -> Command {
        self.command.stderr(stderr);
        self
    }

    /// Whether the process leads a group of its own (it does unless told otherwise): what it starts itself
    /// is then killed with it, and Ctrl-C at the terminal does not reach it.
    #[must_use]
    pub fn own_group(mut self, own: bool) -> Command {
        self.own_group = own;
        self
    }

    /// How long a process that is to be stopped has after SIGTERM before it gets SIGKILL. Zero unless told
    /// otherwise: SIGKILL at once. The region's cleanup time limits it.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Command {
        self.grace = grace;
        self
    }

    /// Starts the process, as a child of the region that owns this task. Where that is cancelled, a process has
    /// no place any more and is killed, also one that is started under a mask: to clean up there are
    /// [`status`](Self::status) and [`output`](Self::output), or a region of its own.
    ///
    /// # Errors
    /// The system's: not found, not permitted. ASY-0004 inside when the host runs no processes (the lab).
    /// `Cancelled`.
    ///
    /// # Cancel safety
    /// A process that nobody waits for any more is killed.
    #[track_caller]
    pub fn spawn<C: HasProcesses>(
        self,
        cx: &Cx<C>,
    ) -> impl Future<Output = io::Result<Child>> + Send + '_ {
        let site = Location::caller();
        async move {
            let (child, reaper) = start(cx, self, site).await?;
            // Owned by the region, which so waits for the process.
            drop(cx.spawn(async move |cx: &Cx<C>| reaper.reap(cx).await));
            Ok(child)
        }
    }

    /// Runs the process to its end. Ends of pipes that we would have of it are closed.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn).
    ///
    /// # Cancel safety
    /// A cancelled call kills the process, and answers when it is gone. For a deadline put a timeout around it.
    #[track_caller]
    pub fn status<C: HasProcesses>(
        self,
        cx: &Cx<C>,
    ) -> impl Future<Output = io::Result<ExitStatus>> + Send + '_ {
        let site = Location::caller();
        async move { Ok(run(cx, self, None, site).await?.status) }
    }

    /// Runs the process to its end and collects what it writes to standard output and error: at most
    /// `limit` bytes of each. Its standard input is empty.
    ///
    /// # Errors
    /// As [`spawn`](Self::spawn); [`LimitExceeded`](asupersync_io::LimitExceeded) inside when it writes
    /// more, and the process is killed then.
    ///
    /// # Cancel safety
    /// A cancelled call kills the process, and answers when it is gone. For a deadline put a timeout around it.
    #[track_caller]
    pub fn output<C: HasProcesses>(
        self,
        cx: &Cx<C>,
        limit: usize,
    ) -> impl Future<Output = io::Result<Output>> + Send + '_ {
        let command = self.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let site = Location::caller();
        async move { run(cx, command, Some(limit), site).await }
    }
}

/// Runs a process in a region of its own, so that it is gone when this answers. Under a mask that region is
/// masked too, and so the process lives although the one around is cancelled.
async fn run<C: HasProcesses>(
    cx: &Cx<C>,
    command: Command,
    limit: Option<usize>,
    site: &'static Location<'static>,
) -> io::Result<Output> {
    let mut answer = None;
    let outcome = cx.region(async |scope: &Scope<io::Error, C>| {
        let (mut child, reaper) = start(cx, command, site).await?;
        let _: TaskHandle<(), _> = scope.spawn(async move |cx: &Cx<C>| Ok(reaper.reap(cx).await?));
        if limit.is_none() {
            (child.stdin, child.stdout, child.stderr) = (None, None, None);
        }
        answer = Some(collect(cx, child, limit.unwrap_or_default()).await?);
        Ok(())
    });
    match (outcome.await, answer) {
        (Outcome::Err(error), _) => Err(error),
        (Outcome::Panicked(payload), _) => std::panic::resume_unwind(payload.into_inner()),
        (_, Some(output)) => Ok(output),
        (_, None) => {
            cx.checkpoint()?;
            Err(io::Error::other("the process was killed, because its region was cancelled"))
        }
    }
}

async fn start<C: HasProcesses>(
    cx: &Cx<C>,
    command: Command,
    site: &'static Location<'static>,
) -> io::Result<(Child, Reaper)> {
    cx.checkpoint()?;
    let reactor = reactor(cx, "run a process", site)?;
    let Command { mut command, own_group, grace } = command;
    if own_group {
        command.process_group(0);
    }
    let name = command.get_program().to_owned();
    let start = move || {
        let process = command.spawn().map_err(|source| {
            // The system's error is that of the first step that failed, and does not say which.
            let folder = command.get_current_dir().filter(|folder| !folder.is_dir());
            let folder = folder.map(Path::to_owned);
            io::Error::new(source.kind(), NotStarted { name, folder, source })
        })?;
        let mut process = Running::new(process, own_group);
        let pid = Pid::from_child(process.child());
        let pidfd = pidfd_open(pid, PidfdFlags::NONBLOCK)?;
        let pipes = process.take_pipes();
        Ok((process, pidfd, pipes))
    };
    // From here on whoever drops the process kills it.
    let (process, pidfd, [stdin, stdout, stderr]) = Call::start(cx, start).wait(cx).await?;
    let pidfd: Io<FdSource<OwnedFd>> = Io::new(&reactor, FdSource(pidfd), Interest::READABLE)?;
    let id = process.id();
    let reader = |fd: Option<OwnedFd>| fd.map(|fd| PipeReader::from_fd(cx, fd)).transpose();
    let pipes = (
        stdin.map(|fd| PipeWriter::from_fd(cx, fd)).transpose()?,
        reader(stdout)?,
        reader(stderr)?,
    );
    let shared = Arc::new(Shared::new(id, own_group));
    let reaper = Reaper { process: Publishes::new(&shared, process), pidfd, grace, site };
    Ok((Child::new(shared, pipes), reaper))
}

/// A program that could not be started, with its name.
#[derive(Debug)]
struct NotStarted {
    name: OsString,
    /// The working directory it was to have, if that is none.
    folder: Option<PathBuf>,
    source: io::Error,
}

impl fmt::Display for NotStarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot start `{}`", Path::new(&self.name).display())?;
        if let Some(folder) = &self.folder {
            write!(f, " in `{}`, which is no directory that can be entered", folder.display())?;
        }
        write!(f, ": {}", self.source)
    }
}

impl std::error::Error for NotStarted {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}
