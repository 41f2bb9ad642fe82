//! Sources whose answers go on tape, and are replayed from it.
//!
//! One path for both: a call of the machine goes through [`Tape::call`], which in a recording has it
//! performed and notes the answer, and in a replay answers what was noted. So does readiness: in a
//! recording the reactor's wake comes by [`Tape::ready`] before it reaches the tasks, in a replay the tape's
//! reader calls [`Taped::wake`] where the wake was noted.
//!
//! An answer that may come later is noted as its poll found it, pending ones too: the poll must not look
//! for itself.

use crate::{Direction, Reactor};
use asupersync_core::WakeList;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, Wake, Waker};
use twox_hash::XxHash3_64;

/// Notes what a run learns from its machine, or repeats it.
///
/// Called by the thread that runs the tasks.
pub trait Tape: Send + Sync + 'static {
    /// The answer to a call. `None`: there is none, because the replayed run is not the recorded one.
    fn call(&self, call: Call, perform: &mut dyn FnMut() -> Vec<u8>) -> Option<Vec<u8>>;

    /// A source is ready; those who wait for it are woken next.
    fn ready(&self, source: u32, direction: Direction);
}

/// A call of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which operation.
    pub label: &'static str,
    /// On which source, counted from 0 in the order in which they came into being.
    pub source: u32,
    /// A hash of what it was given: a replay that gives something else is another run.
    pub input: u32,
}

impl Call {
    /// The hash of an operation's input, from its parts.
    #[must_use]
    pub fn hash<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
        let parts = parts.into_iter();
        parts.fold(0, XxHash3_64::oneshot_with_seed) as u32
    }
}

/// What a host offers in the [`Reactor`]'s place while it records or replays.
pub struct Taped {
    tape: Arc<dyn Tape>,
    /// None in a replay: there is no machine.
    reactor: Option<Reactor>,
    sources: Mutex<Sources>,
}

#[derive(Default)]
struct Sources {
    next: u32,
    open: BTreeMap<u32, Weak<TapedSource>>,
}

impl Taped {
    /// Calls go to the machine, and their answers to the tape.
    #[must_use]
    pub fn recording(tape: Arc<dyn Tape>, reactor: Reactor) -> Taped {
        Taped { tape, reactor: Some(reactor), sources: Mutex::default() }
    }

    /// Answers come from the tape.
    #[must_use]
    pub fn replaying(tape: Arc<dyn Tape>) -> Taped {
        Taped { tape, reactor: None, sources: Mutex::default() }
    }

    /// The reactor of a recording.
    #[must_use]
    pub fn reactor(&self) -> Option<&Reactor> {
        self.reactor.as_ref()
    }

    /// The next source. Its socket is made by one of its own calls.
    #[must_use]
    pub fn source(&self) -> Arc<TapedSource> {
        let mut sources = self.sources.lock();
        let number = sources.next;
        sources.next += 1;
        let waiters = |direction| {
            let tape = Arc::clone(&self.tape);
            Arc::new(Waiters { tape, source: number, direction, waiting: Mutex::default() })
        };
        let waiters = [waiters(Direction::Read), waiters(Direction::Write)];
        let source = Arc::new(TapedSource { tape: Arc::clone(&self.tape), number, waiters });
        if self.reactor.is_none() {
            sources.open.insert(number, Arc::downgrade(&source));
        }
        source
    }

    /// In a replay: the source becomes ready, as it did in the recording. False if there is no such source.
    #[must_use]
    pub fn wake(&self, source: u32, direction: Direction) -> bool {
        let mut sources = self.sources.lock();
        let found = sources.open.get(&source).and_then(Weak::upgrade);
        if found.is_none() {
            sources.open.remove(&source);
        }
        drop(sources);
        let Some(found) = found else { return false };
        found.waiters[direction as usize].wake_by_ref();
        true
    }
}

impl fmt::Debug for Taped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Taped").field("recording", &self.reactor.is_some()).finish_non_exhaustive()
    }
}

/// A source as the tape knows it.
pub struct TapedSource {
    tape: Arc<dyn Tape>,
    number: u32,
    waiters: [Arc<Waiters>; 2],
}

impl TapedSource {
    /// A call that does not wait.
    ///
    /// # Errors
    /// Those of `perform`, or of its recording: the system's by their number, others by their kind.
    /// `Other` when the replayed run is not the recorded one.
    pub fn call(
        &self,
        label: &'static str,
        input: u32,
        mut perform: impl FnMut() -> io::Result<Vec<u8>>,
    ) -> io::Result<Vec<u8>> {
        let call = Call { label, source: self.number, input };
        let answer = self.tape.call(call, &mut || encode(Poll::Ready(perform())));
        match decode(answer) {
            Poll::Ready(answer) => answer,
            Poll::Pending => Err(diverged()),
        }
    }

    /// A call that may have to wait until the source is ready in this direction. `perform` registers the
    /// waker of the context that it is given.
    ///
    /// # Errors
    /// As [`call`](TapedSource::call).
    pub fn poll(
        &self,
        label: &'static str,
        input: u32,
        direction: Direction,
        context: &mut Context<'_>,
        mut perform: impl FnMut(&mut Context<'_>) -> Poll<io::Result<Vec<u8>>>,
    ) -> Poll<io::Result<Vec<u8>>> {
        let waiters = &self.waiters[direction as usize];
        let call = Call { label, source: self.number, input };
        let answer = self.tape.call(call, &mut || {
            let waker = Waker::from(Arc::clone(waiters));
            waiters.waiting.lock().performs = true;
            let answer = perform(&mut Context::from_waker(&waker));
            let again = waiters.has_performed();
            if again && answer.is_pending() { vec![AGAIN] } else { encode(answer) }
        });
        if answer.as_deref() == Some(&[AGAIN]) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let answer = decode(answer);
        if answer.is_pending() {
            waiters.add(context.waker());
        }
        answer
    }
}

impl fmt::Debug for TapedSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapedSource").field("number", &self.number).finish_non_exhaustive()
    }
}

/// Who waits for one direction of a source; as a waker, what the reactor knows of them.
struct Waiters {
    tape: Arc<dyn Tape>,
    source: u32,
    direction: Direction,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    wakers: Vec<Waker>,
    /// A call is under way. One that wakes its own waker only gives way, and is to come again: nothing that
    /// the machine has told.
    performs: bool,
    again: bool,
}

impl Waiters {
    fn add(&self, waker: &Waker) {
        let fresh = waker.clone();
        let wakers = &mut self.waiting.lock().wakers;
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(fresh);
        }
    }

    /// The call is over. Whether it woke its own waker.
    fn has_performed(&self) -> bool {
        let mut waiting = self.waiting.lock();
        waiting.performs = false;
        std::mem::take(&mut waiting.again)
    }
}

impl Wake for Waiters {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let wakers = {
            let mut waiting = self.waiting.lock();
            if waiting.performs {
                waiting.again = true;
                return;
            }
            std::mem::take(&mut waiting.wakers)
        };
        self.tape.ready(self.source, self.direction);
        let mut list = WakeList::new();
        list.extend(wakers);
        list.wake();
    }
}

/// An answer begins with one of these; what is pending is empty.
const DONE: u8 = 0;
const SYSTEM: u8 = 1;
const KIND: u8 = 2;
/// Pending, and to be asked again at once.
const AGAIN: u8 = 3;

/// Errors that do not come from the system itself.
const KINDS: [io::ErrorKind; 6] = [
    io::ErrorKind::Other,
    io::ErrorKind::InvalidInput,
    io::ErrorKind::InvalidData,
    io::ErrorKind::UnexpectedEof,
    io::ErrorKind::WriteZero,
    io::ErrorKind::Unsupported,
];

fn encode(answer: Poll<io::Result<Vec<u8>>>) -> Vec<u8> {
    match answer {
        Poll::Pending => Vec::new(),
        Poll::Ready(Ok(mut bytes)) => {
            bytes.insert(0, DONE);
            bytes
        }
        Poll::Ready(Err(error)) => match error.raw_os_error() {
            Some(code) => [&[SYSTEM][..], &code.to_le_bytes()].concat(),
            None => {
                let kind = KINDS.iter().position(|kind| *kind == error.kind());
                vec![KIND, kind.unwrap_or(0) as u8]
            }
        },
    }
}

/// The answer, the same in the recording and in its replay.
fn decode(answer: Option<Vec<u8>>) -> Poll<io::Result<Vec<u8>>> {
    let Some(mut answer) = answer else { return Poll::Ready(Err(diverged())) };
    let decoded = match *answer.as_slice() {
        [] => return Poll::Pending,
        [DONE, ..] => {
            answer.remove(0);
            Ok(answer)
        }
        [SYSTEM, a, b, c, d] => Err(io::Error::from_raw_os_error(i32::from_le_bytes([a, b, c, d]))),
        [KIND, kind] if usize::from(kind) < KINDS.len() => Err(KINDS[usize::from(kind)].into()),
        _ => Err(diverged()),
    };
    Poll::Ready(decoded)
}

fn diverged() -> io::Error {
    io::Error::other("the replayed run is not the recorded one, which had no such call here")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_comes_back_as_it_was_noted() {
        let back = |answer| match decode(Some(encode(answer))) {
            Poll::Pending => "pending".to_owned(),
            Poll::Ready(Ok(bytes)) => format!("{bytes:?}"),
            Poll::Ready(Err(error)) => format!("{:?} {:?}", error.kind(), error.raw_os_error()),
        };
        assert_eq!(back(Poll::Pending), "pending");
        assert_eq!(back(Poll::Ready(Ok(Vec::new()))), "[]");
        assert_eq!(back(Poll::Ready(Ok(vec![7, 0]))), "[7, 0]");
        let reset = io::Error::from_raw_os_error(104);
        assert_eq!(back(Poll::Ready(Err(reset))), "ConnectionReset Some(104)");
        let bad = io::Error::from(io::ErrorKind::InvalidInput);
        assert_eq!(back(Poll::Ready(Err(bad))), "InvalidInput None");
    }

    /// Notes answers, or repeats those given to it.
    #[derive(Default)]
    struct Notes {
        answers: Mutex<Vec<Vec<u8>>>,
        repeats: bool,
    }

    impl Tape for Notes {
        fn call(&self, _: Call, perform: &mut dyn FnMut() -> Vec<u8>) -> Option<Vec<u8>> {
            if self.repeats {
                return self.answers.lock().pop();
            }
            let answer = perform();
            self.answers.lock().push(answer.clone());
            Some(answer)
        }

        fn ready(&self, _: u32, _: Direction) {
            panic!("the machine has told nothing");
        }
    }

    struct Count(std::sync::atomic::AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }

    #[test]
    fn a_call_that_gives_way_comes_again_at_once_in_the_replay_too() {
        let recording = Arc::new(Notes::default());
        let mut tape: Arc<Notes> = Arc::clone(&recording);
        for _ in 0..2 {
            let source = Taped::replaying(tape).source();
            let woken = Arc::new(Count(0.into()));
            let waker = Waker::from(Arc::clone(&woken));
            let gives_way = |context: &mut Context<'_>| {
                context.waker().wake_by_ref();
                Poll::Pending
            };
            let mut context = Context::from_waker(&waker);
            let answer = source.poll("read", 0, Direction::Read, &mut context, gives_way);
            assert!(answer.is_pending());
            assert_eq!(woken.0.load(std::sync::atomic::Ordering::Relaxed), 1);
            let answers = Mutex::new(recording.answers.lock().clone());
            tape = Arc::new(Notes { answers, repeats: true });
        }
    }

    #[test]
    fn an_answer_of_unknown_form_is_an_error() {
        for damaged in [vec![9], vec![SYSTEM], vec![KIND, 200]] {
            assert!(matches!(decode(Some(damaged)), Poll::Ready(Err(_))));
        }
    }
}
