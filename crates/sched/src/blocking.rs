//! Threads for closures that block.

use asupersync_core::{BlockingJob, BlockingPool};
use parking_lot::{Condvar, Mutex};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How a [`BlockingThreads`] grows and shrinks.
#[derive(Clone, Debug)]
pub struct BlockingConfig {
    /// No more threads than this; at least one.
    pub max_threads: usize,
    /// A thread without work for this long ends.
    pub idle_timeout: Duration,
    /// Threads are named this, a dash, and a number.
    pub thread_name: String,
}

/// A pool of threads that grows with its load up to a maximum, and shrinks when idle.
///
/// Jobs start in the order of their submission. A clone is another handle to the same pool.
#[derive(Clone)]
pub struct BlockingThreads {
    shared: Arc<Shared>,
}

struct Shared {
    config: BlockingConfig,
    state: Mutex<State>,
    work: Condvar,
    ended: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<BlockingJob>,
    threads: usize,
    idle: usize,
    /// Wake-ups on their way to idle threads, so that each is counted once.
    called: usize,
    started: usize,
    closed: bool,
}

impl BlockingThreads {
    /// A pool with no thread yet.
    #[must_use]
    pub fn new(config: BlockingConfig) -> BlockingThreads {
        let (work, ended) = (Condvar::new(), Condvar::new());
        let shared = Shared { config, state: Mutex::default(), work, ended };
        BlockingThreads { shared: Arc::new(shared) }
    }

    /// Refuses new jobs, lets the queued ones run, and waits up to `timeout` for all threads to end.
    /// Answers how many have not: each is inside a job that does not return.
    #[must_use = "threads that did not end should be reported"]
    pub fn shutdown(&self, timeout: Duration) -> usize {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.work.notify_all();
        while state.threads > 0 {
            let timed_out = match deadline {
                Some(deadline) => self.shared.ended.wait_until(&mut state, deadline).timed_out(),
                None => {
                    self.shared.ended.wait(&mut state);
                    false
                }
            };
            if timed_out {
                break;
            }
        }
        state.threads
    }
}

impl BlockingPool for BlockingThreads {
    fn submit(&self, job: BlockingJob) {
        let mut state = self.shared.state.lock();
        if state.closed {
            drop(state);
            drop(job);
            return;
        }
        state.queue.push_back(job);
        if state.idle > state.called {
            state.called += 1;
            drop(state);
            self.shared.work.notify_one();
        } else if state.threads < self.shared.config.max_threads.max(1) {
            state.threads += 1;
            state.started += 1;
            let number = state.started;
            drop(state);
            self.start(number);
        }
    }
}

impl BlockingThreads {
    fn start(&self, number: usize) {
        let shared = self.shared.clone();
        let name = format!("{}-{number}", self.shared.config.thread_name);
        if thread::Builder::new().name(name).spawn(move || shared.work()).is_ok() {
            return;
        }
        // The system gives no more threads. Those there are serve the queue; without any, the jobs
        // are dropped, which tells their tasks.
        let mut state = self.shared.state.lock();
        state.threads -= 1;
        let stranded =
            if state.threads == 0 { std::mem::take(&mut state.queue) } else { VecDeque::new() };
        drop(state);
        drop(stranded);
    }
}

impl Shared {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job.run();
                state = self.state.lock();
                continue;
            }
            if state.closed {
                break;
            }
            state.idle += 1;
            let timed_out = self.work.wait_for(&mut state, self.config.idle_timeout).timed_out();
            state.idle -= 1;
            // Whoever wakes takes a call for itself, whichever thread it was meant for: each call
            // stands for one queued job, and one thread comes out of the wait for it.
            let called = state.called > 0;
            if called {
                state.called -= 1;
            } else if timed_out && state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
        let last = state.threads == 0;
        drop(state);
        if last {
            self.ended.notify_all();
        }
    }
}

impl fmt::Debug for BlockingThreads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("BlockingThreads")
            .field("threads", &state.threads)
            .field("idle", &state.idle)
            .field("queued", &state.queue.len())
            .finish()
    }
}
