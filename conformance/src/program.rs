//! Programs as data.

use crate::log::Cause;
use std::time::Duration;

/// What things are called: tasks, regions, channels, locks, notes.
pub type Name = &'static str;

/// Steps, done one after the other. A step that was told of a cancellation, failed or panicked ends
/// its body; nothing after it is done.
pub type Body = Vec<Step>;

/// A main task's body, and what it may refer to.
#[derive(Clone, Debug)]
pub struct Program {
    /// The body of the main task.
    pub main: Body,
}

/// One thing a task does.
#[derive(Clone, Debug)]
pub enum Step {
    /// Writes [`Event::Note`](crate::log::Event::Note).
    Note(Name),
    /// Writes [`Event::Told`](crate::log::Event::Told): the reason this task is cancelled for, now.
    Reason,
    /// Waits for so long.
    Sleep(Duration),
    /// Lets others run once.
    Yield,
    /// Sends a unit over the named channel (room for 64). Waits only when it is full.
    Send(Name),
    /// Receives a unit from the named channel. At most one task receives at a time.
    Receive(Name),
    /// Takes a place in the named channel for a parcel, does the body, and sends the parcel. Answers `sent`, or
    /// `handed back` when it was not taken. A parcel that is dropped on the way answers `lost`.
    SendParcel(Name, Body),
    /// Receives a parcel from the named channel; answers `arrived`.
    TakeParcel(Name),
    /// Drops the receiver of the named channel.
    HangUp(Name),
    /// Answers what the runtime calls this task.
    Identify,
    /// Opens a region through a context that may spawn and nothing else. A task in it answers which of spawning,
    /// the clock, random numbers and I/O its own context gives it, by these names: `spawn time random io`.
    Narrowed,
    /// Does the body while holding the named lock.
    Lock(Name, Body),
    /// Reads four bytes with `read_exact` from a stream that holds two and whose other end stays
    /// open and silent.
    ReadExact,
    /// Awaits a future that never wakes and knows nothing of the runtime.
    Foreign,
    /// Waits until cancelled; then does not end before it was polled so many times more (it wakes
    /// itself), and ends as cancelled.
    Linger(u32),
    /// Does the body masked: a cancellation is seen after it.
    Masked(Body),
    /// Does the body. If that ends because of a cancellation, does the cleanup, masked, and then
    /// ends as the body did.
    OnCancel(Body, Body),
    /// Does the body so many times.
    Times(u32, Body),
    /// Does the body until something ends it.
    Forever(Body),
    /// Spawns a task: into the region whose body this is, or else into the region of the task whose
    /// body this is. The spawn itself neither waits nor fails.
    Spawn(Task),
    /// Spawns a service into the region whose body this is: it is cancelled after all others have ended, and keeps
    /// no region open.
    Service(Task),
    /// Spawns a service that does the first body, says that it is ready, and does the second; waits for its
    /// word. Answers `ready`, or `never ready` when the task ends without.
    SpawnReady(Name, Body, Body),
    /// Spawns the tasks into the region whose body this is, so many at a time: waits for a place for each.
    Limited(usize, Vec<Task>),
    /// Spawns the tasks as a group of the region whose body this is, and takes their outcomes as they end:
    /// writes [`Event::Joined`](crate::log::Event::Joined) for each.
    Group(Vec<Task>),
    /// Asks the region whose body this is to finish, and cancels it if it has not when the time is over.
    AskToFinish(Duration),
    /// Waits until the task is asked to finish.
    UntilAsked,
    /// Joins the most recently spawned task of this name, and writes
    /// [`Event::Joined`](crate::log::Event::Joined).
    Join(Name),
    /// Requests cancellation of the most recently spawned task of this name.
    Cancel(Name, Request),
    /// Requests cancellation of the region whose body this is.
    CancelRegion(Request),
    /// Opens a region, and is done when it has closed and
    /// [`Event::Closed`](crate::log::Event::Closed) is written. Its outcome does not end the body around it,
    /// unless the task itself is cancelled.
    Region(Region),
    /// Registers a finalizer of the region whose body this is. A finalizer's body may contain notes,
    /// waits and masks, no spawns.
    Defer(Body),
    /// Does the body with a time limit; answers `elapsed`, `finished` or `cancelled`.
    Timeout(Duration, Body),
    /// Does the bodies at once in one task until the first ends; answers its number. The others are
    /// cancelled, and have ended when this step is done.
    Race(Vec<Body>),
    /// Does the body until a message arrives on the named channel, and then drops it where it stands.
    Abandon(Body, Name),
    /// Spends so many units of the cost budget.
    Charge(u64),
    /// Takes on an obligation that must be resolved, and drops it unresolved.
    BreakPromise,
    /// Takes on an obligation that must be resolved, and forgets it: not even its drop runs.
    ForgetPromise,
    /// Takes on an obligation that is settled by being dropped (a permit, a guard), does the body, and
    /// then settles it so. A body that ends early drops it.
    Permit(Body, Settle),
    /// The same with an obligation that must be settled by name.
    Duty(Body, Settle),
    /// Ends the body with this error.
    Fail(Name),
    /// Panics with this message.
    Panic(Name),
    /// Tries to run a program inside this one; answers `refused` or `ran`.
    NestedRun,
}

/// How an obligation is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settle {
    /// It is fulfilled.
    Commit,
    /// It is given back by name.
    Abort,
    /// It is dropped.
    Drop,
    /// It is forgotten: not even its drop runs.
    Forget,
}

/// A task to spawn.
#[derive(Clone, Debug)]
pub struct Task {
    /// What it is called; several may share a name.
    pub name: Name,
    /// Its limits.
    pub limits: Limits,
    /// What it does.
    pub body: Body,
}

/// A region to open.
#[derive(Clone, Debug)]
pub struct Region {
    /// What it is called.
    pub name: Name,
    /// What a child's failure means for its siblings.
    pub policy: Policy,
    /// Its limits.
    pub limits: Limits,
    /// Its body.
    pub body: Body,
}

/// What a child's failure means for its siblings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The first error or panic cancels the siblings.
    FailFast,
    /// The siblings go on.
    CollectAll,
}

/// Limits of a task or region; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Time from its start.
    pub time: Option<Duration>,
    /// Polls.
    pub polls: Option<u32>,
    /// Cost units.
    pub cost: Option<u64>,
}

/// A cancel request.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its kind: [`Cause::User`] or [`Cause::Shutdown`].
    pub cause: Cause,
    /// How long the cancelled may take to clean up; `None` leaves it to the runtime.
    pub cleanup: Option<Duration>,
}

/// Somebody's wish.
pub const USER: Request = Request { cause: Cause::User, cleanup: None };
/// The end of everything.
pub const SHUTDOWN: Request = Request { cause: Cause::Shutdown, cleanup: None };

/// Longer than any run may take, by any clock.
pub const FOR_EVER: Duration = Duration::from_secs(3600);

/// Long enough for everything that can run to run, on a busy machine too.
pub const MOMENT: Duration = Duration::from_millis(20);

/// `Step::Spawn` without limits.
#[must_use]
pub fn spawn(name: Name, body: impl Into<Body>) -> Step {
    Step::Spawn(Task { name, limits: Limits::default(), body: body.into() })
}

/// `Step::Spawn` with limits.
#[must_use]
pub fn spawn_limited(name: Name, limits: Limits, body: impl Into<Body>) -> Step {
    Step::Spawn(Task { name, limits, body: body.into() })
}

/// `Step::Region` that fails fast and has no limits.
#[must_use]
pub fn region(name: Name, body: impl Into<Body>) -> Step {
    let (policy, limits) = (Policy::FailFast, Limits::default());
    Step::Region(Region { name, policy, limits, body: body.into() })
}
