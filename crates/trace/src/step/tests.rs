use super::*;
use asupersync_core::Severity;
use kernel::Event as Kernel;
use std::panic::Location;

const MAIN: TaskId = TaskId::from_bits(1);
const LEFT: TaskId = TaskId::from_bits(2);
const RIGHT: TaskId = TaskId::from_bits(3);
const REGION: RegionId = RegionId::from_bits(4);

fn steps(events: &[Kernel<'_>]) -> Vec<Step> {
    let mut builder = StepBuilder::default();
    let mut steps = Vec::new();
    for event in events {
        for effect in Effect::of_kernel(event) {
            steps.extend(builder.feed(effect).map(Ended::to_step));
        }
    }
    steps.extend(builder.finish().map(Ended::to_step));
    steps
}

fn begin(task: TaskId) -> Kernel<'static> {
    Kernel::PollBegin { task, at: Time::ZERO }
}

fn end(task: TaskId) -> Kernel<'static> {
    Kernel::PollEnd { task, ready: true }
}

fn done(task: TaskId) -> Kernel<'static> {
    Kernel::TaskCompleted { task, region: REGION, severity: Severity::Ok }
}

const CLOSED: Kernel<'static> = Kernel::RegionClosed { region: REGION, live: 0, unresolved: 0 };
const WAKE_MAIN: Kernel<'static> = Kernel::TaskWoken { task: MAIN, by: None };

fn opened() -> Kernel<'static> {
    let site = Location::caller();
    Kernel::RegionOpened { region: REGION, parent: None, by: Some(MAIN), name: None, site }
}

#[test]
fn completions_commute_whichever_closes_the_region() {
    let run = |first, second| {
        let events = [
            [begin(MAIN), opened(), end(MAIN)],
            [begin(first), done(first), end(first)],
            [begin(second), done(second), CLOSED],
            [WAKE_MAIN, end(second), begin(MAIN)],
        ];
        steps(events.as_flattened())
    };
    let (one, other) = (run(LEFT, RIGHT), run(RIGHT, LEFT));
    assert_eq!(one.len(), 5);
    assert_eq!(one[3].actor, Actor::Region(REGION));
    assert!(!dependent(one[1].view(), one[2].view()));
    assert!(dependent(one[1].view(), one[3].view()) && dependent(one[2].view(), one[3].view()));
    assert!(dependent(one[3].view(), one[4].view()));
    let fingerprint = crate::Fingerprint::of_steps;
    assert_eq!(fingerprint(&one), fingerprint(&other));
}

#[test]
fn a_close_in_its_openers_poll_is_part_of_that_poll() {
    let steps = steps(&[begin(MAIN), opened(), CLOSED, end(MAIN)]);
    assert_eq!(steps.len(), 1);
    assert_eq!(steps[0].actor, Actor::Task(MAIN));
}

#[test]
fn a_wake_happens_before_the_step_it_causes() {
    let wake = Kernel::TaskWoken { task: RIGHT, by: Some(LEFT) };
    let steps = steps(&[begin(LEFT), wake, end(LEFT), begin(RIGHT), end(RIGHT)]);
    assert!(dependent(steps[0].view(), steps[1].view()));
}

#[test]
fn a_write_covers_a_read_and_repetitions_count_once() {
    let target = Target::Object(ObjectId::from_bits(9));
    let step = Step::new(
        Actor::Outside,
        vec![Touch::read(target), Touch::write(target), Touch::read(target)],
    );
    assert_eq!(*step.touches, [Touch::write(target)]);
}
