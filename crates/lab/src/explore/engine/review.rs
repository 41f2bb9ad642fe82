//! Whether a state may be left.

use super::Engine;
use crate::explore::foresight::Forecast;
use crate::explore::label::Shared;
use crate::explore::tree::{self, Branch};
use asupersync_core::TaskId;

impl Engine {
    /// Looks again at what was left out at the last node where that was decided by a forecast: plans what is not covered
    /// after all, or everything where that cannot be told.
    pub(super) fn review(&mut self) {
        let Engine { nodes, history, guesses, compound, .. } = self;
        let keeps = *guesses || *compound;
        let Some(last) = nodes.len().checked_sub(1) else { return };
        if nodes[last].tries_all {
            return;
        }
        if history.closing.is_foreign {
            return self.try_all();
        }
        let mut plans = Vec::new();
        for at in 0..=last {
            let mut forecasts = std::mem::take(&mut nodes[at].forecasts);
            forecasts.retain_mut(|forecast| !forecast.holds(&history.known));
            let (before, node) = nodes.split_at(last);
            let sleep = &node[0].sleep;
            let way =
                || before.get(at..).unwrap_or_default().iter().filter_map(|n| n.label.as_ref());
            let concerns = |forecast: &&Forecast| {
                sleep.iter().any(|label| label.task == forecast.first)
                    && forecast.may_begin_with(way())
            };
            for forecast in forecasts.iter().filter(concerns) {
                let imminent = |sequence: &[Shared]| history.imminent(at, sequence);
                let Some((sequence, imminent)) = forecast.after(way(), imminent) else {
                    nodes[at].forecasts = forecasts;
                    return self.try_all();
                };
                if !sleep.iter().any(|label| tree::covers(label, &sequence, || imminent.clone())) {
                    plans.push((sequence, imminent, forecast.first));
                }
            }
            nodes[at].forecasts = forecasts;
        }
        let wakeup = &mut nodes[last].wakeup;
        for (sequence, imminent, first) in plans {
            tree::insert(wakeup, &mut tree::sequence(&sequence), &imminent, first, keeps);
        }
    }

    /// What was not tried at the last node is to be.
    fn try_all(&mut self) {
        let Some(node) = self.nodes.last_mut() else { return };
        node.tries_all = true;
        let sleeps = |task: &TaskId| node.sleep.iter().any(|label| label.task == *task);
        let tasks = node.enabled.iter().filter(|task| !sleeps(task));
        node.wakeup.extend(tasks.map(|task| Branch::unknown(*task)));
    }
}
