//! A process that runs.

use super::command::HasProcesses;
use super::reaper::Shared;
use crate::Signal;
use crate::pipe::{PipeReader, PipeWriter};
use asupersync_core::{Cx, TaskCx};
use asupersync_io::AsyncReadExt;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::Location;
use std::pin::pin;
use std::process::ExitStatus;
use std::sync::Arc;
use std::task::Poll;

/// A process that was started by [`Command::spawn`](super::Command::spawn). Dropping it stops the process;
/// the region closes when that is done.
pub struct Child {
    shared: Arc<Shared>,
    /// Its standard input, if piped. Dropping or closing it is the end of that.
    pub stdin: Option<PipeWriter>,
    /// Its standard output, if piped.
    pub stdout: Option<PipeReader>,
    /// Its standard error, if piped.
    pub stderr: Option<PipeReader>,
}

/// What a process wrote, and how it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to standard error.
    pub stderr: Vec<u8>,
}

type Pipes = (Option<PipeWriter>, Option<PipeReader>, Option<PipeReader>);

impl Child {
    pub(super) fn new(shared: Arc<Shared>, (stdin, stdout, stderr): Pipes) -> Child {
        Child { shared, stdin, stdout, stderr }
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.shared.id()
    }

    /// Waits for it to end. Close a piped standard input first, or it may wait for you.
    ///
    /// # Errors
    /// The system's. `Cancelled`.
    ///
    /// # Cancel safety
    /// A cancelled call has changed nothing, and can be repeated; so can one that has answered.
    #[track_caller]
    pub fn wait<'a>(
        &'a self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = io::Result<ExitStatus>> + Send + 'a {
        let poll = |context: &mut std::task::Context<'_>| self.shared.poll_ended(context);
        let wait = cx.wait_at("Child::wait", Location::caller(), poll);
        async move { wait.await? }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// The system's.
    pub fn try_wait(&self) -> io::Result<Option<ExitStatus>> {
        self.shared.ended().transpose()
    }

    /// Sends a signal to it, or to its group if it leads one. To one that has ended, nothing.
    ///
    /// # Errors
    /// `InvalidInput` for a real-time signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        let named = rustix::process::Signal::from_named_raw(signal.number());
        let what = || io::Error::new(io::ErrorKind::InvalidInput, "a signal without a name");
        self.shared.signal(named.ok_or_else(what)?);
        Ok(())
    }

    /// Stops it: SIGKILL, or SIGTERM first if its command was given a grace. Does not wait.
    pub fn stop(&self) {
        self.shared.stop();
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

impl fmt::Debug for Child {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Child").field("id", &self.id()).finish_non_exhaustive()
    }
}

/// Reads both outputs of a process to their ends, and waits for its own.
pub(super) async fn collect<C: HasProcesses>(
    cx: &Cx<C>,
    mut child: Child,
    limit: usize,
) -> io::Result<Output> {
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let read = async |pipe: Option<PipeReader>| {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            pipe.read_to_end(cx, &mut bytes, limit).await?;
        }
        io::Result::Ok(bytes)
    };
    let (mut out, mut err) = (pin!(read(out)), pin!(read(err)));
    let (mut stdout, mut stderr) = (None, None);
    poll_fn(|context| {
        if stdout.is_none() {
            if let Poll::Ready(bytes) = out.as_mut().poll(context) {
                stdout = Some(bytes?);
            }
        }
        if stderr.is_none() {
            if let Poll::Ready(bytes) = err.as_mut().poll(context) {
                stderr = Some(bytes?);
            }
        }
        if stdout.is_some() && stderr.is_some() {
            Poll::Ready(io::Result::Ok(()))
        } else {
            Poll::Pending
        }
    })
    .await?;
    let status = child.wait(cx).await?;
    let (stdout, stderr) = (stdout.unwrap_or_default(), stderr.unwrap_or_default());
    Ok(Output { status, stdout, stderr })
}
