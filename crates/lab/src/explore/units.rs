//! One exploration in several units, on as many threads as there are.
//!
//! A unit walks part of the tree of runs. Units advance in turns of a fixed number of runs; between two turns what is left of
//! some is divided among those that have nothing left. So what is found, and in which order, depends on these numbers
//! and not on the threads.
//!
//! Only the methods that look at no race are divided. [`Method::Optimal`](super::Method::Optimal) cannot be in this way: what
//! is run after one branch of a state plans what is to be run after the next. Begun before the first is finished, the second
//! leaves out what it takes for planned there, and the first what it takes for done here: `lastzero(3)` comes out with nine of
//! its twelve classes.

use super::engine::{Engine, Seat};
use super::{Exploration, ExploreFailure};
use asupersync_core::Time;
use asupersync_trace::Fingerprint;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Runs of a turn while there is one unit, and before anything is divided: most explorations are over by then.
const ALONE: u64 = 1_000;
/// Runs of a unit in a turn otherwise.
const TURN: u64 = 100;
/// Units at a time. More than most machines have cores, for their turns are not equally long.
const MOST: usize = 32;

/// What the explorer needs to know of a run.
pub(super) struct Ran {
    pub(super) steps: u64,
    pub(super) virtual_time: Time,
    pub(super) fingerprint: Option<Fingerprint>,
    pub(super) is_stuck: bool,
    /// What is wrong with it, if something is; empty unless it was asked for.
    pub(super) failure: Option<String>,
    pub(super) choices: Vec<u32>,
    /// There is more of it than was run.
    pub(super) is_cut: bool,
    /// It never began.
    pub(super) is_nested: bool,
}

/// Runs the body once, as its engine guides it, and says what is wrong if that is wanted.
pub(super) type Runner = Box<dyn FnMut(bool) -> Ran + Send>;

/// Part of an exploration.
struct Unit {
    seat: Seat,
    run: Runner,
    is_over: bool,
    /// What this turn came to.
    turn: Turn,
}

/// What a number of runs came to.
pub(super) struct Turn {
    pub(super) found: Exploration,
    /// Of the first failed run its class, and its number among these runs.
    pub(super) first: Option<(Option<Fingerprint>, u64)>,
    /// Something was left out.
    pub(super) is_cut: bool,
}

/// All units.
pub(super) struct Units<'a> {
    runner: &'a dyn Fn(Seat) -> Runner,
    threads: usize,
    stop: bool,
    units: Vec<Unit>,
    runs: u64,
}

impl Turn {
    pub(super) fn new() -> Turn {
        Turn { found: Exploration::nothing(), first: None, is_cut: false }
    }

    /// Adds a run; answers whether it is the first that failed.
    fn add(&mut self, ran: Ran, engine: &Engine) -> bool {
        let found = &mut self.found;
        found.steps += ran.steps;
        found.virtual_time = found.virtual_time.max(ran.virtual_time);
        self.is_cut |= ran.is_cut;
        if engine.is_blocked() {
            found.blocked += 1;
            return false;
        }
        found.runs += 1;
        found.classes.extend(ran.fingerprint);
        if ran.is_stuck {
            found.stuck.extend(ran.fingerprint);
        }
        let Some(message) = ran.failure else { return false };
        found.failures += 1;
        if self.first.is_some() {
            return false;
        }
        self.first = Some((ran.fingerprint, found.runs));
        found.failure = Some(ExploreFailure {
            message,
            choices: ran.choices,
            schedule: engine.schedule(),
            reversed: engine.reversed(),
            story: String::new(),
            file: None,
        });
        true
    }

    pub(super) fn runs(&self) -> u64 {
        self.found.runs + self.found.blocked
    }

    /// Adds what came after.
    pub(super) fn absorb(&mut self, other: Turn) {
        if self.runs() == 0 {
            *self = Turn { is_cut: self.is_cut | other.is_cut, ..other };
            return;
        }
        let (found, more) = (&mut self.found, other.found);
        if self.first.is_none() {
            self.first = other.first.map(|(class, run)| (class, found.runs + run));
            found.failure = more.failure;
        }
        found.runs += more.runs;
        found.blocked += more.blocked;
        found.classes.extend(more.classes);
        found.stuck.extend(more.stuck);
        found.failures += more.failures;
        found.steps += more.steps;
        found.virtual_time = found.virtual_time.max(more.virtual_time);
        self.is_cut |= other.is_cut;
    }
}

impl Unit {
    /// So many runs more, if there are.
    fn advance(&mut self, most: u64, stop: bool) {
        while !self.is_over && self.turn.runs() < most {
            let ran = (self.run)(self.turn.first.is_none());
            let mut seat = self.seat.lock();
            let engine = seat.as_mut().expect("a run that is over gives it back");
            let (is_nested, is_observed) = (ran.is_nested, ran.fingerprint.is_some());
            if self.turn.add(ran, engine) && stop {
                return;
            }
            // A run that never began leaves nothing to go on from.
            if is_nested || !engine.advance() {
                self.is_over = true;
                self.turn.is_cut |= is_nested || !is_observed || engine.is_cut();
            }
        }
    }
}

impl<'a> Units<'a> {
    pub(super) fn new(
        engine: Engine,
        threads: usize,
        stop: bool,
        runner: &'a dyn Fn(Seat) -> Runner,
    ) -> Units<'a> {
        let mut units = Units { runner, threads, stop, units: Vec::new(), runs: 0 };
        units.begin(engine);
        units
    }

    /// Whether nothing is left.
    pub(super) fn are_over(&self) -> bool {
        self.units.iter().all(|unit| unit.is_over)
    }

    /// Whether the exploration is to [begin anew](Engine::forgot).
    pub(super) fn forgot(&self) -> bool {
        self.units.iter().any(|unit| unit.seat.lock().as_ref().is_some_and(|e| e.forgot()))
    }

    /// Every unit takes its turn; at most so many runs in all.
    pub(super) fn turn(&mut self, most: u64) -> Turn {
        if self.runs >= ALONE {
            self.divide();
        }
        let live = self.units.iter_mut().filter(|unit| !unit.is_over);
        let mut live: Vec<&mut Unit> = live.collect();
        live.truncate(usize::try_from(most).unwrap_or(usize::MAX));
        let each = if live.len() > 1 { TURN } else { ALONE };
        let share = each.min(most / live.len().max(1) as u64);
        run(&mut live, self.threads, share, self.stop);
        let mut turn = Turn::new();
        for unit in &mut self.units {
            turn.absorb(std::mem::replace(&mut unit.turn, Turn::new()));
            // What others came to in the meantime depends on the threads.
            if self.stop && turn.first.is_some() {
                break;
            }
        }
        self.runs += turn.runs();
        turn
    }

    /// A unit for this engine.
    fn begin(&mut self, engine: Engine) {
        if let Some(unit) = self.units.iter_mut().find(|unit| unit.is_over) {
            *unit.seat.lock() = Some(Box::new(engine));
            unit.is_over = false;
            return;
        }
        let seat = engine.seated();
        let run = (self.runner)(seat.clone());
        self.units.push(Unit { seat, run, is_over: false, turn: Turn::new() });
    }

    /// Divides what is left of each unit in two, again and again, until there are enough or nothing can be divided.
    fn divide(&mut self) {
        loop {
            let idle = MOST - self.units.iter().filter(|unit| !unit.is_over).count();
            let live = self.units.iter().filter(|unit| !unit.is_over);
            let parts = live.filter_map(|unit| unit.seat.lock().as_mut()?.split());
            let parts: Vec<Engine> = parts.take(idle).collect();
            if parts.is_empty() {
                return;
            }
            parts.into_iter().for_each(|engine| self.begin(engine));
        }
    }
}

/// Every one of the units takes its turn. What comes after the first that fails does not count.
fn run(units: &mut [&mut Unit], threads: usize, share: u64, stop: bool) {
    let threads = threads.min(units.len());
    let failed = AtomicUsize::new(usize::MAX);
    let next = Mutex::new(units.iter_mut().enumerate());
    let work = || {
        loop {
            let Some((number, unit)) = next.lock().next() else { break };
            if stop && number > failed.load(Ordering::Relaxed) {
                break;
            }
            unit.advance(share, stop);
            if unit.turn.first.is_some() {
                failed.fetch_min(number, Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            scope.spawn(work);
        }
        work();
    });
}
