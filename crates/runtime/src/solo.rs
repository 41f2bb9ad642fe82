//! The worker of the current-thread flavour, and who may run it.

use asupersync_sched::Worker;
use parking_lot::Mutex;
use std::fmt;
use std::thread::{self, Thread};

/// One worker, run by one waiting thread at a time.
pub(crate) struct Solo {
    state: Mutex<State>,
}

struct State {
    worker: Option<Worker>,
    /// Threads that wait while another one runs the worker.
    waiting: Vec<Thread>,
}

/// The worker, given back when dropped.
pub(crate) struct Taken<'a> {
    solo: &'a Solo,
    worker: Option<Worker>,
}

impl Solo {
    pub(crate) fn new(worker: Worker) -> Solo {
        Solo { state: Mutex::new(State { worker: Some(worker), waiting: Vec::new() }) }
    }

    /// The worker if nobody runs it. Otherwise the calling thread is unparked when it comes free.
    pub(crate) fn take(&self) -> Option<Taken<'_>> {
        let mut state = self.state.lock();
        let worker = state.worker.take();
        if worker.is_none() {
            let me = thread::current();
            if state.waiting.iter().all(|thread| thread.id() != me.id()) {
                state.waiting.push(me);
            }
            return None;
        }
        Some(Taken { solo: self, worker })
    }
}

impl Taken<'_> {
    pub(crate) fn run_until(&mut self, done: impl FnMut() -> bool) {
        if let Some(worker) = &mut self.worker {
            worker.run_until(done);
        }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        let mut state = self.solo.state.lock();
        state.worker = self.worker.take();
        let waiting = std::mem::take(&mut state.waiting);
        drop(state);
        for thread in waiting {
            thread.unpark();
        }
    }
}

impl fmt::Debug for Solo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Solo").field("running", &self.state.lock().worker.is_none()).finish()
    }
}
