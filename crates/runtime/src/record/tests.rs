use super::*;
use asupersync_reactor::Call;
use asupersync_trace::{Trace, TraceError};

/// What is read, by a reader with the same limits, of a recording of a program that does this again and again.
fn recorded(limits: &Limits, act: impl Fn(&Recorder, u64)) -> Trace {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("run.trace");
    let recorder = Recorder::within(&path, 7, limits.clone()).expect("the folder is ours");
    let driving = recorder.begin().expect("it is the first");
    for number in 0..10_000 {
        act(&recorder, number);
        if recorder.result().is_some() {
            break;
        }
    }
    drop(driving);
    let end = recorder.result().expect("it is over");
    let why = end.expect_err("it is too long").to_string();
    assert!(why.contains("more bytes than") || why.contains("grown to the length"), "{why}");
    let bytes = std::fs::read(&path).expect("it was written");
    assert!(matches!(
        Trace::parse(&bytes, &Limits::default()).expect("it is whole").events().last(),
        Some(trace::Event::RecordingStopped { .. })
    ));
    Trace::parse(&bytes, limits).expect("it is within the limits")
}

fn read(recorder: &Recorder, answer: usize) {
    let call = Call { label: "tcp::read", source: 0, input: 0 };
    let answer = recorder.call(call, &mut || vec![0; answer]).expect("it was performed");
    drop(answer);
}

#[test]
fn a_recording_has_as_many_events_as_a_reader_takes_and_not_one_more() {
    let mut limits = Limits::default();
    limits.events = 100;
    let trace = recorded(&limits, |recorder, at| recorder.clock(Time::from_nanos(at)));
    assert_eq!(trace.events().len(), 100);
    limits.events = 99;
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("run.trace");
    let recorder = Recorder::create(&path, 7).expect("the folder is ours");
    let driving = recorder.begin().expect("it is the first");
    (0..100).for_each(|at| recorder.clock(Time::from_nanos(at)));
    drop(driving);
    let bytes = std::fs::read(&path).expect("it was written");
    let error = Trace::parse(&bytes, &limits).expect_err("one is too many");
    assert!(matches!(error, TraceError::Limit { what: "events", .. }), "{error}");
}

#[test]
fn a_recording_has_no_more_answers_than_a_reader_takes() {
    let mut limits = Limits::default();
    limits.names = 100;
    let trace = recorded(&limits, |recorder, _| read(recorder, 1));
    assert!(trace.events().len() > 90, "{} events", trace.events().len());
}

#[test]
fn a_recording_has_no_more_bytes_than_a_reader_takes() {
    let mut limits = Limits::default();
    limits.file_bytes = ROOM + 10 * CHUNK;
    let trace = recorded(&limits, |recorder, _| read(recorder, CHUNK));
    assert!(trace.events().len() > 9, "{} events", trace.events().len());
}

#[test]
fn an_answer_that_a_reader_does_not_take_ends_the_recording() {
    let mut limits = Limits::default();
    limits.blob_bytes = 50;
    let trace = recorded(&limits, |recorder, at| read(recorder, 40 + at as usize));
    // Those of 40 to 50 bytes, and the end.
    assert_eq!(trace.events().len(), 12);
}
