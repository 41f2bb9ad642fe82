//! The loop of one worker.

use crate::lanes::Local;
use crate::scheduler::Shared;
use asupersync_core::{Lane, Runnable, Time, WakeList};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The most polls from one look at the clock, the timers and the driver to the next.
const MOST_POLLS: u32 = 64;
/// A worker that has been at work for so long without a look into the driver takes one.
const LONG: Duration = Duration::from_micros(100);
/// How often a worker that was woken in vain looks again before it sleeps.
const LOOKS: u32 = 16;
/// Spins between two such looks: about a third of a microsecond.
const LOOK_SPINS: u32 = 16;

thread_local! {
    /// The queues of the worker that runs on this thread, so that a task it wakes lands there.
    static CURRENT: RefCell<Option<Box<Local>>> = const { RefCell::new(None) };
}

/// Whether the calling thread is a worker of some scheduler, inside its loop. Waiting for tasks on
/// such a thread would keep it from running them.
#[must_use]
pub fn on_worker_thread() -> bool {
    CURRENT.try_with(|current| current.borrow().is_some()).unwrap_or(false)
}

/// Puts a task into the calling worker's queues if it is one of this scheduler's; gives it back
/// otherwise. `Ok(true)` means that another worker could help.
pub(crate) fn push_local(scheduler: usize, task: Runnable, lane: Lane) -> Result<bool, Runnable> {
    let mut task = Some(task);
    let pushed = CURRENT.try_with(|current| match &*current.borrow() {
        Some(local) if local.scheduler == scheduler => {
            task.take().map(|task| local.push(task, lane))
        }
        _ => None,
    });
    match (pushed, task) {
        (Ok(Some(help)), _) => Ok(help),
        (_, Some(task)) => Err(task),
        (_, None) => Ok(false),
    }
}

/// The number of the calling worker, if it is one of this scheduler's.
pub(crate) fn current_worker(scheduler: usize) -> Option<usize> {
    CURRENT
        .try_with(|current| {
            let current = current.borrow();
            current.as_ref().filter(|local| local.scheduler == scheduler).map(|local| local.worker)
        })
        .ok()
        .flatten()
}

/// One worker: its queues, and the loop that serves them on whatever thread calls
/// [`run_until`](Worker::run_until).
pub struct Worker {
    local: Option<Box<Local>>,
    turn: Turn,
}

/// The part of a worker that is in use while its queues are lent to the thread.
struct Turn {
    shared: Arc<Shared>,
    worker: usize,
    polls: u32,
    /// Polls from one look at the clock to the next: few where polls take long.
    interval: u32,
    until_look: u32,
    /// When the worker last came from the driver, or looked into it.
    looked: Time,
    searching: bool,
    /// Looks for work before the next sleep.
    looks_left: u32,
    random: u32,
}

/// Lends the queues to the thread; gives them back on the way out, whichever way that is.
struct Lent<'a> {
    home: &'a mut Option<Box<Local>>,
    outer: Option<Box<Local>>,
}

impl<'a> Lent<'a> {
    fn new(home: &'a mut Option<Box<Local>>) -> Lent<'a> {
        let outer = CURRENT.with(|current| current.replace(home.take()));
        Lent { home, outer }
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        *self.home = CURRENT.with(|current| current.replace(self.outer.take()));
    }
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, mut local: Local) -> Worker {
        let worker = local.worker;
        local.scheduler = shared.id();
        let random = (worker as u32).wrapping_mul(0x9e37_79b9) | 1;
        let turn = Turn {
            shared,
            worker,
            polls: 0,
            interval: 1,
            until_look: 1,
            looked: Time::ZERO,
            searching: false,
            looks_left: 0,
            random,
        };
        Worker { local: Some(Box::new(local)), turn }
    }

    /// Serves the scheduler until it is stopped.
    pub fn run(&mut self) {
        self.run_until(|| false);
    }

    /// Serves the scheduler until it is stopped or `done`, which is asked before each poll. What makes
    /// `done` true must also [`unpark`](crate::Scheduler::unpark) this worker.
    pub fn run_until(&mut self, mut done: impl FnMut() -> bool) {
        let turn = &mut self.turn;
        let lent = Lent::new(&mut self.local);
        CURRENT.with(|current| {
            let current = current.borrow();
            let local = current.as_deref().expect("just lent");
            while !turn.shared.is_stopping() && !done() {
                turn.once(local);
            }
            turn.leave(local);
        });
        drop(lent);
    }
}

impl Turn {
    /// Polls one task, or sleeps until there may be one.
    fn once(&mut self, local: &Local) {
        self.polls = self.polls.wrapping_add(1);
        match self.next(local).or_else(|| self.search(local)) {
            Some(task) => {
                self.found_work();
                if self.until_look == 0 {
                    let now = self.shared.clock.now();
                    self.maintain(local, 1, now);
                }
                self.until_look -= 1;
                local.run(task);
            }
            None if self.lingers() => {}
            // To park is the better look. But while this worker was long at work nobody may have sat in the
            // driver's seat, and there may be another one to wake for it.
            None if self.until_look == 0 && self.shared.workers.len() > 1 => {
                let now = self.shared.clock.now();
                if now.saturating_since(self.looked) >= LONG {
                    self.maintain(local, 0, now);
                }
                self.park(local, Some(now));
            }
            None => self.park(local, None),
        }
    }

    /// The worker's own next task: pinned ones and others by turns, where there are both.
    fn next(&self, local: &Local) -> Option<Runnable> {
        let shared = &*self.shared;
        let pinned = &shared.workers[self.worker].pinned;
        if pinned.is_empty() {
            return local.pop(&shared.injectors);
        }
        if self.polls % 2 == 0 {
            pinned.pop().or_else(|| local.pop(&shared.injectors))
        } else {
            local.pop(&shared.injectors).or_else(|| pinned.pop())
        }
    }

    /// A worker that was woken for work and came too late for it looks on for some microseconds. Where
    /// tasks are that short there will be more, and while it looks nobody pays for waking it again: that
    /// costs the waker as much as several such tasks.
    fn lingers(&mut self) -> bool {
        if !self.searching || self.looks_left == 0 {
            return false;
        }
        self.looks_left -= 1;
        for _ in 0..LOOK_SPINS {
            std::hint::spin_loop();
        }
        true
    }

    /// Looks at the timers and, less often, into the driver, while there is always work to do. The worker
    /// holds so many tasks that it polls next.
    ///
    /// Looks come at first after one poll and then less and less often, as long as the polls between
    /// them are short: so neither a thousand short polls nor three long ones keep events waiting.
    fn maintain(&mut self, local: &Local, held: usize, now: Time) {
        let shared = &*self.shared;
        let at_work = now.saturating_since(self.looked);
        let into_driver = at_work >= LONG || self.interval == MOST_POLLS;
        let mut vacant = false;
        let queued = local.batch(|| {
            shared.timers.fire(self.worker, now);
            if into_driver {
                let mut wakers = WakeList::new();
                vacant = shared.seat.poll(&mut wakers);
                wakers.wake();
            }
        });
        // Whoever sits in the driver sees an event when it comes, and this worker only now and then. So
        // one that sleeps elsewhere is woken: it finds no work, and sleeps again in the driver's seat.
        if queued + held > 1 || vacant {
            shared.notify();
        }
        if into_driver {
            self.looked = now;
        }
        if at_work < LONG {
            self.interval = (self.interval * 2).min(MOST_POLLS);
        } else if at_work >= LONG * 2 {
            self.interval = (self.interval / 2).max(1);
        }
        self.until_look = self.interval;
    }

    /// Looks for work elsewhere, unless another worker is doing so.
    fn search(&mut self, local: &Local) -> Option<Runnable> {
        let shared = &*self.shared;
        let workers = shared.workers.len();
        if workers == 1 {
            return None;
        }
        if !self.searching {
            // The queues of those who sleep are empty, and the injector was a moment ago.
            if shared.idle.sleeping() + 1 >= workers {
                return None;
            }
            self.searching = shared.idle.start_searching();
            if !self.searching {
                return None;
            }
        }
        // Any order will do; a different one each time spreads the thieves. (xorshift32, Marsaglia 2003)
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        let start = self.random as usize % workers;
        (0..workers)
            .map(|n| (start + n) % workers)
            .filter(|&victim| victim != self.worker)
            .find_map(|victim| local.steal(&shared.workers[victim].stealers))
    }

    /// A search that ends in work passes the baton on: there may be more than this worker takes.
    fn found_work(&mut self) {
        if self.searching {
            self.searching = false;
            if self.shared.idle.stop_searching() {
                self.shared.notify();
            }
        }
    }

    /// Sleeps until there is something to do, unless there is already. `now` if the clock was just read.
    fn park(&mut self, local: &Local, now: Option<Time>) {
        let shared = &*self.shared;
        // Without a timer nobody wants to know the time.
        let now = now.or_else(|| shared.timers.any_armed().then(|| shared.clock.now()));
        if let Some(now) = now {
            local.batch(|| {
                shared.timers.fire(self.worker, now);
                shared.timers.fire_for_others(self.worker, now);
            });
        }
        if !local.is_empty() || !shared.workers[self.worker].pinned.is_empty() {
            return;
        }
        let asleep = shared.idle.announce(self.worker, self.searching) - 1;
        self.searching = false;
        // Whoever adds work and saw no sleeper to wake has added it before this look.
        if shared.has_work(self.worker, asleep) || shared.is_stopping() {
            shared.idle.retract(self.worker, true);
            self.searching = true;
            return;
        }
        let bound = shared.timers.bound(self.worker);
        let timeout = (bound != Time::MAX)
            .then(|| bound.saturating_since(now.unwrap_or_else(|| shared.clock.now())));
        let mut wakers = WakeList::new();
        shared.workers[self.worker].parker.park(&shared.seat, timeout, &mut wakers);
        self.searching = shared.idle.retract(self.worker, false);
        self.looks_left = if self.searching { LOOKS } else { 0 };
        self.looked = shared.clock.now();
        (self.interval, self.until_look) = (1, 1);
        let queued = local.batch(|| {
            wakers.wake();
            shared.timers.fire(self.worker, self.looked);
        });
        if queued > 1 {
            shared.notify();
        }
    }

    /// The worker leaves the loop: if it was the searcher, or has work, somebody else must take over.
    fn leave(&mut self, local: &Local) {
        self.found_work();
        if !local.is_empty() {
            self.shared.notify();
        }
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("worker", &self.turn.worker).finish_non_exhaustive()
    }
}
