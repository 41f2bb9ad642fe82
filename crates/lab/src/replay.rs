//! Replaying what the production runtime recorded.
//!
//! The recording is the script: the next poll, reading of the clock, timer, answer of a socket or end of a
//! closure is the one that it names. Everything else happens by itself, and each event is compared with the
//! recorded one as it is written, byte by byte: the first that differs ends the replay.

use crate::host::LabHost;
use crate::report::LabReport;
use crate::runtime::LabRuntime;
use crate::{Fifo, LabConfig};
use asupersync_core::{
    self as kernel, BlockingJob, BlockingPool, ClaimedJob, Cx, TaskBody, TaskId, Time, cap,
};
use asupersync_reactor::{Call, Direction, Tape, Taped};
use asupersync_trace::{
    Difference, Event, EventLog, Limits, RECORDED, Trace, TraceError, Writer, first_difference,
};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::{Arc, Weak};

/// A run of the production runtime, as `RuntimeBuilder::record_to` wrote it.
///
/// ```no_run
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::Recorded;
///
/// async fn serve(cx: &Cx) -> Result<(), Error> {
///     // the program that was recorded
/// #   cx.checkpoint()?;
///     Ok(())
/// }
///
/// let report = Recorded::read("serve.trace")?.replay(serve)?;
/// println!("{report}");
/// # Ok::<(), asupersync_lab::ReplayError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Recorded {
    script: Arc<Script>,
}

#[derive(Debug)]
struct Script {
    bytes: Vec<u8>,
    trace: Trace,
}

impl Recorded {
    /// Reads a recording's file.
    ///
    /// # Errors
    /// [`ReplayError`] says what is wrong with it.
    pub fn read(path: impl AsRef<Path>) -> Result<Recorded, ReplayError> {
        let most = Limits::default().file_bytes as u64;
        let mut bytes = Vec::new();
        File::open(path.as_ref())
            .and_then(|file| file.take(most + 1).read_to_end(&mut bytes))
            .map_err(ReplayError::File)?;
        Recorded::parse(bytes)
    }

    /// A recording's bytes.
    ///
    /// # Errors
    /// [`ReplayError`] says what is wrong with them.
    pub fn parse(bytes: Vec<u8>) -> Result<Recorded, ReplayError> {
        let trace = Trace::parse(&bytes, &Limits::default()).map_err(ReplayError::Trace)?;
        if trace.header().options.iter().all(|(name, _)| name != RECORDED) {
            return Err(ReplayError::NotRecorded);
        }
        Ok(Recorded { script: Arc::new(Script { bytes, trace }) })
    }

    /// What was recorded.
    #[must_use]
    pub fn trace(&self) -> &Trace {
        &self.script.trace
    }

    /// Runs the program again, on the calling thread and without the machine, and demands that it does what it
    /// did. The report has the oracles' verdicts, and a trace that is the recording, byte for byte.
    ///
    /// The body must be the one that `block_on` was given. Time is what the recorded clock said; closures on
    /// the blocking pool run again, where the recording has their ends.
    ///
    /// # Errors
    /// [`ReplayError::Diverged`] names the first event that is not the recorded one, [`ReplayError::Stopped`]
    /// says why the recording ends before its run; until there the run is the same.
    pub fn replay<F, T, E>(&self, body: F) -> Result<LabReport<T, E>, ReplayError>
    where
        F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, E>,
        F: for<'a> TaskBody<'a, cap::All, T, E> + Send + 'static,
        T: Send + 'static,
        E: Send + 'static,
    {
        let seed = self.script.trace.header().seed;
        let lab = LabRuntime::with_strategy(LabConfig::default().seed(seed), Fifo);
        let (mut report, end) = lab.run_recorded(self, body);
        match end {
            Followed::Whole => Ok(report),
            Followed::Stopped { why } => Err(ReplayError::Stopped { why }),
            Followed::Lost => {
                let replayed = report.trace.take().map(EventLog::into_bytes);
                Err(self.difference(&replayed.unwrap_or_default()))
            }
        }
    }

    fn difference(&self, replayed: &[u8]) -> ReplayError {
        let recorded = &self.script.trace;
        let found = Trace::parse(replayed, &Limits::default())
            .ok()
            .and_then(|replayed| first_difference(recorded, &replayed));
        let (mut event, mut left, right) = match found {
            Some(Difference::Event { index, left, right }) => (index, left, right),
            // Every event is there, and the program has not come to its end.
            _ => (recorded.events().len(), None, None),
        };
        // The reading of the clock that comes with a poll says less than the poll.
        let polled = recorded.events().get(event + 1);
        if let (None, Some(poll @ Event::PollBegin { .. })) = (&right, polled) {
            event += 1;
            left = Some(recorded.line(poll).to_string());
        }
        ReplayError::Diverged { event, recorded: left, replayed: right }
    }
}

/// Why a recording could not be replayed to its end.
#[derive(Debug)]
#[non_exhaustive]
pub enum ReplayError {
    /// The file cannot be read.
    File(io::Error),
    /// The bytes are not a trace, or damaged.
    Trace(TraceError),
    /// The trace is of a lab run.
    NotRecorded,
    /// The run is not the recorded one.
    Diverged {
        /// The position of the first event that differs, counted from 0.
        event: usize,
        /// What was recorded there; none where the recording has ended.
        recorded: Option<String>,
        /// What happened instead; none where nothing did: a task that was polled cannot run, say.
        replayed: Option<String>,
    },
    /// The recording ends before its run.
    Stopped {
        /// What could not be recorded.
        why: String,
    },
}

impl ReplayError {
    /// The code under which `asupersync explain` knows it.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            ReplayError::Diverged { .. } => "ASY-0601",
            ReplayError::Stopped { .. } => "ASY-0602",
            ReplayError::File(_) | ReplayError::NotRecorded => "ASY-0603",
            ReplayError::Trace(error) => error.code(),
        }
    }
}

impl fmt::Display for ReplayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ReplayError::Trace(error) = self {
            return error.fmt(f);
        }
        write!(f, "{}: ", self.code())?;
        match self {
            ReplayError::File(error) => write!(f, "the recording cannot be read: {error}"),
            ReplayError::NotRecorded => f.write_str(
                "this is the trace of a lab run, not a recording of a production run; replay it with \
                 ASUPERSYNC_LAB_REPLAY",
            ),
            ReplayError::Diverged { event, recorded, replayed } => write!(
                f,
                "the replay is not the recorded run from event {event} on:\n  recorded: {}\n  replayed: \
                 {}\nThe program has changed, or depends on something that does not come through its \
                 context (a clock, a thread, a static, a randomly seeded map, a file)",
                recorded.as_deref().unwrap_or("(has ended)"),
                replayed.as_deref().unwrap_or("(nothing)"),
            ),
            ReplayError::Stopped { why } => {
                write!(f, "the recording ends before its run: {why}; until there the replay is the same")
            }
            ReplayError::Trace(_) => unreachable!("told above"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl From<ReplayError> for asupersync_core::Error {
    fn from(error: ReplayError) -> asupersync_core::Error {
        asupersync_core::Error::new(asupersync_core::ErrorKind::Other, error.to_string())
    }
}

/// How far the recording was followed.
pub(crate) enum Followed {
    Whole,
    Stopped { why: String },
    Lost,
}

/// What a host may do next, by the recording.
pub(crate) enum Next {
    Poll(TaskId),
    Timers(Time),
    Ready(u32, Direction),
    Blocking(u32),
    Over(Followed),
}

/// The recording, and how much of it the run has come to.
pub(crate) struct Playback {
    script: Arc<Script>,
    /// Writes what the run does.
    writer: Writer,
    /// Bytes that were compared.
    compared: usize,
    lost: bool,
    clock: Time,
}

impl Playback {
    pub(crate) fn begin(recorded: &Recorded) -> Playback {
        let script = Arc::clone(&recorded.script);
        let writer = Writer::new(script.trace.header().clone());
        let compared = writer.written().len();
        Playback { script, writer, compared, lost: false, clock: Time::ZERO }
    }

    fn recorded(&self, ahead: u64) -> Option<Event> {
        let index = usize::try_from(self.writer.events() + ahead).ok()?;
        self.script.trace.events().get(index).copied()
    }

    /// One of the kernel's events has happened.
    pub(crate) fn kernel(&mut self, event: &kernel::Event<'_>) {
        self.writer.kernel(event);
        self.compare();
    }

    /// One of the host's own events has happened, that the recording has too.
    pub(crate) fn host(&mut self, event: &Event) {
        self.writer.host(event);
        self.compare();
    }

    /// The host did something that no recording has.
    pub(crate) fn beside(&mut self, event: &Event) {
        self.writer.host(event);
    }

    /// Whether the event that was written last is the recorded one.
    fn compare(&mut self) {
        let written = self.writer.written();
        let expected = self.script.bytes.get(self.compared..written.len());
        self.lost |= expected != Some(&written[self.compared..]);
        self.compared = written.len();
    }

    pub(crate) fn lose(&mut self) {
        self.lost = true;
    }

    pub(crate) fn next(&self) -> Next {
        let lost = Next::Over(Followed::Lost);
        match self.recorded(0) {
            _ if self.lost => lost,
            None => Next::Over(Followed::Whole),
            Some(Event::ClockRead { .. }) => match self.recorded(1) {
                Some(Event::PollBegin { task, .. }) => Next::Poll(task),
                _ => lost,
            },
            Some(Event::TimersDue { at }) => Next::Timers(at),
            Some(Event::SourceReady { source, write }) => {
                Next::Ready(source, if write { Direction::Write } else { Direction::Read })
            }
            Some(Event::BlockingEnded { job }) => Next::Blocking(job),
            Some(Event::RecordingStopped { why }) => {
                let why = self.script.trace.tables().text(why).to_owned();
                Next::Over(Followed::Stopped { why })
            }
            Some(_) => lost,
        }
    }

    /// What the clock says.
    pub(crate) fn clock(&mut self) -> Time {
        if let Some(Event::ClockRead { at }) = self.recorded(0) {
            self.clock = at;
        }
        if !self.lost {
            self.host(&Event::ClockRead { at: self.clock });
        }
        self.clock
    }

    /// What the machine answered to this call.
    pub(crate) fn call(&mut self, call: Call) -> Option<Vec<u8>> {
        if self.lost {
            return None;
        }
        let answer = match self.recorded(0) {
            Some(Event::Called { answer, .. }) => self.script.trace.tables().blob(answer).to_vec(),
            _ => Vec::new(),
        };
        self.writer.called(call.label, call.source, call.input, &answer);
        self.compare();
        (!self.lost).then_some(answer)
    }

    /// What the run did.
    pub(crate) fn finish(self) -> EventLog {
        self.writer.into()
    }
}

/// The drivers of a replay.
pub(crate) struct Drivers {
    pub(crate) taped: Arc<Taped>,
    pub(crate) pool: Arc<PlaybackPool>,
}

impl Drivers {
    pub(crate) fn new(host: &Weak<LabHost>) -> Drivers {
        let taped = Arc::new(Taped::replaying(Arc::new(HostTape(Weak::clone(host)))));
        Drivers { taped, pool: Arc::default() }
    }
}

struct HostTape(Weak<LabHost>);

impl Tape for HostTape {
    fn call(&self, call: Call, _: &mut dyn FnMut() -> Vec<u8>) -> Option<Vec<u8>> {
        self.0.upgrade()?.with_record(|record| record.played_call(call))?
    }

    fn ready(&self, source: u32, direction: Direction) {
        if let Some(host) = self.0.upgrade() {
            let write = direction == Direction::Write;
            host.with_record(|record| record.played(&Event::SourceReady { source, write }));
        }
    }
}

/// Keeps closures until the moment in which their recorded runs had ended.
#[derive(Default)]
pub(crate) struct PlaybackPool {
    jobs: Mutex<Jobs>,
}

#[derive(Default)]
struct Jobs {
    submitted: u32,
    waiting: BTreeMap<u32, ClaimedJob>,
}

impl PlaybackPool {
    /// Runs the closure submitted as the `number`-th; false if there is none.
    pub(crate) fn end(&self, number: u32, host: &LabHost) -> bool {
        let job = self.jobs.lock().waiting.remove(&number);
        let Some(job) = job else { return false };
        let ended = job.run();
        host.with_record(|record| record.played(&Event::BlockingEnded { job: number }));
        ended.publish();
        true
    }
}

impl BlockingPool for PlaybackPool {
    fn submit(&self, job: BlockingJob) {
        let job = job.claim();
        let mut jobs = self.jobs.lock();
        let number = jobs.submitted;
        jobs.submitted += 1;
        jobs.waiting.insert(number, job);
    }
}
