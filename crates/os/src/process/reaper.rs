//! The task that waits for a process, and stops it when nobody wants it any more.
//!
//! ```text
//!   running ─▶ (pidfd readable) reaped
//!      └─────▶ (cancelled, or the `Child` dropped) asked ─▶ (grace over) killed ─▶ reaped
//! ```

use super::command::HasProcesses;
use asupersync_core::{Cancelled, Cx, WakeList};
use asupersync_reactor::{Direction, FdSource, Io};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpgid, kill_process, kill_process_group, waitid,
};
use std::future::{Future, poll_fn};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::panic::Location;
use std::pin::pin;
use std::process::{Child, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// A process that was started and not yet waited for. Dropping it kills it and waits: the last resort,
/// which blocks the thread for as long as the system takes to kill.
#[derive(Debug)]
pub(super) struct Running {
    process: Child,
    own_group: bool,
    reaped: bool,
}

impl Running {
    pub(super) fn new(process: Child, own_group: bool) -> Running {
        Running { process, own_group, reaped: false }
    }

    pub(super) fn child(&self) -> &Child {
        &self.process
    }

    pub(super) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Input, output and error, where they were piped.
    pub(super) fn take_pipes(&mut self) -> [Option<OwnedFd>; 3] {
        [
            self.process.stdin.take().map(OwnedFd::from),
            self.process.stdout.take().map(OwnedFd::from),
            self.process.stderr.take().map(OwnedFd::from),
        ]
    }

    /// Waits for it if it has ended.
    fn try_reap(&mut self) -> io::Result<Option<ExitStatus>> {
        let status = self.process.try_wait();
        // Also where somebody else has waited for it: the number may be another process's by now.
        self.reaped |= match &status {
            Ok(status) => status.is_some(),
            Err(error) => error.raw_os_error() == Some(ECHILD),
        };
        status
    }

    /// The process, and what it started: until it is waited for, its number is nobody else's.
    fn signal(&self, signal: Signal) {
        send(self.id(), self.own_group, signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.reaped {
            self.signal(Signal::KILL);
            let _ = self.process.wait();
        }
    }
}

fn send(id: u32, own_group: bool, signal: Signal) {
    let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) else { return };
    // They fail when there is nobody left, which is what a signal to stop is for.
    if own_group {
        let _ = kill_process_group(pid, signal);
    }
    // A process may leave the group that it was to lead.
    if !own_group || getpgid(Some(pid)) != Ok(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// "No child processes": somebody else has waited for it.
const ECHILD: i32 = 10;

/// Why nobody knows how a process has ended.
fn unknown(id: u32, errno: i32) -> io::Error {
    if errno != ECHILD {
        return io::Error::from_raw_os_error(errno);
    }
    io::Error::other(format!(
        "how process {id} has ended is lost, as somebody else has waited for it: a library that waits \
         for every child of this program, or SIGCHLD is ignored"
    ))
}

/// What the task and the [`Child`](super::Child) share.
#[derive(Debug)]
pub(super) struct Shared {
    id: u32,
    own_group: bool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How it ended, or the system's error when waiting for it.
    ended: Option<Result<ExitStatus, i32>>,
    /// The `Child` is gone, or wants the process to stop.
    unwanted: bool,
    waiting: Vec<Waker>,
    reaper: Option<Waker>,
}

impl Shared {
    pub(super) fn new(id: u32, own_group: bool) -> Shared {
        Shared { id, own_group, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn id(&self) -> u32 {
        self.id
    }

    pub(super) fn ended(&self) -> Option<io::Result<ExitStatus>> {
        self.lock().ended.map(|ended| ended.map_err(|errno| unknown(self.id, errno)))
    }

    /// Sends a signal unless the process was waited for. Under the lock that the reaper takes to wait for
    /// it, so that the number is still its own.
    pub(super) fn signal(&self, signal: Signal) {
        let state = self.lock();
        if state.ended.is_none() {
            send(self.id, self.own_group, signal);
        }
    }

    pub(super) fn stop(&self) {
        let waker = {
            let mut state = self.lock();
            state.unwanted = true;
            state.reaper.take()
        };
        if let Some(waker) = waker {
            WakeList::wake_one(waker);
        }
    }

    pub(super) fn poll_ended(&self, context: &mut Context<'_>) -> Poll<io::Result<ExitStatus>> {
        let waker = context.waker().clone();
        let mut state = self.lock();
        if let Some(ended) = state.ended {
            return Poll::Ready(ended.map_err(|errno| unknown(self.id, errno)));
        }
        let known = state.waiting.iter().any(|known| known.will_wake(&waker));
        let mut spare = Some(waker);
        if !known {
            state.waiting.extend(spare.take());
        }
        drop(state);
        drop(spare);
        Poll::Pending
    }

    fn publish(&self, ended: io::Result<ExitStatus>) {
        let ended = ended.map_err(|error| error.raw_os_error().unwrap_or(ECHILD));
        let mut wakers = WakeList::new();
        {
            let mut state = self.lock();
            state.ended.get_or_insert(ended);
            wakers.extend(state.waiting.drain(..));
        }
        wakers.wake();
    }

    fn poll_unwanted(&self, context: &mut Context<'_>) -> bool {
        let waker = context.waker().clone();
        let mut state = self.lock();
        let stale = state.reaper.replace(waker);
        let unwanted = state.unwanted;
        drop(state);
        drop(stale);
        unwanted
    }
}

/// Publishes an end in any case, also when the task's future is dropped, or its body unrun.
pub(super) struct Publishes {
    shared: Arc<Shared>,
    process: Option<Running>,
}

impl Publishes {
    pub(super) fn new(shared: &Arc<Shared>, process: Running) -> Publishes {
        Publishes { shared: Arc::clone(shared), process: Some(process) }
    }

    /// Waits for the process if it has ended.
    fn poll(
        &mut self,
        pidfd: &Io<FdSource<OwnedFd>>,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<ExitStatus>> {
        let process = self.process.as_mut().expect("present until it has ended");
        loop {
            let ready = ready!(pidfd.registration().poll_ready(Direction::Read, context));
            // Nobody signals a number that is being given back.
            let mut state = self.shared.lock();
            match process.try_reap() {
                Ok(None) => {
                    drop(state);
                    pidfd.registration().clear_ready(ready);
                }
                Ok(Some(status)) => {
                    state.ended = Some(Ok(status));
                    return Poll::Ready(Ok(status));
                }
                Err(error) => {
                    state.ended = Some(Err(error.raw_os_error().unwrap_or(ECHILD)));
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

impl Drop for Publishes {
    fn drop(&mut self) {
        const ESRCH: i32 = 3;
        {
            // Nobody signals a number that is being given back.
            let _state = self.shared.lock();
            // Kills it and waits, unless that was done.
            drop(self.process.take());
        }
        self.shared.publish(Err(io::Error::from_raw_os_error(ESRCH)));
    }
}

/// What a process that was started owes: somebody who waits for it. Dropping it kills the process.
pub(super) struct Reaper {
    pub(super) process: Publishes,
    pub(super) pidfd: Io<FdSource<OwnedFd>>,
    pub(super) grace: Duration,
    pub(super) site: &'static Location<'static>,
}

impl Reaper {
    /// Waits for the process to end; stops it when cancelled or when it is unwanted.
    pub(super) async fn reap<C: HasProcesses>(self, cx: &Cx<C>) -> Result<(), Cancelled> {
        let Reaper { mut process, pidfd, grace, site } = self;
        let shared = Arc::clone(&process.shared);
        let undisturbed = cx.wait_at("process", site, |context| {
            if let Poll::Ready(ended) = process.poll(&pidfd, context) {
                return Poll::Ready(Some(ended));
            }
            if shared.poll_unwanted(context) { Poll::Ready(None) } else { Poll::Pending }
        });
        let ended = match undisturbed.await {
            Ok(Some(ended)) => ended,
            Ok(None) | Err(_) => cx.masked(stop(cx, &mut process, &pidfd, grace, site)).await,
        };
        shared.publish(ended);
        Ok(())
    }
}

async fn stop<C: HasProcesses>(
    cx: &Cx<C>,
    process: &mut Publishes,
    pidfd: &Io<FdSource<OwnedFd>>,
    grace: Duration,
    site: &'static Location<'static>,
) -> io::Result<ExitStatus> {
    if !grace.is_zero() {
        process.shared.signal(Signal::TERM);
        let mut sleep = pin!(cx.sleep(grace));
        let mut ended = pin!(cx.wait_at("process", site, |context| poll_ended(pidfd, context)));
        let in_time = poll_fn(|context| {
            if let Poll::Ready(ended) = ended.as_mut().poll(context) {
                return Poll::Ready(Some(ended));
            }
            sleep.as_mut().poll(context).map(|_| None)
        });
        if let Some(Err(_)) = in_time.await.transpose()? {
            // Somebody else has waited for it: its number may be another's by now.
            return cx.wait_at("process", site, |context| process.poll(pidfd, context)).await?;
        }
    }
    // If it has ended, what it started and left behind: it was not waited for, so its number is its own.
    process.shared.signal(Signal::KILL);
    cx.wait_at("process", site, |context| process.poll(pidfd, context)).await?
}

/// Whether the process has ended, without waiting for it: its number stays its own.
fn poll_ended(pidfd: &Io<FdSource<OwnedFd>>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    pidfd.poll_io(Direction::Read, context, |FdSource(pidfd)| {
        let ended = waitid(WaitId::PidFd(pidfd.as_fd()), look)?;
        ended.map(drop).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    })
}
