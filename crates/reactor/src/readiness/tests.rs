use super::*;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::task::Wake;
use std::time::{Duration, Instant};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn waiter() -> (Arc<Count>, Waker) {
    let count = Arc::new(Count::default());
    (count.clone(), Waker::from(count))
}

fn event(readiness: &Readiness, bits: u32) {
    let mut wakers = WakeList::new();
    readiness.set(bits, &mut wakers);
    wakers.wake();
}

#[test]
fn clearing_after_a_newer_event_keeps_the_newer_event() {
    let readiness = Readiness::new();
    event(&readiness, READABLE);
    let old = readiness.ready(Direction::Read).unwrap();
    event(&readiness, READABLE);
    readiness.clear(old);
    let new = readiness.ready(Direction::Read).expect("the second event must survive");
    readiness.clear(new);
    assert_eq!(readiness.ready(Direction::Read), None);
}

#[test]
fn clearing_one_direction_leaves_the_other() {
    let readiness = Readiness::new();
    event(&readiness, READABLE | WRITABLE);
    readiness.clear(readiness.ready(Direction::Read).unwrap());
    assert!(readiness.ready(Direction::Read).is_none());
    assert!(readiness.ready(Direction::Write).is_some());
}

#[test]
fn every_waiter_of_a_direction_is_woken_and_none_of_the_other() {
    let readiness = Readiness::new();
    let readers: Vec<_> = (0..3).map(|_| waiter()).collect();
    let (writer, writer_waker) = waiter();
    for (_, waker) in &readers {
        assert!(readiness.poll(Direction::Read, &mut Context::from_waker(waker)).is_pending());
    }
    let mut context = Context::from_waker(&writer_waker);
    assert!(readiness.poll(Direction::Write, &mut context).is_pending());
    event(&readiness, READABLE);
    for (reader, _) in &readers {
        assert_eq!(reader.0.load(Ordering::Relaxed), 1);
    }
    assert_eq!(writer.0.load(Ordering::Relaxed), 0);
}

#[test]
fn polling_again_with_the_same_waker_does_not_pile_up() {
    let readiness = Readiness::new();
    let (count, waker) = waiter();
    for _ in 0..1000 {
        assert!(readiness.poll(Direction::Read, &mut Context::from_waker(&waker)).is_pending());
    }
    event(&readiness, READABLE);
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[test]
fn wakers_of_waits_that_went_away_are_let_go_without_an_event() {
    let readiness = Readiness::new();
    let mut alive = Vec::new();
    for _ in 0..10_000 {
        let (count, waker) = waiter();
        assert!(readiness.poll(Direction::Read, &mut Context::from_waker(&waker)).is_pending());
        alive.push(Arc::downgrade(&count));
    }
    // Each eviction doubles the limit, so what stays is bounded by the evicted and not by time.
    let held = alive.iter().filter(|count| count.strong_count() > 0).count();
    assert!(held < 10_000 / 2 + LEAST_LIMIT, "{held} wakers held");
}

#[test]
fn a_direction_that_is_always_ready_gives_way_after_its_turn_and_only_that_direction() {
    let readiness = Readiness::new();
    event(&readiness, READABLE | WRITABLE);
    let (count, waker) = waiter();
    let mut context = Context::from_waker(&waker);
    let mut waits = |direction| readiness.poll(direction, &mut context).is_pending();
    for turns in 1..=3 {
        assert!((0..TURN).all(|_| !waits(Direction::Read)));
        assert!(waits(Direction::Read));
        assert_eq!(count.0.load(Ordering::Relaxed), turns, "woken at once");
    }
    assert!((0..TURN).all(|_| !waits(Direction::Write)));
}

#[test]
fn a_direction_that_had_to_wait_has_a_whole_turn_again() {
    let readiness = Readiness::new();
    let (count, waker) = waiter();
    let mut context = Context::from_waker(&waker);
    for _ in 0..2 {
        event(&readiness, READABLE);
        for _ in 0..TURN {
            assert!(readiness.poll(Direction::Read, &mut context).is_ready());
        }
        readiness.clear(readiness.ready(Direction::Read).unwrap());
        assert!(readiness.poll(Direction::Read, &mut context).is_pending());
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 1, "by the second event alone");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a ceiling for a hang, by a real clock")]
fn a_wait_that_begins_while_an_event_comes_finds_it_or_is_woken() {
    const ROUNDS: usize = 20_000;
    let readiness = Readiness::new();
    let (round, events) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (count, waker) = waiter();
    let mut context = Context::from_waker(&waker);
    let wait_for = |counter: &AtomicUsize, least: usize| {
        let start = Instant::now();
        while counter.load(Ordering::Acquire) < least {
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "the event of round {least} is lost"
            );
            std::thread::yield_now();
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..=ROUNDS {
                wait_for(&round, n);
                event(&readiness, READABLE | WRITABLE);
                events.store(n, Ordering::Release);
            }
        });
        for n in 1..=ROUNDS {
            let woken = count.0.load(Ordering::Relaxed);
            round.store(n, Ordering::Release);
            if readiness.poll(Direction::Read, &mut context).is_pending() {
                wait_for(&count.0, woken + 1);
            }
            wait_for(&events, n);
            readiness.clear(readiness.ready(Direction::Read).expect("there was an event"));
        }
    });
}
