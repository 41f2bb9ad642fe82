//! The runtime, and how a thread outside of it waits for what is inside.

use crate::builder::RuntimeBuilder;
use crate::error::RecordError;
use crate::handle::Handle;
use crate::record::Recorder;
use crate::shutdown::{self, ShutdownReport};
use crate::solo::Solo;
use asupersync_core::{
    Cx, Error, ErrorKind, Outcome, RegionOptions, RegionReport, RegionSnapshot, Root, TaskBody,
    TaskOptions, Time, cap,
};
use asupersync_sched::{BlockingThreads, Scheduler, WorkerThreads, on_worker_thread};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::Duration;

/// The production host: worker threads, reactor, timers, blocking pool, and the root of a region tree.
///
/// Dropping it shuts it down with the builder's grace; see [`shutdown`](Runtime::shutdown).
pub struct Runtime {
    /// Taken by the shutdown.
    parts: Option<Parts>,
    grace: Duration,
}

/// Everything a runtime consists of.
pub(crate) struct Parts {
    pub(crate) root: Root,
    pub(crate) scheduler: Scheduler,
    pub(crate) flavour: Flavour,
    pub(crate) blocking: BlockingThreads,
    /// Of a runtime that records.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

/// Who runs the workers.
#[derive(Debug)]
pub(crate) enum Flavour {
    /// Threads of their own.
    Threads(WorkerThreads),
    /// Whoever waits.
    Solo(Solo),
}

impl Runtime {
    pub(crate) fn new(parts: Parts, grace: Duration) -> Runtime {
        Runtime { parts: Some(parts), grace }
    }

    /// A multi-thread runtime with the usual settings.
    ///
    /// # Errors
    /// Those of [`RuntimeBuilder::build`].
    pub fn multi_thread() -> io::Result<Runtime> {
        RuntimeBuilder::multi_thread().build()
    }

    /// A runtime that runs on the thread that waits for it.
    ///
    /// # Errors
    /// Those of [`RuntimeBuilder::build`].
    pub fn current_thread() -> io::Result<Runtime> {
        RuntimeBuilder::current_thread().build()
    }

    /// Runs a body as a task in a region of its own, and returns its outcome when that region is
    /// quiescent: everything the body spawned has ended, whatever the outcome is.
    ///
    /// Inside a task there is nothing to wait with: the answer is the error `ASY-0005` at once, and the
    /// body is dropped.
    ///
    /// ```
    /// use asupersync_core::{Cx, Error};
    /// use asupersync_runtime::Runtime;
    ///
    /// let runtime = Runtime::current_thread()?;
    /// let outcome = runtime.block_on(async |cx: &Cx| {
    ///     cx.yield_now().await?;
    ///     Ok::<_, Error>(7)
    /// });
    /// assert_eq!(outcome.ok(), Some(7));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    #[track_caller]
    pub fn block_on<F, T, E>(&self, body: F) -> Outcome<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
    {
        match self.block_on_reported(RegionOptions::new().name("main"), body) {
            Ok((outcome, _)) => outcome,
            Err(nested) => Outcome::Err(E::from(nested)),
        }
    }

    /// [`block_on`](Runtime::block_on) with options for the region, and its books beside the outcome.
    ///
    /// # Errors
    /// `ASY-0005` when called inside a task; `ASY-0602` in a runtime that records, the second time.
    #[track_caller]
    pub fn block_on_reported<F, T, E>(
        &self,
        options: RegionOptions,
        body: F,
    ) -> Result<(Outcome<T, E>, RegionReport), Error>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
    {
        if on_worker_thread() {
            let what = "block_on was called inside a task, whose thread cannot wait";
            return Err(Error::new(ErrorKind::NestedBlockOn, what));
        }
        let parts = self.parts();
        let (recording, region, mut main);
        if let Some(recorder) = &parts.recorder {
            let used = |error: RecordError| Error::new(ErrorKind::InvalidInput, error.to_string());
            recording = Some(recorder.begin().map_err(used)?);
            (region, main) = parts.root.program(options, body);
        } else {
            recording = None;
            region = parts.root.child(options);
            main = region.spawn_with(TaskOptions::new().name("main"), body);
            region.begin_close();
        }
        let report = parts.wait(None, |context| region.poll_closed(context));
        let report = report.expect("a wait without deadline ends with its event");
        drop(recording);
        match main.poll_join(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(Ok(outcome)) => Ok((outcome, report)),
            Poll::Ready(Err(error)) => unreachable!("only this call joins the body: {error}"),
            Poll::Pending => unreachable!("a closed region has no live task"),
        }
    }

    /// How the recording of [`RuntimeBuilder::record_to`] ended: its file, or why it is not whole. None in a
    /// runtime that does not record, and before the recorded program's end.
    #[must_use]
    pub fn recording(&self) -> Option<Result<PathBuf, RecordError>> {
        self.parts().recorder.as_ref()?.result()
    }

    /// A handle for spawning from outside and asking for the shutdown.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle::new(self.parts().root.clone())
    }

    /// The region tree as it stands.
    #[must_use]
    pub fn snapshot(&self) -> RegionSnapshot {
        self.parts().root.snapshot()
    }

    /// Ends the runtime by the cancel protocol: nothing new is admitted, everything is cancelled with
    /// `Shutdown`, tasks clean up and finalizers run within `grace`. What is left then is dropped at its
    /// next poll, and named in the report. Threads inside a poll or closure that does not return are left
    /// behind, and counted.
    ///
    /// Called (or dropped) on a thread that runs tasks, it cannot wait: a thread of its own carries the
    /// shutdown through, and the report is empty but for [`ShutdownReport::detached`].
    pub fn shutdown(mut self, grace: Duration) -> ShutdownReport {
        match self.parts.take() {
            Some(parts) => shutdown::run(parts, grace),
            None => unreachable!("a runtime is shut down once"),
        }
    }

    fn parts(&self) -> &Parts {
        self.parts.as_ref().expect("present until shut down")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            let report = shutdown::run(parts, self.grace);
            if !report.is_clean() {
                // Nobody is left to be handed the report, and work was lost.
                eprintln!("{report}");
            }
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Runtime").field("flavour", &self.parts().flavour).finish_non_exhaustive()
    }
}

/// Wakes a thread that waits outside of the runtime.
struct Signal {
    woken: AtomicBool,
    thread: Thread,
    /// The thread may be running the one worker.
    solo: Option<Scheduler>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Release: what was done before the wake is seen by the poll that follows it.
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
        if let Some(scheduler) = &self.solo {
            scheduler.unpark(0);
        }
    }
}

impl Parts {
    /// Waits on the calling thread, which runs the worker meanwhile if there is but one and it is free.
    /// `None` when `deadline` passed first.
    pub(crate) fn wait<R>(
        &self,
        deadline: Option<Time>,
        mut poll: impl FnMut(&mut Context<'_>) -> Poll<R>,
    ) -> Option<R> {
        let solo = match &self.flavour {
            Flavour::Threads(_) => None,
            Flavour::Solo(solo) => Some(solo),
        };
        let signal = Arc::new(Signal {
            woken: AtomicBool::new(false),
            thread: thread::current(),
            solo: solo.map(|_| self.scheduler.clone()),
        });
        let waker = Waker::from(signal.clone());
        let timer = deadline.map(|deadline| self.scheduler.arm_timer(deadline, waker.clone()));
        let is_late = || deadline.is_some_and(|deadline| self.scheduler.now() >= deadline);
        let result = loop {
            // Before the poll: a wake that comes during it counts.
            signal.woken.store(false, Ordering::Relaxed);
            if let Poll::Ready(result) = poll(&mut Context::from_waker(&waker)) {
                break Some(result);
            }
            if is_late() {
                break None;
            }
            let mut taken = solo.and_then(Solo::take);
            if let Some(taken) = &mut taken {
                taken.run_until(|| signal.woken.load(Ordering::Acquire));
                continue;
            }
            while !signal.woken.load(Ordering::Acquire) && !is_late() {
                match deadline {
                    Some(deadline) => {
                        thread::park_timeout(deadline.saturating_since(self.scheduler.now()));
                    }
                    None => thread::park(),
                }
                if solo.is_some() {
                    // Perhaps for the worker, which has come free.
                    break;
                }
            }
        };
        if let Some(timer) = timer {
            self.scheduler.disarm_timer(timer);
        }
        result
    }
}
