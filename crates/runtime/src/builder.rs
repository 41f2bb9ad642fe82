//! How a runtime is put together.

use crate::host::{Observer, ParkedReactor, Production, Services};
use crate::record::{Ended, RecordedHost, RecordedPool, Recorder};
use crate::runtime::{Flavour, Parts, Runtime};
use crate::solo::Solo;
use asupersync_core::{BlockingPool, Event, Host, Policy, RegionOptions, Root, Time};
use asupersync_reactor::{Driver, Taped};
use asupersync_sched::{BlockingConfig, BlockingThreads, Scheduler, WorkerThreads};
use std::any::{Any, TypeId};
use std::fmt;
use std::io;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// Settings of a [`Runtime`].
///
/// ```
/// use asupersync_runtime::RuntimeBuilder;
/// use std::time::Duration;
///
/// let runtime = RuntimeBuilder::multi_thread()
///     .worker_threads(2)
///     .thread_name("echo")
///     .shutdown_grace(Duration::from_millis(500))
///     .build()?;
/// # drop(runtime);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct RuntimeBuilder {
    /// `None`: the flavour that runs on the caller's thread.
    workers: Option<usize>,
    thread_name: String,
    blocking_threads: usize,
    blocking_idle: Duration,
    shutdown_grace: Duration,
    seed: Option<u64>,
    observer: Option<Observer>,
    services: Services,
    record: Option<PathBuf>,
}

impl RuntimeBuilder {
    /// Worker threads of the runtime's own, as many as the machine runs at once.
    pub fn multi_thread() -> RuntimeBuilder {
        let workers = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        RuntimeBuilder {
            workers: Some(workers),
            thread_name: "asupersync".to_owned(),
            blocking_threads: 512,
            blocking_idle: Duration::from_secs(10),
            shutdown_grace: Duration::from_secs(2),
            seed: None,
            observer: None,
            services: Services::default(),
            record: None,
        }
    }

    /// No worker threads: tasks run on the thread that calls [`Runtime::block_on`], while it does.
    pub fn current_thread() -> RuntimeBuilder {
        RuntimeBuilder { workers: None, ..RuntimeBuilder::multi_thread() }
    }

    /// How many worker threads; at least one. Turns a current-thread runtime into a multi-thread one.
    pub fn worker_threads(mut self, workers: usize) -> RuntimeBuilder {
        self.workers = Some(workers.max(1));
        self
    }

    /// What threads are called: workers this name, a dash and a number, blocking threads
    /// `-blocking-` and a number.
    pub fn thread_name(mut self, name: impl Into<String>) -> RuntimeBuilder {
        self.thread_name = name.into();
        self
    }

    /// How many threads `spawn_blocking` may use at once (512); at least one. Closures beyond that wait.
    pub fn blocking_threads(mut self, threads: usize) -> RuntimeBuilder {
        self.blocking_threads = threads.max(1);
        self
    }

    /// How long a blocking thread without work stays (ten seconds).
    pub fn blocking_idle(mut self, timeout: Duration) -> RuntimeBuilder {
        self.blocking_idle = timeout;
        self
    }

    /// How long tasks may clean up when the runtime is dropped (two seconds).
    pub fn shutdown_grace(mut self, grace: Duration) -> RuntimeBuilder {
        self.shutdown_grace = grace;
        self
    }

    /// What all `cx.random_u64()` streams are derived from; drawn from the system's entropy otherwise.
    pub fn seed(mut self, seed: u64) -> RuntimeBuilder {
        self.seed = Some(seed);
        self
    }

    /// Shows every kernel event to a function, called on whatever thread the event happens. It must
    /// not call back into the kernel. Without an observer, events cost a branch each.
    pub fn observer(mut self, observer: Arc<dyn Fn(&Event<'_>) + Send + Sync>) -> RuntimeBuilder {
        self.observer = Some(observer);
        self
    }

    /// Gives programs a driver beside the runtime's own: `cx.service::<T>()` finds it. Another of the same
    /// type takes its place.
    ///
    /// A resolver of names, say: `service(Arc::new(Arc::new(mine) as Arc<dyn Resolve>))`.
    pub fn service<T: Any + Send + Sync>(mut self, service: Arc<T>) -> RuntimeBuilder {
        self.services.insert(TypeId::of::<T>(), service);
        self
    }

    /// Records the program that the runtime's first `block_on` runs into a trace file, which the lab
    /// replays: the order of polls, every reading of the clock, every timer, the random seed, what TCP
    /// streams and listeners answered, byte for byte, and when closures on the blocking pool had ended. For
    /// a current-thread runtime only.
    ///
    /// What cannot be replayed is refused. UDP, Unix sockets, names to resolve, files, signals and children
    /// of the process answer that this host has no such driver (ASY-0004); a thread of the program's own that
    /// wakes a task, or a [`Handle`](crate::Handle) used on another thread, ends the recording with a note of
    /// why, and [`Runtime::recording`] says so. What such a thread leaves in a channel without waking anybody is
    /// not noticed here; the replay misses it, and says where. Closures on the blocking pool run again in the
    /// replay: they should answer the same.
    ///
    /// The file has about 30 bytes a poll beside the bytes that were read, and at most a gigabyte. Whoever may read
    /// it reads the program's traffic. A process that is killed leaves a file without its end.
    pub fn record_to(mut self, path: impl Into<PathBuf>) -> RuntimeBuilder {
        self.record = Some(path.into());
        self
    }

    /// Starts the runtime.
    ///
    /// # Errors
    /// When the system refuses an epoll descriptor, a thread, or entropy, or the file of a recording.
    /// `InvalidInput` for a recording of a multi-thread runtime, or with drivers of the program's own, whose
    /// answers would be missing in it.
    pub fn build(self) -> io::Result<Runtime> {
        if self.record.is_some() && (self.workers.is_some() || !self.services.is_empty()) {
            let what =
                "only a current-thread runtime without drivers of the program's own can record";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, what));
        }
        let (driver, reactor) = Driver::new()?;
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(io::Error::other)?,
        };
        let recorder = match &self.record {
            Some(path) => Some(Arc::new(Recorder::create(path, seed)?)),
            None => None,
        };
        let ended = recorder.clone().map(|recorder| Arc::new(Ended::new(recorder)));
        let park = ParkedReactor { driver, reactor: reactor.clone(), ended: ended.clone() };
        let timers = recorder.clone().map(|recorder| {
            Arc::new(move |at| recorder.timers(at)) as Arc<dyn Fn(Time) + Send + Sync>
        });
        let workers = self.workers.unwrap_or(1);
        let (scheduler, mut workers) = Scheduler::with_observer(workers, Box::new(park), timers);
        let flavour = match self.workers {
            Some(_) => {
                Flavour::Threads(WorkerThreads::start(&scheduler, workers, &self.thread_name)?)
            }
            None => Flavour::Solo(Solo::new(workers.remove(0))),
        };
        let blocking = BlockingThreads::new(BlockingConfig {
            max_threads: self.blocking_threads,
            idle_timeout: self.blocking_idle,
            thread_name: format!("{}-blocking", self.thread_name),
        });
        let pool: Arc<dyn BlockingPool> = match ended {
            Some(ended) => Arc::new(RecordedPool::new(blocking.clone(), ended, reactor.clone())),
            None => Arc::new(blocking.clone()),
        };
        let production = Production {
            scheduler: scheduler.clone(),
            seed,
            reactor: Arc::new(reactor.clone()),
            blocking: Arc::new(pool),
            observer: self.observer,
            services: self.services,
        };
        let host: Arc<dyn Host> = match &recorder {
            Some(recorder) => Arc::new(RecordedHost {
                production,
                recorder: Arc::clone(recorder),
                taped: Arc::new(Taped::recording(recorder.clone(), reactor)),
            }),
            None => Arc::new(production),
        };
        // Tasks spawned through a handle are strangers to each other: none's failure stops the others.
        let options = RegionOptions::new().name("runtime").policy(Policy::CollectAll);
        let root = Root::new(host, options).forgets_failures();
        let parts = Parts { root, scheduler, flavour, blocking, recorder };
        Ok(Runtime::new(parts, self.shutdown_grace))
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RuntimeBuilder")
            .field("workers", &self.workers)
            .field("thread_name", &self.thread_name)
            .field("blocking_threads", &self.blocking_threads)
            .field("shutdown_grace", &self.shutdown_grace)
            .field("seed", &self.seed)
            .field("observed", &self.observer.is_some())
            .field("services", &self.services.len())
            .field("record", &self.record)
            .finish_non_exhaustive()
    }
}
