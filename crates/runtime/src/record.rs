//! A recorded run: what the program learns from the machine, and when, goes into a trace file.
//!
//! All that a program on one thread learns comes by a few doors: which task is polled next, which timers
//! fire, what the clock says, what a socket answers and when it is ready, when a blocking closure has ended.
//! Each goes into the trace, between the kernel's own events, where it happened; the rest of the run
//! follows. What would come by another door (another thread that wakes a task) cannot be replayed, and
//! ends the recording with a note that says so.

mod host;
mod pool;

use crate::error::RecordError;
use asupersync_core::{Event, Time};
use asupersync_reactor::{Call, Direction, Tape};
use asupersync_trace::{self as trace, Header, Limits, Writer};
pub(crate) use host::RecordedHost;
use parking_lot::Mutex;
pub(crate) use pool::{Ended, RecordedPool};
use std::cell::Cell;
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Bytes that are collected before they go to the file.
const CHUNK: usize = 1 << 16;
/// Bytes by which a file may be longer than it was at the last look: a chunk, and an event with the longest answer.
const ROOM: usize = 1 << 25;

thread_local! {
    /// The recorder of the run that this thread drives, by address.
    static DRIVEN: Cell<usize> = const { Cell::new(0) };
}

/// Writes one run.
pub(crate) struct Recorder {
    state: Mutex<State>,
}

struct State {
    path: PathBuf,
    file: File,
    written: u64,
    /// What a reader takes.
    limits: Limits,
    phase: Phase,
}

enum Phase {
    /// No program runs yet. What was done before it, a replay would miss.
    Waiting {
        seed: u64,
        spoiled: bool,
    },
    Running(Box<Writer>),
    Over(Result<(), RecordError>),
}

impl Recorder {
    pub(crate) fn create(path: &Path, seed: u64) -> io::Result<Recorder> {
        Recorder::within(path, seed, Limits::default())
    }

    fn within(path: &Path, seed: u64, limits: Limits) -> io::Result<Recorder> {
        let failed = |error: io::Error| {
            let what = format!("cannot write the recording {}: {error}", path.display());
            io::Error::new(error.kind(), what)
        };
        let file = File::create(path).map_err(failed)?;
        let state = State {
            path: path.to_owned(),
            file,
            written: 0,
            limits,
            phase: Phase::Waiting { seed, spoiled: false },
        };
        Ok(Recorder { state: Mutex::new(state) })
    }

    /// The calling thread begins to drive the one program that is recorded.
    pub(crate) fn begin(&self) -> Result<Driving<'_>, RecordError> {
        let mut state = self.state.lock();
        let Phase::Waiting { seed, spoiled } = state.phase else { return Err(RecordError::Used) };
        let header = Header::new(seed).with_option(trace::RECORDED, "current-thread");
        state.phase = Phase::Running(Box::new(Writer::new(header)));
        if spoiled {
            state.stop("a task was spawned through a handle before the recorded program began");
        }
        drop(state);
        DRIVEN.set(self.address());
        Ok(Driving { recorder: self })
    }

    /// How the recording ended; none while it goes on.
    pub(crate) fn result(&self) -> Option<Result<PathBuf, RecordError>> {
        let state = self.state.lock();
        match &state.phase {
            Phase::Over(result) => Some(result.clone().map(|()| state.path.clone())),
            Phase::Waiting { .. } | Phase::Running(_) => None,
        }
    }

    fn address(&self) -> usize {
        std::ptr::from_ref(self).addr()
    }

    fn is_driven_here(&self) -> bool {
        DRIVEN.try_with(|driven| driven.get() == self.address()).unwrap_or(false)
    }

    fn note(&self, write: impl FnOnce(&mut Writer)) {
        let mut state = self.state.lock();
        let State { limits, phase: Phase::Running(writer), .. } = &mut *state else { return };
        write(writer);
        let full = writer.is_full(limits);
        if writer.written().len() >= CHUNK {
            state.spill();
        }
        if full || state.written >= state.limits.file_bytes.saturating_sub(ROOM) as u64 {
            state.stop("it has grown to the length that a reader takes");
        }
    }

    /// Notes a kernel event.
    pub(crate) fn kernel(&self, event: &Event<'_>) {
        if self.is_driven_here() {
            self.note(|writer| writer.kernel(event));
            return;
        }
        let mut state = self.state.lock();
        match &mut state.phase {
            Phase::Waiting { spoiled, .. } => {
                *spoiled |= matches!(event, Event::TaskSpawned { .. });
            }
            _ => state.stop("a thread outside of the runtime touched a task, region or primitive"),
        }
    }

    /// Notes what the clock says to the program.
    pub(crate) fn clock(&self, at: Time) {
        // Others may look at the clock: nobody learns of it.
        if self.is_driven_here() {
            self.note(|writer| writer.host(&trace::Event::ClockRead { at }));
        }
    }

    /// Notes that timers fire.
    pub(crate) fn timers(&self, at: Time) {
        self.note(|writer| writer.host(&trace::Event::TimersDue { at }));
    }

    /// Notes the end of a closure.
    fn blocking(&self, job: u32) {
        self.note(|writer| writer.host(&trace::Event::BlockingEnded { job }));
    }
}

impl Tape for Recorder {
    fn call(&self, call: Call, perform: &mut dyn FnMut() -> Vec<u8>) -> Option<Vec<u8>> {
        let answer = perform();
        let is_too_long = answer.len() > self.state.lock().limits.blob_bytes;
        if is_too_long {
            self.state.lock().stop("the machine answered with more bytes than a reader takes");
        } else if self.is_driven_here() {
            let Call { label, source, input } = call;
            self.note(|writer| writer.called(label, source, input, &answer));
        } else {
            self.state.lock().stop("a thread outside of the runtime used a stream or listener");
        }
        Some(answer)
    }

    fn ready(&self, source: u32, direction: Direction) {
        let write = direction == Direction::Write;
        self.note(|writer| writer.host(&trace::Event::SourceReady { source, write }));
    }
}

impl State {
    fn spill(&mut self) {
        let Phase::Running(writer) = &mut self.phase else { return };
        let bytes = writer.hand_out();
        self.written += bytes.len() as u64;
        if let Err(error) = self.file.write_all(&bytes) {
            self.phase = Phase::Over(Err(RecordError::file(&self.path, &error)));
        }
    }

    fn stop(&mut self, why: &str) {
        if let Phase::Running(writer) = &mut self.phase {
            writer.stopped(why);
            self.end(Err(RecordError::Stopped { why: why.to_owned() }));
        }
    }

    fn end(&mut self, result: Result<(), RecordError>) {
        let Phase::Running(writer) = &mut self.phase else { return };
        let written = self.file.write_all(&writer.finish()).and_then(|()| self.file.sync_all());
        let written = written.map_err(|error| RecordError::file(&self.path, &error));
        self.phase = Phase::Over(written.and(result));
    }
}

/// The thread drives the recorded program; ends the recording when dropped.
pub(crate) struct Driving<'a> {
    recorder: &'a Recorder,
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        self.recorder.state.lock().end(Ok(()));
        DRIVEN.set(0);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder").field("path", &self.state.lock().path).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
