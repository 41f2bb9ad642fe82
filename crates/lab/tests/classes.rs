//! Every interleaving of small programs, and the number of classes they fall into.
//!
//! The programs and counts are the published ones of the partial-order reduction literature. Naive
//! enumeration runs every order; the fingerprints must tell exactly as many apart as theory does.

use asupersync_core::{Cx, Error};
use asupersync_lab::{Choice, LabConfig, LabRuntime, Shared, Strategy};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

/// Takes the choices of the list, then the first; writes down what it took and of how many.
#[derive(Clone, Default)]
struct Enumerate(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    forced: Vec<usize>,
    taken: Vec<(usize, usize)>,
}

impl Strategy for Enumerate {
    fn begin(&mut self, _seed: u64) {
        self.0.lock().unwrap().taken.clear();
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let mut log = self.0.lock().unwrap();
        let index = log.forced.get(log.taken.len()).copied().unwrap_or(0);
        log.taken.push((index, enabled.len()));
        index
    }
}

impl Enumerate {
    /// Moves on to the next order; false when all have been.
    fn advance(&self) -> bool {
        let mut log = self.0.lock().unwrap();
        while log.taken.last().is_some_and(|(index, of)| index + 1 == *of) {
            log.taken.pop();
        }
        let Some(last) = log.taken.last_mut() else { return false };
        last.0 += 1;
        log.forced = log.taken.iter().map(|(index, _)| *index).collect();
        true
    }
}

/// The number of runs, and of classes, over all orders of a body's steps.
macro_rules! enumerate {
    ($body:expr) => {{
        let strategy = Enumerate::default();
        let lab = LabRuntime::with_strategy(LabConfig::default(), strategy.clone());
        let mut classes = BTreeSet::new();
        let mut runs = 0_u64;
        loop {
            let report = lab.run($body);
            assert!(report.is_ok(), "{report}");
            classes.extend(report.fingerprint);
            runs += 1;
            if !strategy.advance() {
                break;
            }
        }
        (runs, classes.len())
    }};
}

/// A program over this many cells: a list of tasks, all of which exist before any of them runs.
macro_rules! program {
    ($cells:literal; $(|$cx:ident, $pattern:pat_param| $task:block)*) => {
        async |cx: &Cx| {
            let cells: [Shared<u32>; $cells] = std::array::from_fn(|_| Shared::new(0));
            let outcome = cx.region(async |scope| {
                $( {
                    let cells = cells.clone();
                    let _ = scope.spawn(async move |$cx: &Cx| {
                        let $pattern = &cells;
                        $task
                        Ok::<_, Error>(())
                    });
                } )*
                Ok::<_, Error>(())
            }).await;
            outcome.into_result()?;
            Ok::<_, Error>(())
        }
    };
}

#[test]
fn readers_2_has_4_classes() {
    let body = program! {
        1;
        |cx, [x]| { x.set(cx, 1).await?; }
        |cx, [x]| { x.get(cx).await?; }
        |cx, [x]| { x.get(cx).await?; }
    };
    assert_eq!(enumerate!(body), (90, 4));
}

#[test]
fn store_buffering_has_3_classes() {
    let body = program! {
        2;
        |cx, [x, y]| { x.set(cx, 1).await?; y.get(cx).await?; }
        |cx, [x, y]| { y.set(cx, 1).await?; x.get(cx).await?; }
    };
    assert_eq!(enumerate!(body), (20, 3));
}

#[test]
fn atomic_increments_of_3_tasks_have_6_classes() {
    let body = program! {
        1;
        |cx, [x]| { x.update(cx, |x| *x += 1).await?; }
        |cx, [x]| { x.update(cx, |x| *x += 1).await?; }
        |cx, [x]| { x.update(cx, |x| *x += 1).await?; }
    };
    assert_eq!(enumerate!(body), (90, 6));
}

#[test]
fn torn_increments_of_3_tasks_have_36_classes() {
    let body = program! {
        1;
        |cx, [x]| { let r = x.get(cx).await?; x.set(cx, r + 1).await?; }
        |cx, [x]| { let r = x.get(cx).await?; x.set(cx, r + 2).await?; }
        |cx, [x]| { let r = x.get(cx).await?; x.set(cx, r + 4).await?; }
    };
    assert_eq!(enumerate!(body), (1680, 36));
}

#[test]
fn lastzero_2_has_5_classes() {
    let body = program! {
        3;
        |cx, a| {
            let mut i = 2;
            while a[i].get(cx).await? != 0 { i -= 1; }
        }
        |cx, [a0, a1, _]| { let v = a0.get(cx).await?; a1.set(cx, v + 1).await?; }
        |cx, [_, a1, a2]| { let v = a1.get(cx).await?; a2.set(cx, v + 1).await?; }
    };
    assert_eq!(enumerate!(body).1, 5);
}

#[test]
fn popl_ex2_has_5_classes() {
    let body = program! {
        3;
        |cx, [x, ..]| { x.set(cx, 1).await?; }
        |cx, [_, y, _]| { y.set(cx, 1).await?; }
        |cx, [_, y, z]| { if y.get(cx).await? == 0 { z.set(cx, 1).await?; } }
        |cx, [x, y, z]| {
            if z.get(cx).await? == 1 && y.get(cx).await? == 0 { x.set(cx, 2).await?; }
        }
    };
    assert_eq!(enumerate!(body).1, 5);
}

#[test]
fn coa_2_has_15_classes() {
    let body = program! {
        3;
        |cx, [x, y, _]| { x.set(cx, 1).await?; y.get(cx).await?; x.get(cx).await?; }
        |cx, [x, _, z]| { x.set(cx, 2).await?; z.get(cx).await?; x.get(cx).await?; }
        |cx, [_, y, z]| { y.set(cx, 1).await?; z.set(cx, 1).await?; }
    };
    assert_eq!(enumerate!(body).1, 15);
}
