use super::*;
use crate::{Difference, TraceError, Writer, first_difference};
use asupersync_core::event::{Access, Resolution};
use asupersync_core::{
    CancelKind, Event as Kernel, ObjectId, ObligationId, RegionId, Severity, TaskId, Time,
};
use proptest::prelude::*;
use std::panic::Location;

fn task(n: u64) -> TaskId {
    TaskId::from_bits(n << 24)
}

/// One of every event, from three small numbers.
fn kernel(which: u8, a: u64, b: u64) -> Kernel<'static> {
    let site = Location::caller();
    let (task, by, region) = (task(a), Some(task(b)), RegionId::from_bits(b));
    let (at, flag, small) = (Time::from_nanos(a.wrapping_mul(b)), a % 2 == 0, b as u32);
    let (obligation, object) = (ObligationId::from_bits(a), ObjectId::from_bits(b));
    let kind = CancelKind::ALL[(a % 7) as usize];
    let name = flag.then_some("worker");
    match which % 26 {
        0 => Kernel::TaskSpawned { task, region, by, name, site, finalizer: flag },
        1 => Kernel::SpawnRefused { region, by: None },
        2 => Kernel::PollBegin { task, at },
        3 => Kernel::PollEnd { task, ready: flag },
        4 => Kernel::TaskWoken { task, by },
        5 => Kernel::WaitParked { task, label: "mpsc::recv", site },
        6 => Kernel::WaitEnded { task, label: "sleep", cancelled: flag },
        7 => Kernel::TaskCancelRequested { task, kind, severity: CancelKind::Shutdown },
        8 => Kernel::TaskCancelTold { task },
        9 => Kernel::TaskEscalated { task },
        10 => Kernel::TaskCompleted { task, region, severity: Severity::Panicked },
        11 => Kernel::BranchOpened { task, branch: small },
        12 => Kernel::BranchClosed { task, branch: small, dropped: flag },
        13 => Kernel::BranchesLeft { task, open: small },
        14 => Kernel::RegionOpened { region, parent: None, by, name, site },
        15 => Kernel::RegionCancelRequested { region, kind, severity: kind },
        16 => Kernel::RegionClosing { region },
        17 => Kernel::RegionFinalizing { region },
        18 => Kernel::FinalizerDeferred { region, ordinal: small },
        19 => Kernel::FinalizerStarted { region, ordinal: small, task },
        20 => Kernel::RegionClosed { region, live: small, unresolved: 0 },
        21 => Kernel::ObligationReserved { obligation, task, kind: "mpsc::Permit", site },
        22 => Kernel::ObligationResolved { obligation, by, how: Resolution::Leaked },
        23 => Kernel::Access { task: by, object, access: Access::Write, label: "mutex" },
        24 => Kernel::TimerArmed { at },
        _ => Kernel::User { task, message: "päivää" },
    }
}

fn host(which: u8, a: u64) -> Event {
    match which % 5 {
        0 => Event::Chosen { index: a as u32, of: u32::MAX },
        1 => Event::ClockAdvanced { to: Time::from_nanos(a) },
        2 => Event::TimerFired { at: Time::from_nanos(a) },
        3 => Event::CancelInjected { step: a },
        _ => Event::Abandoned { step: a },
    }
}

fn write(events: &[(u8, u64, u64)]) -> Vec<u8> {
    let mut writer = Writer::new(Header::new(7).with_option("max-steps", 100));
    for (which, a, b) in events {
        if *which < 26 {
            writer.kernel(&kernel(*which, *a, *b));
        } else {
            writer.host(&host(*which, *a));
        }
    }
    writer.finish()
}

fn parse(bytes: &[u8]) -> Result<Trace, TraceError> {
    Trace::parse(bytes, &Limits::default())
}

/// The file with its last eight bytes made right again.
fn resum(mut bytes: Vec<u8>) -> Vec<u8> {
    let body = bytes.len() - 8;
    let sum = XxHash3_64::oneshot(&bytes[..body]);
    bytes[body..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

fn events() -> impl Strategy<Value = Vec<(u8, u64, u64)>> {
    let number = prop_oneof![0_u64..4, any::<u64>()];
    prop::collection::vec((0_u8..31, number.clone(), number), 0..40)
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(list in events()) {
        let trace = parse(&write(&list)).unwrap();
        let mut interner = crate::tables::Interner::default();
        let expected: Vec<Event> = list
            .iter()
            .map(|(which, a, b)| match which {
                0..26 => Event::from_kernel(&kernel(*which, *a, *b), &mut interner),
                _ => host(*which, *a),
            })
            .collect();
        prop_assert_eq!(trace.events(), &expected[..]);
        prop_assert_eq!(trace.tables(), &interner.tables());
        prop_assert_eq!(trace.header(), &Header::new(7).with_option("max-steps", 100));
    }

    #[test]
    fn no_bytes_make_the_reader_panic(
        list in events(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = write(&list);
        for (at, byte) in &damage {
            let at = at.index(bytes.len());
            bytes[at] = *byte;
        }
        let _ = parse(&bytes);
        // With the sum made right the damage reaches the parser behind it.
        let _ = parse(&resum(bytes.clone()));
        bytes.truncate(cut.index(bytes.len()).max(16));
        let _ = parse(&resum(bytes));
    }

    #[test]
    fn kernel_and_recorded_events_have_the_same_effects(
        which in 0_u8..26, a in any::<u64>(), b in any::<u64>(),
    ) {
        let event = kernel(which, a, b);
        let owned = Event::from_kernel(&event, &mut crate::tables::Interner::default());
        prop_assert!(crate::Effect::of_kernel(&event).eq(crate::Effect::of_event(&owned)));
    }
}

#[test]
fn each_kind_of_damage_has_its_own_error() {
    let good = write(&[(2, 1, 1), (5, 1, 1)]);
    assert_eq!(parse(b"PK\x03\x04"), Err(TraceError::NotATrace));
    let mut other = good.clone();
    other[8] = 9;
    assert_eq!(parse(&other), Err(TraceError::Version { found: 9 }));
    let mut flipped = good.clone();
    flipped[30] ^= 1;
    assert_eq!(parse(&flipped), Err(TraceError::Checksum));
    let mut flagged = good.clone();
    flagged[10] = 1;
    assert!(matches!(parse(&resum(flagged)), Err(TraceError::Corrupt { .. })));
    assert!(matches!(parse(&good[..12]), Err(TraceError::Truncated { .. })));
}

#[test]
fn limits_are_kept() {
    let file = write(&[(2, 1, 1), (3, 1, 1), (5, 1, 1)]);
    let with = |change: fn(&mut Limits)| {
        let mut limits = Limits::default();
        change(&mut limits);
        Trace::parse(&file, &limits).map(|trace| trace.events().len())
    };
    assert_eq!(with(|_| ()), Ok(3));
    for (what, change) in [
        ("bytes", (|l| l.file_bytes = 10) as fn(&mut Limits)),
        ("events", |l| l.events = 2),
        ("names", |l| l.names = 0),
        ("bytes in one text", |l| l.text_bytes = 4),
        ("options", |l| l.options = 0),
    ] {
        assert!(
            matches!(with(change), Err(TraceError::Limit { what: found, .. }) if found == what),
            "{what}: {:?}",
            with(change)
        );
    }
}

#[test]
fn the_first_differing_event_is_named() {
    let list = [(2, 1, 1), (5, 1, 1), (3, 1, 1)];
    let left = parse(&write(&list)).unwrap();
    assert_eq!(first_difference(&left, &left), None);

    let mut changed = list;
    changed[1] = (6, 1, 1);
    let right = parse(&write(&changed)).unwrap();
    let Some(Difference::Event { index, left: l, right: r }) = first_difference(&left, &right)
    else {
        panic!("the events differ")
    };
    assert_eq!(index, 1);
    assert!(l.unwrap().starts_with("WaitParked task=t0000000001 label=\"mpsc::recv\" site="));
    assert_eq!(r.unwrap(), "WaitEnded task=t0000000001 label=\"sleep\" cancelled=false");

    let shorter = parse(&write(&list[..2])).unwrap();
    let difference = first_difference(&left, &shorter).unwrap();
    assert!(matches!(difference, Difference::Event { index: 2, right: None, .. }));
}

#[test]
fn text_is_one_line_an_event() {
    let trace = parse(&write(&[(2, 1, 5), (28, 3, 0)])).unwrap();
    assert_eq!(
        trace.to_text(),
        "trace of seed 7, max-steps 100\n     \
         0  PollBegin task=t0000000001 at=5ns\n     \
         1  CancelInjected step=3\n"
    );
}

#[test]
fn a_file_handed_out_in_pieces_is_the_file_written_at_once() {
    let write = |writer: &mut Writer, spill: bool| {
        let mut file = Vec::new();
        for step in 0..200_u32 {
            writer.host(&Event::ClockRead { at: Time::from_nanos(u64::from(step) * 77) });
            writer.called("read", step % 3, step, &step.to_le_bytes()[..(step % 5) as usize]);
            if spill && step % 7 == 0 {
                file.extend(writer.hand_out());
            }
        }
        writer.stopped("enough");
        file.extend(writer.finish());
        file
    };
    let mut writer = Writer::new(Header::new(5));
    let whole = write(&mut writer, false);
    writer.begin(&Header::new(5));
    assert!(write(&mut writer, true) == whole);
    let trace = Trace::parse(&whole, &Limits::default()).unwrap();
    let answers: Vec<&[u8]> = trace
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::Called { answer, .. } => Some(trace.tables().blob(*answer)),
            _ => None,
        })
        .collect();
    assert_eq!(answers.len(), 200);
    assert_eq!(answers[9], [9, 0, 0, 0]);
    let few = Limits { blob_bytes: 3, ..Limits::default() };
    let error = Trace::parse(&whole, &few).unwrap_err();
    assert!(matches!(error, TraceError::Limit { what: "bytes in one answer", .. }), "{error}");
}

#[test]
fn a_text_longer_than_a_reader_takes_is_cut_by_the_writer() {
    let mut writer = Writer::new(Header::new(0));
    let task = TaskId::from_bits(1);
    // The limit falls into the middle of a letter.
    let long = format!("x{}", "é".repeat(100_000));
    writer.kernel(&Kernel::User { task, message: &long });
    let bytes = writer.finish();
    let trace = Trace::parse(&bytes, &Limits::default()).expect("it is within the limits");
    let Event::User { message, .. } = trace.events()[0] else { panic!("it says something") };
    let text = trace.tables().text(message);
    assert!(long.starts_with(text) && text.len() == (1 << 16) - 1, "{}", text.len());
}
