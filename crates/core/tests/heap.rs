//! A region's heap: values of every shape, dropped once, last first, whatever their drops do.

mod support;

use asupersync_core::{Cx, Error, Outcome, RRef};
use std::sync::{Arc, Mutex};
use support::run;

/// Writes its number down when it is dropped.
struct Noted<T>(u32, Arc<Mutex<Vec<u32>>>, T);

impl<T> Drop for Noted<T> {
    fn drop(&mut self) {
        self.1.lock().unwrap().push(self.0);
        assert!(self.0 % 3 != 2, "every third drop panics, on purpose");
    }
}

#[test]
fn each_value_is_dropped_once_last_first_though_others_panic() {
    let drops = Arc::new(Mutex::new(Vec::new()));
    let notes = drops.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                for number in 0..1_000 {
                    match number % 4 {
                        0 => drop(scope.alloc(Noted(number, notes.clone(), ()))),
                        1 => drop(scope.alloc(Noted(number, notes.clone(), [0_u8; 13]))),
                        2 => drop(scope.alloc(Noted(number, notes.clone(), [0_u64; 90]))),
                        _ => drop(scope.alloc(Noted(number, notes.clone(), vec![number]))),
                    }
                }
                assert!(notes.lock().unwrap().is_empty(), "a value goes with its region");
                Ok(())
            })
            .await;
        outcome.into_result()
    });
    assert!(ran.outcome.is_ok());
    assert_eq!(*drops.lock().unwrap(), (0..1_000).rev().collect::<Vec<_>>());
}

#[derive(Clone, Copy, PartialEq, Debug)]
#[repr(align(4096))]
struct Page(u8);

#[test]
fn values_of_every_size_and_alignment_keep_what_was_put_in() {
    fn holds<T: PartialEq + Send + Sync>(cx: &Cx, value: &RRef<T>, wanted: &T) -> bool {
        let aligned = value.with(cx, |found| (&raw const *found).is_aligned() && found == wanted);
        aligned == Ok(true)
    }
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<bool, Error> = cx
            .region(async |scope| {
                let mut small = Vec::new();
                let mut held = true;
                for number in 0..300_u16 {
                    small.push((scope.alloc(number as u8), scope.alloc(u128::from(number) << 90)));
                    let unit = scope.alloc(());
                    let large = scope.alloc([number; 5_000]);
                    let page = scope.alloc(Page(number as u8));
                    let text = scope.alloc((Page(7), number.to_string()));
                    held &= holds(cx, &unit, &()) && holds(cx, &large, &[number; 5_000]);
                    held &= holds(cx, &page, &Page(number as u8));
                    held &= holds(cx, &text, &(Page(7), number.to_string()));
                }
                for (number, (byte, long)) in (0..300_u16).zip(&small) {
                    held &= holds(cx, byte, &(number as u8));
                    held &= holds(cx, long, &(u128::from(number) << 90));
                }
                Ok(held)
            })
            .await;
        outcome.into_result()
    });
    assert_eq!(ran.outcome.ok(), Some(true));
}

#[test]
fn a_value_may_be_put_beside_one_that_is_looked_at() {
    let ran = run(async |cx: &Cx| {
        let outcome: Outcome<String, Error> = cx
            .region(async |scope| {
                let first = scope.alloc(String::from("one"));
                let both = first.with(cx, |first| {
                    let others: Vec<_> = (0..1_000).map(|n| scope.alloc(n.to_string())).collect();
                    let last = others[999].with(cx, |last| format!("{first} {last}"));
                    last.map(|text| (text, first.clone()))
                })??;
                assert_eq!(both.1, "one");
                Ok(both.0)
            })
            .await;
        outcome.into_result()
    });
    assert_eq!(ran.outcome.ok().as_deref(), Some("one 999"));
}

#[test]
fn a_value_that_refers_to_its_neighbour_goes_too_and_finds_it_stale() {
    let gone = Arc::new(());
    let kept = gone.clone();
    let ran = run(async move |cx: &Cx| {
        let outcome: Outcome<(), Error> = cx
            .region(async |scope| {
                let first = scope.alloc(kept);
                let _second = scope.alloc((first.clone(), first));
                Ok(())
            })
            .await;
        outcome.into_result()
    });
    assert!(ran.outcome.is_ok());
    assert_eq!(Arc::strong_count(&gone), 1);
}
