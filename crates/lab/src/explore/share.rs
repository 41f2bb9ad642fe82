//! How many of the classes that begin as a failing run does fail.
//!
//! An exploration whose first run is the failing one finds, until it leaves that run's first so many steps, all classes
//! that begin with them and no others: on the way of a first run nothing sleeps. So each time it goes back further
//! than before, what it has counted until then is the count for another beginning. It begins at the run's end, where a
//! few runs are enough, and stops where they become too many.

use super::engine::Engine;
use super::{Guide, Method};
use crate::script::Plan;
use crate::trial::{Trial, Trials, Wanted};
use asupersync_trace::Share;

/// Longer runs are not looked at.
const LONGEST: usize = 2_000;
/// Runs, and polls of them together, after which counting stops.
const MOST_RUNS: u64 = 1_000;
const MOST_STEPS: u64 = 50_000;

/// The shares of failing classes, for ever longer beginnings of the failing run, from the shortest that could be
/// counted; one for each change. Empty if the run does not come again when it is guided.
pub(crate) fn shares(trials: &mut Trials<'_>, failing: &Trial, left_out: &[usize]) -> Vec<Share> {
    let way = &failing.seen.schedule;
    if way.len() > LONGEST || failing.cancel_at.is_some() || failing.fingerprint.is_none() {
        return Vec::new();
    }
    let seat = Engine::along(Method::Optimal, way).keeping().seated();
    let guide = Guide::new(seat.clone());
    let longest = 2 * way.len() as u64 + 100;
    let (mut shares, mut counted) = (Vec::new(), way.len() + 1);
    let (mut failed, mut classes, mut runs, mut steps) = (0, 0, 0, 0);
    while runs < MOST_RUNS && steps < MOST_STEPS {
        let (plan, left_out) = (Plan::Guided(guide.clone()), left_out.to_vec());
        let wanted = Wanted { plan, capture: false, max_steps: Some(longest), left_out };
        let trial = trials(wanted);
        let mut seat = seat.lock();
        let Some(engine) = seat.as_mut() else { break };
        runs += 1;
        steps += trial.steps;
        let is_first = runs == 1;
        if trial.is_cut || (is_first && trial.fingerprint != failing.fingerprint) {
            break;
        }
        if !engine.is_blocked() {
            classes += 1;
            failed += u64::from(trial.failure.is_some());
        }
        let more = engine.advance();
        // Of this length too all are known only when it is left.
        let kept = if more { engine.kept() + 1 } else { 0 };
        if kept < counted {
            counted = kept;
            add(&mut shares, Share { steps: kept as u64, failed, classes });
        }
        if !more {
            break;
        }
    }
    shares.reverse();
    shares
}

/// Adds the share of a shorter beginning, unless it is that of the one before.
fn add(shares: &mut Vec<Share>, share: Share) {
    match shares.last_mut() {
        Some(last) if (last.failed, last.classes) == (share.failed, share.classes) => {
            last.steps = share.steps;
        }
        _ => shares.push(share),
    }
}

#[cfg(test)]
mod tests;
