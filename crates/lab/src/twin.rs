//! The passing twin: the failing run with one race the other way round.

use crate::script::{Act, Plan};
use crate::trial::{Trial, Trials, Wanted};

/// Runs longer than this are not searched for races.
const LONGEST: usize = 2_000;
/// Races that are tried.
const MOST_RACES: usize = 200;

/// Two polls whose order decides.
pub(crate) struct Twin {
    /// The poll of the failing run that came first, and should not have.
    pub(crate) first: usize,
    /// The one that should have; none if the failure kept it from coming.
    pub(crate) second: Option<usize>,
    /// The run in which it did.
    pub(crate) trial: Trial,
    /// Races that were tried.
    pub(crate) tried: usize,
}

/// Looks for a run that passes and differs from the failing one in the order of one race: the last that
/// does.
pub(crate) fn find(
    trials: &mut Trials<'_>,
    failing: &mut Trial,
    left_out: &[usize],
) -> Result<Twin, usize> {
    let count = failing.seen.schedule.len();
    if count > LONGEST {
        return Err(0);
    }
    let mut races = failing.seen.races();
    races.retain(|race| race.first < failing.failed_at);
    races.sort_by_key(|race| std::cmp::Reverse((race.second.unwrap_or(count), race.first)));
    races.truncate(MOST_RACES);
    let all = races.len();
    for (tried, race) in races.into_iter().enumerate() {
        let before = failing.seen.schedule[..race.first].iter().copied();
        let mut acts: Vec<Act> = before.chain(race.instead).map(Act::Poll).collect();
        if let Some(step) = failing.cancel_at {
            acts.insert((step as usize).min(acts.len()), Act::Cancel);
        }
        let max_steps = Some(2 * count as u64 + 100);
        let (plan, left_out) = (Plan::Acts(acts), left_out.to_vec());
        let trial = trials(Wanted { plan, capture: true, max_steps, left_out });
        if trial.failure.is_none() {
            return Ok(Twin { first: race.first, second: race.second, trial, tried: tried + 1 });
        }
    }
    Err(all)
}
