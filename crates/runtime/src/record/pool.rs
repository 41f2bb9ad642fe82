//! Blocking closures of a recorded run: they run on threads as ever, and their tasks learn of it between
//! two polls, where it is noted.

use super::Recorder;
use asupersync_core::{BlockingJob, BlockingPool, EndedJob, WakeList};
use asupersync_reactor::Reactor;
use asupersync_sched::BlockingThreads;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Wake, Waker};

pub(crate) struct RecordedPool {
    pub(crate) threads: BlockingThreads,
    pub(crate) ended: Arc<Ended>,
    pub(crate) reactor: Reactor,
    submitted: AtomicU32,
}

impl RecordedPool {
    pub(crate) fn new(
        threads: BlockingThreads,
        ended: Arc<Ended>,
        reactor: Reactor,
    ) -> RecordedPool {
        RecordedPool { threads, ended, reactor, submitted: AtomicU32::new(0) }
    }
}

impl BlockingPool for RecordedPool {
    fn submit(&self, job: BlockingJob) {
        let number = self.submitted.fetch_add(1, Ordering::Relaxed);
        // Or else whether a cancellation takes it back would depend on the thread that comes for it.
        let job = job.claim();
        let (ended, reactor) = (Arc::clone(&self.ended), self.reactor.clone());
        self.threads.submit(BlockingJob::new(move || {
            let job = job.run();
            ended.jobs.lock().push((number, job));
            reactor.unpark();
        }));
    }
}

/// Closures that have ended, and whose tasks do not know yet.
pub(crate) struct Ended {
    jobs: Mutex<Vec<(u32, EndedJob)>>,
    recorder: Arc<Recorder>,
}

impl Ended {
    pub(crate) fn new(recorder: Arc<Recorder>) -> Ended {
        Ended { jobs: Mutex::default(), recorder }
    }

    /// Lets them be told with the reactor's next wakes.
    pub(crate) fn collect(&self, wakers: &mut WakeList) {
        let jobs = std::mem::take(&mut *self.jobs.lock());
        wakers.extend(jobs.into_iter().map(|(number, job)| {
            let recorder = Arc::clone(&self.recorder);
            Waker::from(Arc::new(Tell { number, job: Mutex::new(Some(job)), recorder }))
        }));
    }
}

/// Notes the end of a closure and tells its task.
struct Tell {
    number: u32,
    job: Mutex<Option<EndedJob>>,
    recorder: Arc<Recorder>,
}

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        let job = self.job.lock().take();
        if let Some(job) = job {
            self.recorder.blocking(self.number);
            job.publish();
        }
    }
}
