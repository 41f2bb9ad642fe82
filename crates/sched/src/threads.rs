//! Worker threads.

use crate::scheduler::Scheduler;
use crate::worker::Worker;
use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// Threads that run workers until their scheduler is stopped.
pub struct WorkerThreads {
    running: Arc<(Mutex<usize>, Condvar)>,
}

/// Counts a thread out when it ends, by whatever way.
struct Ended(Arc<(Mutex<usize>, Condvar)>);

impl Drop for Ended {
    fn drop(&mut self) {
        *self.0.0.lock() -= 1;
        self.0.1.notify_all();
    }
}

impl WorkerThreads {
    /// Starts a thread for each worker, named `name`, a dash and its number.
    ///
    /// # Errors
    /// When the system refuses a thread; the scheduler is stopped then, and the threads already
    /// started end.
    pub fn start(
        scheduler: &Scheduler,
        workers: Vec<Worker>,
        name: &str,
    ) -> io::Result<WorkerThreads> {
        let running = Arc::new((Mutex::new(0), Condvar::new()));
        for (number, mut worker) in workers.into_iter().enumerate() {
            *running.0.lock() += 1;
            let ended = Ended(running.clone());
            let body = move || {
                worker.run();
                drop(worker);
                drop(ended);
            };
            let thread = thread::Builder::new().name(format!("{name}-{number}")).spawn(body);
            if let Err(error) = thread {
                scheduler.stop();
                return Err(error);
            }
        }
        Ok(WorkerThreads { running })
    }

    /// Waits until all have ended, at most this long; how many have not. To be called after
    /// [`Scheduler::stop`], and not on one of them. What remains is inside a poll that does not return.
    #[must_use = "threads that did not end should be reported"]
    pub fn join(&self, timeout: Duration) -> usize {
        let deadline = Instant::now().checked_add(timeout);
        let (running, ended) = &*self.running;
        let mut running = running.lock();
        while *running > 0 {
            match deadline {
                Some(deadline) if ended.wait_until(&mut running, deadline).timed_out() => break,
                Some(_) => {}
                None => ended.wait(&mut running),
            }
        }
        *running
    }
}

impl fmt::Debug for WorkerThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WorkerThreads").field("running", &*self.running.0.lock()).finish()
    }
}
