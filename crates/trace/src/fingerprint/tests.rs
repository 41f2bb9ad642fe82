use super::*;
use crate::step::{Actor, StepBuilder, Target, Touch, dependent};
use asupersync_core::{ObjectId, RegionId, TaskId, Time};
use proptest::prelude::*;

fn actor() -> impl Strategy<Value = Actor> {
    prop_oneof![
        8 => (0_u64..4).prop_map(|n| Actor::Task(TaskId::from_bits(n))),
        1 => (0_u64..2).prop_map(|n| Actor::Timer(Time::from_nanos(n))),
        1 => Just(Actor::Host),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let touch = (0_u64..4, any::<bool>(), any::<bool>()).prop_map(|(n, write, object)| Touch {
        target: if object {
            Target::Object(ObjectId::from_bits(n))
        } else {
            Target::Readiness(TaskId::from_bits(n))
        },
        write,
    });
    (actor(), prop::collection::vec(touch, 0..4))
        .prop_map(|(actor, touches)| Step::new(actor, touches))
}

fn levels_by_definition(steps: &[Step]) -> Vec<u32> {
    let mut levels: Vec<u32> = Vec::new();
    for (index, step) in steps.iter().enumerate() {
        let below = (0..index)
            .filter(|earlier| dependent(steps[*earlier].view(), step.view()))
            .map(|earlier| levels[earlier]);
        levels.push(below.max().unwrap_or(0) + 1);
    }
    levels
}

/// The exact normal form: the steps of each level, sorted.
fn foata(steps: &[Step]) -> Vec<Vec<Step>> {
    let mut form: Vec<Vec<Step>> = Vec::new();
    for (step, level) in steps.iter().zip(levels_by_definition(steps)) {
        let level = level as usize - 1;
        form.resize(form.len().max(level + 1), Vec::new());
        form[level].push(step.clone());
    }
    form.iter_mut().for_each(|level| level.sort());
    form
}

proptest! {
    #[test]
    fn levels_are_those_of_the_definition(steps in prop::collection::vec(step(), 0..24)) {
        prop_assert_eq!(foata_levels(&steps), levels_by_definition(&steps));
    }

    #[test]
    fn swapping_neighbours_changes_the_class_exactly_when_they_depend(
        steps in prop::collection::vec(step(), 2..24),
        at in any::<prop::sample::Index>(),
    ) {
        let at = at.index(steps.len() - 1);
        let mut swapped = steps.clone();
        swapped.swap(at, at + 1);
        let same = Fingerprint::of_steps(&steps) == Fingerprint::of_steps(&swapped);
        let alike = steps[at] == steps[at + 1];
        prop_assert_eq!(same, alike || !dependent(steps[at].view(), steps[at + 1].view()));
    }

    #[test]
    fn fingerprints_agree_exactly_when_normal_forms_do(
        steps in prop::collection::vec(step(), 0..8),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
    ) {
        let mut other = steps.clone();
        for at in order {
            if other.len() > 1 {
                let at = at.index(other.len() - 1);
                other.swap(at, at + 1);
            }
        }
        prop_assert_eq!(
            Fingerprint::of_steps(&steps) == Fingerprint::of_steps(&other),
            foata(&steps) == foata(&other)
        );
    }
}

#[test]
fn a_fingerprint_is_the_same_in_every_build() {
    let task = |n| Actor::Task(TaskId::from_bits(n));
    let write = Touch { target: Target::Object(ObjectId::from_bits(1)), write: true };
    let steps = [Step::new(task(1), vec![write]), Step::new(task(2), vec![write])];
    assert_eq!(Fingerprint::of_steps(&steps).to_string(), "f86faf743f0e6f743e5e92520d083ca2");
}

fn event() -> impl Strategy<Value = kernel::Event<'static>> {
    use kernel::Event as E;
    let site = std::panic::Location::caller();
    (0_u8..13, 0_u64..3, 0_u64..2, any::<bool>()).prop_map(move |(kind, task, region, flag)| {
        let task = TaskId::from_bits(task);
        // Regions have the bits of tasks, and are not taken for them.
        let region = RegionId::from_bits(region);
        let by = flag.then_some(task);
        match kind {
            0..3 => E::PollBegin { task, at: Time::ZERO },
            3 => E::PollEnd { task, ready: flag },
            4 => E::TaskWoken { task, by: None },
            5 => E::TaskSpawned { task, region, by: None, name: None, site, finalizer: flag },
            6 => E::TaskCompleted { task, region, severity: kernel::Severity::Ok },
            7 => E::RegionOpened { region, parent: None, by, name: None, site },
            8 => E::RegionFinalizing { region },
            9 => E::RegionClosed { region, live: 0, unresolved: 0 },
            10 => E::RegionClosing { region },
            _ => {
                let access = match flag {
                    true => kernel::event::Access::Write,
                    false => kernel::event::Access::Read,
                };
                let object = ObjectId::from_bits(u64::from(kind));
                E::Access { task: None, object, access, label: "object" }
            }
        }
    })
}

proptest! {
    #[test]
    fn events_are_the_steps_that_they_make(
        events in prop::collection::vec(event(), 0..60),
        kept_at in any::<prop::sample::Index>(),
    ) {
        let mut builder = StepBuilder::default();
        let (mut steps, mut shown) = (Vec::new(), Vec::new());
        let mut fingerprinter = Fingerprinter::default();
        let mut kept = Fingerprinter::default();
        let kept_at = if events.is_empty() { 0 } else { kept_at.index(events.len()) };
        for (index, event) in events.iter().enumerate() {
            if index == kept_at {
                kept.kernel(event);
                kept.clone_from(&fingerprinter);
            }
            for effect in Effect::of_kernel(event) {
                steps.extend(builder.feed(effect).map(Ended::to_step));
            }
            fingerprinter.kernel_with(event, |step| shown.push(step.to_step()));
            prop_assert_eq!(&shown, &steps);
        }
        for event in &events[kept_at..] {
            kept.kernel(event);
        }
        steps.extend(builder.finish().map(Ended::to_step));
        let whole = fingerprinter.finish();
        prop_assert_eq!(whole, Fingerprint::of_steps(&steps));
        prop_assert_eq!(whole, kept.finish());
    }
}
