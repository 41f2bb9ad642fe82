//! The bounded methods run exactly the orders that cost no more than the bound: compared with every order there is,
//! each chosen and its cost counted from outside.

use asupersync_core::{Cx, Error, SplitMix64, TaskId};
use asupersync_lab::{
    Blocked, Choice, ExploreOptions, LabConfig, LabRuntime, Method, Mutex, Queue, Shared, Strategy,
    explore,
};
use asupersync_trace::Fingerprint;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex as Lock, PoisonError};

/// Orders of a program beyond which it is not looked at.
const MOST: usize = 400;

/// What an order costs.
#[derive(Clone, Copy, Default)]
struct Cost {
    preemptions: u32,
    delays: u32,
}

#[derive(Default)]
struct State {
    /// Of each poll so far the position taken, among how many.
    taken: Vec<(usize, usize)>,
    depth: usize,
    last: Option<TaskId>,
    is_over: bool,
    cost: Cost,
}

/// Takes every order, one a run.
#[derive(Clone, Default)]
struct All(Arc<Lock<State>>);

impl All {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Moves on to the next order; false if there is none.
    fn advance(&self) -> bool {
        let taken = &mut self.state().taken;
        while let Some((at, of)) = taken.pop() {
            if at + 1 < of {
                taken.push((at + 1, of));
                return true;
            }
        }
        false
    }
}

impl Strategy for All {
    fn begin(&mut self, _seed: u64) {
        let mut state = self.state();
        *state = State { taken: std::mem::take(&mut state.taken), ..State::default() };
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        let mut state = self.state();
        if state.is_over {
            return 0;
        }
        let depth = state.depth;
        state.depth += 1;
        if depth == state.taken.len() {
            state.taken.push((0, enabled.len()));
        }
        let (at, of) = state.taken[depth];
        assert_eq!(of, enabled.len(), "the program is repeatable");
        let (task, last) = (enabled[at].task, state.last);
        let could_stay = enabled.iter().any(|choice| Some(choice.task) == last);
        state.cost.preemptions += u32::from(could_stay && Some(task) != last);
        let place = |task: TaskId| (Some(task) != last, SplitMix64::mix(task.to_bits()));
        let before = enabled.iter().filter(|choice| place(choice.task) < place(task));
        state.cost.delays += before.count() as u32;
        state.last = Some(task);
        at
    }

    fn alone(&mut self, only: &Choice) {
        let mut state = self.state();
        state.last = Some(only.task);
    }

    fn ended(&mut self, _blocked: &[Blocked]) {
        self.state().is_over = true;
    }
}

#[derive(Clone, Copy, Debug)]
enum Doing {
    Read,
    Write,
    Yield,
    /// Takes the lock, yields under it, and lets go.
    Lock,
    Send,
    Receive,
    Sleep,
}

fn random_program(seed: u64) -> Vec<Vec<Doing>> {
    use Doing::{Lock, Read, Receive, Send, Sleep, Write, Yield};
    let mut draw = SplitMix64::new(seed);
    let doing = |draw: &mut SplitMix64| {
        let all = [Read, Write, Write, Yield, Lock, Send, Receive, Sleep];
        all[draw.below(all.len() as u64) as usize]
    };
    let tasks = 2 + draw.below(2);
    (0..tasks).map(|_| (0..1 + draw.below(3)).map(|_| doing(&mut draw)).collect()).collect()
}

async fn perform(cx: &Cx, program: Vec<Vec<Doing>>) -> Result<(), Error> {
    let (cell, lock, queue) = (Shared::new(0_u64), Mutex::new(), Queue::new());
    cx.region(async |scope| {
        for (number, doings) in (1_u64..).zip(program) {
            let (cell, lock, queue) = (cell.clone(), lock.clone(), queue.clone());
            let _ = scope.spawn(async move |cx: &Cx| {
                for doing in doings {
                    match doing {
                        Doing::Read => drop(cell.get(cx).await?),
                        Doing::Write => cell.update(cx, |all| *all = *all * 10 + number).await?,
                        Doing::Yield => cx.yield_now().await?,
                        Doing::Lock => {
                            let guard = lock.lock(cx).await?;
                            cx.yield_now().await?;
                            guard.unlock(cx).await?;
                        }
                        Doing::Send => queue.send(cx, number).await?,
                        Doing::Receive => drop(queue.recv(cx).await?),
                        Doing::Sleep => cx.sleep(std::time::Duration::from_millis(number)).await?,
                    }
                }
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

/// Every order's cost and class; none if there are too many.
fn every_order(program: &[Vec<Doing>]) -> Option<Vec<(Cost, Fingerprint)>> {
    let all = All::default();
    let lab = LabRuntime::with_strategy(LabConfig::default(), all.clone());
    let mut orders = Vec::new();
    loop {
        let program = program.to_vec();
        let report = lab.run(async move |cx: &Cx| perform(cx, program).await);
        let class = report.fingerprint.expect("events are looked at");
        orders.push((all.state().cost, class));
        if orders.len() > MOST {
            return None;
        }
        if !all.advance() {
            return Some(orders);
        }
    }
}

#[test]
fn a_bound_runs_the_orders_that_cost_no_more_and_no_others() {
    let (mut compared, mut cut) = (0, 0);
    for seed in 0..120 {
        let program = random_program(seed);
        let Some(orders) = every_order(&program) else { continue };
        compared += 1;
        for bound in 0..4 {
            for method in [Method::Preemptions(bound), Method::Delays(bound)] {
                let cost = |of: &Cost| match method {
                    Method::Delays(_) => of.delays,
                    _ => of.preemptions,
                };
                let within = orders.iter().filter(|(of, _)| cost(of) <= bound);
                let classes: BTreeSet<Fingerprint> = within.clone().map(|(_, c)| *c).collect();
                let runs = within.count();
                let options = ExploreOptions::default().method(method).shrink(false);
                let body = program.clone();
                let found = explore(options.stop_at_first_failure(false), async move |cx: &Cx| {
                    perform(cx, body.clone()).await
                });
                let told = (found.runs as usize, found.exhausted, &found.classes);
                let is_all = runs == orders.len();
                cut += usize::from(!is_all);
                assert_eq!(told, (runs, is_all, &classes), "{method:?} of {seed}, {program:?}");
            }
        }
    }
    assert!(compared > 60 && cut > 200, "{compared} programs, {cut} explorations cut");
}
