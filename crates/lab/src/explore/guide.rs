//! An exploration's engine as the strategy of its runs.

use super::engine::{Engine, Seat, first};
use crate::strategy::{Blocked, Choice, Footprint, Strategy};
use std::fmt;

/// The engine as the lab's strategy.
///
/// Clones guide by the same engine, one after the other.
pub(crate) struct Guide {
    seat: Seat,
    /// It, while it guides.
    engine: Option<Box<Engine>>,
}

impl Guide {
    pub(super) fn new(seat: Seat) -> Guide {
        Guide { seat, engine: None }
    }
}

impl Clone for Guide {
    fn clone(&self) -> Guide {
        Guide::new(self.seat.clone())
    }
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guide")
    }
}

impl Strategy for Guide {
    fn begin(&mut self, _seed: u64) {
        self.engine = self.seat.lock().take();
        if let Some(engine) = &mut self.engine {
            engine.begin();
        }
    }

    fn choose(&mut self, enabled: &[Choice]) -> usize {
        match &mut self.engine {
            Some(engine) => engine.choose(enabled),
            None => first(enabled),
        }
    }

    fn alone(&mut self, only: &Choice) {
        self.choose(std::slice::from_ref(only));
    }

    fn watches(&self) -> bool {
        true
    }

    fn knows(&self) -> u64 {
        self.engine.as_ref().map_or(0, |engine| engine.knows())
    }

    fn stepped(&mut self, footprint: &mut Footprint) {
        if let Some(engine) = &mut self.engine {
            engine.stepped(footprint);
        }
    }

    fn ended(&mut self, blocked: &[Blocked]) {
        if let Some(mut engine) = self.engine.take() {
            engine.ended(blocked);
            *self.seat.lock() = Some(engine);
        }
    }
}
