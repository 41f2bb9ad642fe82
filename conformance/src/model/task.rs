//! Tasks: a stack of frames, the scopes among them, and a poll.

mod poll;
mod step;
mod wait;

use super::seen::{Out, Reason, Stop};
use super::{Handle, RegionNo, TaskNo};
use crate::log::{Cause, Who};
use crate::program::{Body, Name, Settle, Step};

#[derive(Clone, Debug)]
pub(super) struct Task<'p> {
    pub(super) region: RegionNo,
    pub(super) who: Who,
    pub(super) name: &'static str,
    /// The log hears of its end.
    pub(super) is_announced: bool,
    pub(super) frames: Vec<Frame<'p>>,
    wait: Option<Wait>,
    /// The wait was seen parked.
    parked: bool,
    /// The wait is kept in a scope's list, to be woken by its cancellation.
    pub(super) wait_is_listed: bool,
    runnable: bool,
    pub(super) escalated: bool,
    pub(super) cancel: Option<Reason>,
    told: bool,
    pub(super) masked: bool,
    pub(super) polls_left: Option<u32>,
    pub(super) own_polls: Option<u32>,
    pub(super) own_deadline: Option<u64>,
    pub(super) account: Option<usize>,
    pub(super) deadline_timer: Option<u64>,
    pub(super) cleanup_timer: Option<u64>,
    pub(super) cancelled_by_handle: bool,
    serials: u32,
    joiner: Option<TaskNo>,
    pub(super) forgotten_permits: usize,
    pub(super) out: Option<Out>,
    pub(super) claimed: bool,
}

/// A node of the scope tree, inside a task.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) serial: u32,
    pub(super) cancel: Option<Reason>,
    told: bool,
    masked: bool,
    deadline: Option<u64>,
    deadline_timer: Option<u64>,
    cleanup_timer: Option<u64>,
    pub(super) escalated: bool,
    /// A cancellation wakes the task through this scope.
    pub(super) wakes: bool,
}

impl Scope {
    fn new(serial: u32) -> Scope {
        Scope {
            serial,
            cancel: None,
            told: false,
            masked: false,
            deadline: None,
            deadline_timer: None,
            cleanup_timer: None,
            escalated: false,
            wakes: false,
        }
    }
}

/// One level of what a body is in the middle of.
#[derive(Clone, Debug)]
pub(super) enum Frame<'p> {
    Steps(&'p [Step]),
    Masked(Scope),
    OnCancel(&'p Body),
    /// After the cleanup of an `OnCancel`: ends as the body did.
    Rethrow(Cause),
    Branch(Scope),
    /// `ended` is what the body came to, once it is over.
    Region {
        scope: Scope,
        region: RegionNo,
        ended: Option<Out>,
    },
    Permit(usize, Settle),
    Duty(usize, RegionNo, Settle),
}

impl<'p> Frame<'p> {
    pub(super) fn steps(body: &'p Body) -> Frame<'p> {
        Frame::Steps(body)
    }

    pub(super) fn region(serial: u32, region: RegionNo) -> Frame<'p> {
        Frame::Region { scope: Scope::new(serial), region, ended: None }
    }

    fn scope(&self) -> Option<&Scope> {
        match self {
            Frame::Masked(scope) | Frame::Branch(scope) | Frame::Region { scope, .. } => {
                Some(scope)
            }
            _ => None,
        }
    }

    pub(super) fn scope_mut(&mut self) -> Option<&mut Scope> {
        match self {
            Frame::Masked(scope) | Frame::Branch(scope) | Frame::Region { scope, .. } => {
                Some(scope)
            }
            _ => None,
        }
    }

    /// A scope whose wrapper polls a future that it may drop.
    fn is_wrapper(&self) -> bool {
        matches!(self, Frame::Branch(_) | Frame::Region { ended: None, .. })
    }
}

/// What a task is in the middle of waiting for.
#[derive(Clone, Debug)]
enum Wait {
    Sleep {
        until: u64,
        ahead: bool,
        timer: Option<u64>,
    },
    Yield {
        done: bool,
    },
    Join(Name, Handle),
    Linger(u32),
    /// A branch was dropped for a cancellation from around it: waits to be told.
    Dropped,
    /// No wait of the kernel's: a future that never wakes.
    Foreign,
    /// No wait of the kernel's: wakes itself so many times more.
    Lingering(u32, Cause),
}

/// How a step or a frame goes on.
enum Flow {
    Blocked,
    Done(Result<(), Stop>),
}

impl<'p> Task<'p> {
    pub(super) fn new(region: RegionNo, who: Who, body: &'p Body) -> Task<'p> {
        Task {
            region,
            who,
            name: who.name,
            is_announced: who.number != 0,
            frames: vec![Frame::Steps(body)],
            wait: None,
            parked: false,
            wait_is_listed: false,
            runnable: true,
            escalated: false,
            cancel: None,
            told: false,
            masked: false,
            polls_left: None,
            own_polls: None,
            own_deadline: None,
            account: None,
            deadline_timer: None,
            cleanup_timer: None,
            cancelled_by_handle: false,
            serials: 0,
            joiner: None,
            forgotten_permits: 0,
            out: None,
            claimed: false,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.out.is_some()
    }

    pub(super) fn is_runnable(&self) -> bool {
        self.runnable && !self.is_over()
    }

    pub(super) fn next_serial(&mut self) -> u32 {
        self.serials += 1;
        self.serials
    }

    pub(super) fn scopes_mut(&mut self) -> impl Iterator<Item = &mut Scope> {
        self.frames.iter_mut().filter_map(Frame::scope_mut)
    }

    fn scopes_within(&self, depth: usize) -> impl Iterator<Item = &Scope> {
        self.frames[..depth].iter().rev().filter_map(Frame::scope)
    }

    /// Why the innermost scope among the first frames counts as cancelled: the nearest reason up to a mask.
    pub(super) fn effective(&self, depth: usize) -> Option<Reason> {
        for scope in self.scopes_within(depth) {
            if scope.masked {
                return None;
            }
            if scope.cancel.is_some() {
                return scope.cancel;
            }
        }
        self.cancel.filter(|_| !self.masked)
    }

    /// The same without regard to masks.
    fn behind_masks(&self, depth: usize) -> Option<Reason> {
        self.scopes_within(depth).find_map(|scope| scope.cancel).or(self.cancel)
    }

    /// The reason that something in the scope was told of.
    fn told_reason(&self, depth: usize) -> Option<Reason> {
        for scope in self.scopes_within(depth) {
            if scope.masked {
                return None;
            }
            if scope.told && scope.cancel.is_some() {
                return scope.cancel;
            }
        }
        self.cancel.filter(|_| self.told && !self.masked)
    }

    /// The depth that a wait belongs to: the innermost scope that is being polled.
    fn current(&self) -> usize {
        match self.frames.last() {
            Some(Frame::Region { ended: Some(_), .. }) => self.frames.len() - 1,
            _ => self.frames.len(),
        }
    }

    fn is_nested(&self) -> bool {
        self.scopes_within(self.current()).next().is_some()
    }

    pub(super) fn enclosing_region(&self) -> Option<RegionNo> {
        self.frames.iter().rev().find_map(|frame| match frame {
            Frame::Region { region, ended: None, .. } => Some(*region),
            _ => None,
        })
    }

    /// What around the innermost scope no mask hides: the tightest deadline of the branches, and the innermost
    /// region. And whether there is a mask.
    pub(super) fn reached_by(&self) -> (Option<u64>, Option<RegionNo>, bool) {
        let (mut deadline, mut region) = (None, None);
        for frame in self.frames.iter().rev() {
            let Some(scope) = frame.scope() else { continue };
            if scope.masked {
                return (deadline, region, true);
            }
            deadline = deadline.into_iter().chain(scope.deadline).min();
            if let Frame::Region { region: here, .. } = frame {
                region.get_or_insert(*here);
            }
        }
        (deadline, region, self.masked)
    }

    pub(super) fn branch_deadline(&self) -> Option<u64> {
        self.scopes_within(self.frames.len()).filter_map(|scope| scope.deadline).min()
    }

    /// Whether it waits at the kernel's door.
    fn is_at_door(&self) -> bool {
        !matches!(self.wait, None | Some(Wait::Foreign | Wait::Lingering(..)))
    }

    /// Whether a future polled in the cancelled scope can no longer be reached by its cancellation.
    fn is_stuck(&self, depth: usize) -> bool {
        let shields = |frame: &Frame<'_>| matches!(frame, Frame::Masked(_) | Frame::Region { .. });
        self.effective(depth).is_some()
            && !self.is_at_door()
            && !self.frames[depth..].iter().any(shields)
    }
}
