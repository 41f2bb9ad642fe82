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

type Cell = Shared<u32>;

/// A program of cells: a list of tasks, all of which exist before any of them runs.
macro_rules! program {
    (($($cell:ident),*) $($task:expr;)*) => {
        async |cx: &Cx| {
            $( let $cell: Cell = Shared::new(0); )*
            let outcome = cx.region(async |scope| {
                $( {
                    $( let $cell = $cell.clone(); )*
                    scope.spawn(async move |cx: &Cx| {
                        $( let $cell = &$cell; )*
                        let task = $task;
                        task(cx, [$($cell),*]).await
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
        (x)
        async |cx: &Cx, [x]: [&Cell; 1]| Ok::<_, Error>(x.set(cx, 1).await?);
        async |cx: &Cx, [x]: [&Cell; 1]| { x.get(cx).await?; Ok::<_, Error>(()) };
        async |cx: &Cx, [x]: [&Cell; 1]| { x.get(cx).await?; Ok::<_, Error>(()) };
    };
    assert_eq!(enumerate!(body).1, 4);
}

#[test]
fn store_buffering_has_3_classes() {
    let body = program! {
        (x, y)
        async |cx: &Cx, [x, y]: [&Cell; 2]| {
            x.set(cx, 1).await?; y.get(cx).await?; Ok::<_, Error>(())
        };
        async |cx: &Cx, [x, y]: [&Cell; 2]| {
            y.set(cx, 1).await?; x.get(cx).await?; Ok::<_, Error>(())
        };
    };
    assert_eq!(enumerate!(body), (20, 3));
}

#[test]
fn atomic_increments_of_3_tasks_have_6_classes() {
    let body = program! {
        (x)
        async |cx: &Cx, [x]: [&Cell; 1]| Ok::<_, Error>(x.update(cx, |x| *x += 1).await?);
        async |cx: &Cx, [x]: [&Cell; 1]| Ok::<_, Error>(x.update(cx, |x| *x += 1).await?);
        async |cx: &Cx, [x]: [&Cell; 1]| Ok::<_, Error>(x.update(cx, |x| *x += 1).await?);
    };
    assert_eq!(enumerate!(body), (90, 6));
}

#[test]
fn torn_increments_of_3_tasks_have_36_classes() {
    let body = program! {
        (x)
        async |cx: &Cx, [x]: [&Cell; 1]| {
            let r = x.get(cx).await?; x.set(cx, r + 1).await?; Ok::<_, Error>(())
        };
        async |cx: &Cx, [x]: [&Cell; 1]| {
            let r = x.get(cx).await?; x.set(cx, r + 2).await?; Ok::<_, Error>(())
        };
        async |cx: &Cx, [x]: [&Cell; 1]| {
            let r = x.get(cx).await?; x.set(cx, r + 4).await?; Ok::<_, Error>(())
        };
    };
    assert_eq!(enumerate!(body), (1680, 36));
}

#[test]
fn lastzero_2_has_5_classes() {
    let body = program! {
        (a0, a1, a2)
        async |cx: &Cx, cells: [&Cell; 3]| {
            let mut i = 2;
            while cells[i].get(cx).await? != 0 { i -= 1; }
            Ok::<_, Error>(())
        };
        async |cx: &Cx, [a0, a1, _]: [&Cell; 3]| {
            let v = a0.get(cx).await?; a1.set(cx, v + 1).await?; Ok::<_, Error>(())
        };
        async |cx: &Cx, [_, a1, a2]: [&Cell; 3]| {
            let v = a1.get(cx).await?; a2.set(cx, v + 1).await?; Ok::<_, Error>(())
        };
    };
    assert_eq!(enumerate!(body).1, 5);
}

#[test]
fn popl_ex2_has_5_classes() {
    let body = program! {
        (x, y, z)
        async |cx: &Cx, [x, ..]: [&Cell; 3]| Ok::<_, Error>(x.set(cx, 1).await?);
        async |cx: &Cx, [_, y, _]: [&Cell; 3]| Ok::<_, Error>(y.set(cx, 1).await?);
        async |cx: &Cx, [_, y, z]: [&Cell; 3]| {
            if y.get(cx).await? == 0 { z.set(cx, 1).await?; }
            Ok::<_, Error>(())
        };
        async |cx: &Cx, [x, y, z]: [&Cell; 3]| {
            if z.get(cx).await? == 1 && y.get(cx).await? == 0 { x.set(cx, 2).await?; }
            Ok::<_, Error>(())
        };
    };
    assert_eq!(enumerate!(body).1, 5);
}

#[test]
fn coa_2_has_15_classes() {
    let body = program! {
        (x, y, z)
        async |cx: &Cx, [x, y, _]: [&Cell; 3]| {
            x.set(cx, 1).await?; y.get(cx).await?; x.get(cx).await?; Ok::<_, Error>(())
        };
        async |cx: &Cx, [x, _, z]: [&Cell; 3]| {
            x.set(cx, 2).await?; z.get(cx).await?; x.get(cx).await?; Ok::<_, Error>(())
        };
        async |cx: &Cx, [_, y, z]: [&Cell; 3]| {
            y.set(cx, 1).await?; z.set(cx, 1).await?; Ok::<_, Error>(())
        };
    };
    assert_eq!(enumerate!(body).1, 15);
}
