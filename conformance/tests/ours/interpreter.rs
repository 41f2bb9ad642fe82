//! The steps of a conformance program, in this runtime's terms: the same for both hosts.

use asupersync::combinator::{TimeoutError, race_all, timeout};
use asupersync::io::{AsyncReadExt, AsyncWriteExt, duplex};
use asupersync::prelude::*;
use asupersync::sync::Mutex;
use asupersync::{Cancelled, RegionOptions, TaskHandle, TaskOptions};
use asupersync_channel::Delivery;
use asupersync_conformance::log::{Cause, End, Event, Log, MAIN, ROOT, Where, Who};
use asupersync_conformance::program::{Limits, Name, Program, Region, Request, Settle, Step, Task};
use asupersync_core::NotReady;
use asupersync_core::ObligationKind;
use asupersync_core::cap::{Capabilities, SpawnOnly};
use std::collections::BTreeMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

/// What ends a body before its last step; the error type of every region here.
#[derive(Debug)]
pub(crate) enum Stop {
    Cancelled(Cancelled),
    Failed(Name),
    // Something this runtime should never answer here.
    Broken(String),
}

impl From<Cancelled> for Stop {
    fn from(cancelled: Cancelled) -> Stop {
        Stop::Cancelled(cancelled)
    }
}

static PROMISE: ObligationKind = ObligationKind::new("promise");
static PERMIT: ObligationKind = ObligationKind::abort_on_drop("permit");

/// What a program says of itself where the world is told to mark: a mask began or ended, a region's body or a whole
/// task was dropped before its end.
pub(crate) const MASKED: &str = "masked";
pub(crate) const UNMASKED: &str = "unmasked";
pub(crate) const BODY_DROPPED: &str = "body dropped";
pub(crate) const TASK_DROPPED: &str = "task dropped";

type Handle = TaskHandle<(), Stop>;
type Held<T> = std::sync::Mutex<BTreeMap<Name, Arc<T>>>;

/// What the steps of a program name: made at the first mention.
pub(crate) struct World {
    log: Log,
    channels: Held<Channel>,
    locks: Held<Mutex<()>>,
    tasks: std::sync::Mutex<BTreeMap<Name, Handle>>,
    // Runs an empty program on a host of its own; whether that was refused.
    nested_run_is_refused: fn() -> bool,
    marks: bool,
}

/// A message: nothing, or a parcel.
type Item = Option<Parcel>;

struct Channel {
    sender: mpsc::Sender<Item>,
    receiver: std::sync::Mutex<Option<mpsc::Receiver<Item>>>,
}

/// Something that must arrive or come back; otherwise it says so when it is dropped.
struct Parcel {
    log: Log,
    who: Who,
    is_settled: bool,
}

impl Parcel {
    fn settle(mut self, who: Who, answer: &str) {
        self.is_settled = true;
        self.log.write(who, Event::Answer(answer.to_owned()));
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.is_settled {
            self.log.write(self.who, Event::Answer("lost".to_owned()));
        }
    }
}

impl World {
    pub(crate) fn new(log: &Log, nested_run_is_refused: fn() -> bool) -> World {
        World {
            log: log.clone(),
            channels: Held::default(),
            locks: Held::default(),
            tasks: std::sync::Mutex::default(),
            nested_run_is_refused,
            marks: false,
        }
    }

    /// The same, with marks in the trace.
    #[allow(dead_code, reason = "only what reads traces needs them")]
    pub(crate) fn marking(self) -> World {
        World { marks: true, ..self }
    }

    fn channel(&self, name: Name) -> Arc<Channel> {
        let mut channels = self.channels.lock().unwrap();
        let made = channels.entry(name).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(64);
            Arc::new(Channel { sender, receiver: std::sync::Mutex::new(Some(receiver)) })
        });
        made.clone()
    }

    fn lock(&self, name: Name) -> Arc<Mutex<()>> {
        self.locks.lock().unwrap().entry(name).or_insert_with(|| Arc::new(Mutex::new(()))).clone()
    }
}

/// The receiver while a step uses it; put back however the step ends.
struct Borrowed {
    channel: Arc<Channel>,
    receiver: Option<mpsc::Receiver<Item>>,
}

impl Borrowed {
    fn of(channel: Arc<Channel>) -> Borrowed {
        let receiver = channel.receiver.lock().unwrap().take();
        Borrowed { channel, receiver }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        *self.channel.receiver.lock().unwrap() = self.receiver.take();
    }
}

/// Says when a future is dropped before its end; a panic is an end.
struct Dropped<'a> {
    cx: &'a Cx,
    what: &'static str,
}

impl Drop for Dropped<'_> {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.cx.trace(self.what);
        }
    }
}

async fn whole<F: Future>(here: Here<'_>, what: &'static str, inside: F) -> F::Output {
    let mark = here.world.marks.then(|| Dropped { cx: here.cx, what });
    let answer = inside.await;
    std::mem::forget(mark);
    answer
}

/// Says when a mask begins and ends.
struct InMask<'a>(Option<&'a Cx>);

impl InMask<'_> {
    fn begin(here: Here<'_>) -> InMask<'_> {
        let cx = here.world.marks.then_some(here.cx);
        if let Some(cx) = cx {
            cx.trace(MASKED);
        }
        InMask(cx)
    }
}

impl Drop for InMask<'_> {
    fn drop(&mut self) {
        if let Some(cx) = self.0 {
            cx.trace(UNMASKED);
        }
    }
}

async fn masked(here: Here<'_>, steps: &[Step]) -> Result<(), Stop> {
    let _mark = InMask::begin(here);
    here.cx.masked(body(here, steps)).await
}

/// Where a step is done: by whom, in which region.
#[derive(Clone, Copy)]
struct Here<'a> {
    world: &'a Arc<World>,
    cx: &'a Cx,
    scope: Option<&'a Scope<Stop>>,
    who: Who,
    region: Where,
}

type Done<'a> = Pin<Box<dyn Future<Output = Result<(), Stop>> + Send + 'a>>;

/// The main task: does the program, and measures it by the host's own clock.
pub(crate) async fn main(cx: &Cx, world: &Arc<World>, program: &Program) -> Result<Duration, Stop> {
    let start = cx.now();
    let here = Here { world, cx, scope: None, who: MAIN, region: ROOT };
    whole(here, TASK_DROPPED, body(here, &program.main)).await?;
    Ok(cx.now().saturating_since(start))
}

fn body<'a>(here: Here<'a>, steps: &'a [Step]) -> Done<'a> {
    Box::pin(async move {
        for next in steps {
            step(here, next).await?;
        }
        Ok(())
    })
}

/// What a task is spawned with: its options and its body. (A function could not name the body's type.)
macro_rules! prepared {
    ($here:expr, $task:expr) => {{
        let (here, task): (Here<'_>, &Task) = ($here, $task);
        let world = here.world.clone();
        // Without a region's body around, a spawn goes into the region of the task itself.
        let region = if here.scope.is_some() { here.region } else { here.who.region };
        let held = world.log.spawn(here.who, task.name, region);
        let steps = task.body.clone();
        let options = TaskOptions::new().name(task.name).budget(budget(task.limits));
        let run = async move |cx: &Cx| {
            let held = held;
            let here = Here { world: &world, cx, scope: None, who: held.who, region };
            whole(here, TASK_DROPPED, body(here, &steps)).await
        };
        (options, run)
    }};
}
async fn step(here: Here<'_>, step: &Step) -> Result<(), Stop> {
    let Here { world, cx, scope, who, region } = here;
    let log = &world.log;
    match step {
        Step::Note(text) => log.write(who, Event::Note(text)),
        Step::Reason => {
            log.write(who, Event::Told(cx.cancel_reason().map(|reason| cause(reason.severity()))));
        }
        Step::Sleep(duration) => cx.sleep(*duration).await?,
        Step::Yield => cx.yield_now().await?,
        Step::Send(name) => {
            let channel = world.channel(name);
            match channel.sender.reserve(cx).await {
                Ok(permit) => drop(permit.send(None)),
                Err(error) => return stopped(cx, error),
            }
        }
        Step::Receive(name) => {
            let mut borrowed = Borrowed::of(world.channel(name));
            let Some(receiver) = &mut borrowed.receiver else {
                return Err(Stop::Broken(format!("two tasks receive from {name}")));
            };
            if let Err(error) = receiver.recv(cx).await {
                return stopped(cx, error);
            }
        }
        Step::SendParcel(name, inside) => {
            let channel = world.channel(name);
            let permit = match channel.sender.reserve(cx).await {
                Ok(permit) => permit,
                Err(error) => return stopped(cx, error),
            };
            body(here, inside).await?;
            match permit.send(Some(Parcel { log: log.clone(), who, is_settled: false })) {
                Delivery::HandedBack(Some(parcel)) => parcel.settle(who, "handed back"),
                _ => log.write(who, Event::Answer("sent".to_owned())),
            }
        }
        Step::TakeParcel(name) => {
            let mut borrowed = Borrowed::of(world.channel(name));
            let Some(receiver) = &mut borrowed.receiver else {
                return Err(Stop::Broken(format!("nobody may receive from {name}")));
            };
            match receiver.recv(cx).await {
                Ok(Some(parcel)) => parcel.settle(who, "arrived"),
                Ok(None) => return Err(Stop::Broken("a message is no parcel".to_owned())),
                Err(error) => return stopped(cx, error),
            }
        }
        Step::HangUp(name) => drop(world.channel(name).receiver.lock().unwrap().take()),
        Step::Identify => log.write(who, Event::Answer(cx.task_id().to_string())),
        Step::Narrowed => narrowed(here).await?,
        Step::Lock(name, inside) => {
            let lock = world.lock(name);
            let _guard = match lock.lock(cx).await {
                Ok(guard) => guard,
                Err(error) => return stopped(cx, error),
            };
            body(here, inside).await?;
        }
        Step::ReadExact => {
            let (mut near, mut far) = duplex(64);
            let mut buffer = [0; 4];
            let exchange = async {
                far.write_all(cx, b"ab").await?;
                near.read_exact(cx, &mut buffer).await
            };
            if let Err(error) = exchange.await {
                return stopped(cx, error);
            }
        }
        Step::Foreign => std::future::pending().await,
        Step::Linger(polls) => {
            let told = cx.wait("linger", |_| Poll::<()>::Pending).await;
            let mut left = *polls;
            std::future::poll_fn(|context| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                context.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
            told?;
        }
        Step::Masked(inside) => masked(here, inside).await?,
        Step::OnCancel(inside, cleanup) => match body(here, inside).await {
            Err(Stop::Cancelled(cancelled)) => {
                masked(here, cleanup).await?;
                return Err(Stop::Cancelled(cancelled));
            }
            ended => ended?,
        },
        Step::Times(count, inside) => {
            for _ in 0..*count {
                body(here, inside).await?;
            }
        }
        Step::Forever(inside) => loop {
            body(here, inside).await?;
        },
        Step::Spawn(task) => spawn(here, task, false),
        Step::Service(task) => spawn(here, task, true),
        Step::SpawnReady(name, before, after) => {
            let scope = around(scope)?;
            let (world, held) = (world.clone(), log.spawn(who, name, region));
            let (before, after) = (before.clone(), after.clone());
            let ready = scope.spawn_ready(cx, |ready| {
                async move |cx: &Cx| {
                    let held = held;
                    let here = Here { world: &world, cx, scope: None, who: held.who, region };
                    body(here, &before).await?;
                    ready.set(());
                    body(here, &after).await
                }
            });
            let answer = match ready.await {
                Ok(_) => "ready",
                Err(NotReady::Ended { .. }) => "never ready",
                Err(NotReady::Cancelled(cancelled)) => return Err(Stop::Cancelled(cancelled)),
            };
            log.write(who, Event::Answer(answer.to_owned()));
        }
        Step::Limited(most, tasks) => {
            let few = around(scope)?.limit(*most);
            for task in tasks {
                let (_, run) = prepared!(here, task);
                let _ = few.spawn(cx, run).await?;
            }
        }
        Step::Group(tasks) => {
            let mut group = around(scope)?.group();
            let mut names = BTreeMap::new();
            for task in tasks {
                let (options, run) = prepared!(here, task);
                names.insert(group.spawn_with(options, run), task.name);
            }
            while let Some((task, outcome)) = group.next(cx).await? {
                let name = names.get(&task).copied().unwrap_or("nobody");
                log.write(who, Event::Joined(name, Ok(end(outcome))));
            }
        }
        Step::AskToFinish(grace) => {
            around(scope)?.cancel_soft(CancelReason::new(CancelKind::User), *grace);
        }
        Step::UntilAsked => cx.soft_cancelled().await?,
        Step::Join(name) => {
            let handle = world.tasks.lock().unwrap().remove(name);
            let Some(mut handle) = handle else {
                return Err(Stop::Broken(format!(
                    "{name} was never spawned, or is joined already"
                )));
            };
            let answer = match handle.join(cx).await {
                Ok(outcome) => Ok(end(outcome)),
                Err(error) if cx.is_cancel_requested() => return stopped(cx, error),
                Err(error) => Err(error.to_string()),
            };
            log.write(who, Event::Joined(name, answer));
        }
        Step::Cancel(name, request) => {
            if let Some(handle) = world.tasks.lock().unwrap().get(name) {
                handle.cancel(reason(*request));
            }
        }
        Step::CancelRegion(request) => around(scope)?.cancel(reason(*request)),
        Step::Region(inner) => {
            open(here, inner).await;
            cx.checkpoint()?;
        }
        Step::Defer(steps) => {
            let scope = around(scope)?;
            let (world, steps) = (world.clone(), steps.clone());
            // By the body's task, for the log: a finalizer is heard before its region closes.
            scope.defer(async move |cx: &Cx| {
                let here = Here { world: &world, cx, scope: None, who, region };
                whole(here, TASK_DROPPED, body(here, &steps)).await
            });
        }
        Step::Timeout(limit, inside) => {
            let answer = match timeout(cx, *limit, body(here, inside)).await {
                Ok(Ok(())) => "finished",
                Ok(Err(stop)) => return Err(stop),
                Err(TimeoutError::Elapsed { .. }) => "elapsed",
                Err(_) => "cancelled",
            };
            log.write(who, Event::Answer(answer.to_owned()));
        }
        Step::Race(branches) => {
            let branch = async |(at, steps): (usize, &[Step])| body(here, steps).await.map(|()| at);
            let branches = branches.iter().enumerate();
            let branches = branches.map(|(at, steps)| branch((at, steps.as_slice())));
            let winner = race_all(cx, branches).await??;
            log.write(who, Event::Answer(winner.to_string()));
        }
        Step::Abandon(inside, when) => abandon(here, inside, when).await?,
        Step::Charge(units) => cx.charge(*units)?,
        Step::BreakPromise => drop(cx.duty(&PROMISE)),
        Step::ForgetPromise => std::mem::forget(cx.duty(&PROMISE)),
        Step::Permit(inside, settle) => {
            let permit = cx.obligation(&PERMIT);
            body(here, inside).await?;
            match settle {
                Settle::Commit => permit.commit(),
                Settle::Abort => permit.abort(),
                Settle::Drop => drop(permit),
                Settle::Forget => std::mem::forget(permit),
            }
        }
        Step::Duty(inside, settle) => {
            let duty = cx.duty(&PROMISE);
            body(here, inside).await?;
            let settled = match settle {
                Settle::Commit => duty.commit(),
                Settle::Abort => duty.abort(),
                Settle::Drop => {
                    drop(duty);
                    Ok(())
                }
                Settle::Forget => {
                    std::mem::forget(duty);
                    Ok(())
                }
            };
            settled.map_err(|error| Stop::Broken(error.to_string()))?;
        }
        Step::Fail(text) => return Err(Stop::Failed(text)),
        Step::Panic(text) => std::panic::panic_any(*text),
        Step::NestedRun => {
            let refused = (world.nested_run_is_refused)();
            let answer = if refused { "refused" } else { "ran" };
            log.write(who, Event::Answer(answer.to_owned()));
        }
    }
    Ok(())
}

/// The region whose body a step is in.
fn around(scope: Option<&Scope<Stop>>) -> Result<&Scope<Stop>, Stop> {
    scope.ok_or_else(|| Stop::Broken("no region's body is around this step".to_owned()))
}

/// A context's type, to be asked what it may do.
struct Authority<'a, C: Capabilities>(&'a Cx<C>);

/// What it may not do: found only where the methods of the same names below are not.
#[allow(dead_code, reason = "which of the two is found is the answer")]
trait Lacks {
    fn spawn(&self) -> Option<&'static str> {
        None
    }
    fn time(&self) -> Option<&'static str> {
        None
    }
    fn random(&self) -> Option<&'static str> {
        None
    }
    fn io(&self) -> Option<&'static str> {
        None
    }
}

impl<C: Capabilities> Lacks for &Authority<'_, C> {}

macro_rules! may {
    ($($capability:ident $name:ident)*) => { $(
        #[allow(dead_code, reason = "as above")]
        impl<C: asupersync_core::cap::$capability> Authority<'_, C> {
            fn $name(&self) -> Option<&'static str> {
                let _: &Cx<C> = self.0;
                Some(stringify!($name))
            }
        }
    )* };
}

may! { HasSpawn spawn HasTime time HasRandom random HasIo io }

async fn narrowed(here: Here<'_>) -> Result<(), Stop> {
    let (log, who) = (here.world.log.clone(), here.who);
    let narrow = here.cx.narrow::<SpawnOnly>();
    let outcome = narrow
        .region(async |scope: &Scope<Stop, SpawnOnly>| {
            // What this task's context may do is its type's business, so it is asked here, in its place.
            let mut child = scope.spawn(async move |cx: &Cx<SpawnOnly>| {
                let authority = &Authority(cx);
                let all = [authority.spawn(), authority.time(), authority.random(), authority.io()];
                let all: Vec<&str> = all.into_iter().flatten().collect();
                log.write(who, Event::Answer(all.join(" ")));
                Ok(())
            });
            child.join(here.cx).await.map(drop).map_err(|error| Stop::Broken(error.to_string()))
        })
        .await;
    match outcome {
        Outcome::Ok(()) => Ok(()),
        other => Err(Stop::Broken(format!("{:?}", end(other)))),
    }
}

fn spawn(here: Here<'_>, task: &Task, is_service: bool) {
    let (options, run) = prepared!(here, task);
    let options = if is_service { options.service() } else { options };
    let handle = match here.scope {
        Some(scope) => scope.spawn_with(options, run),
        // Limits are for tasks of a region's body; no case asks for them elsewhere.
        None => here.cx.spawn(run),
    };
    here.world.tasks.lock().unwrap().insert(task.name, handle);
}

async fn open(here: Here<'_>, inner: &Region) {
    let Here { world, cx, who, .. } = here;
    let region = world.log.open(who, inner.name, here.region);
    let policy = match inner.policy {
        asupersync_conformance::program::Policy::FailFast => Policy::FailFast,
        asupersync_conformance::program::Policy::CollectAll => Policy::CollectAll,
    };
    let options = RegionOptions::new().name(inner.name).policy(policy).budget(budget(inner.limits));
    let closed = cx
        .region_reported(options, async |scope: &Scope<Stop>| {
            let here = Here { scope: Some(scope), region, ..here };
            whole(here, BODY_DROPPED, body(here, &inner.body)).await
        })
        .await;
    let stragglers = closed.report.stragglers.iter();
    let names = stragglers.map(|one| one.name.as_deref().unwrap_or("?").to_owned()).collect();
    world.log.closed(who, region, end(closed.outcome), names, closed.report.leaks.len());
}

/// Polls the body and a receive in turns, and drops the body when the message is there. By hand: a
/// combinator would drain the body, and dropping it is the point.
async fn abandon(here: Here<'_>, steps: &[Step], when: Name) -> Result<(), Stop> {
    let mut inside = Some(body(here, steps));
    let receive = [Step::Receive(when)];
    let mut message = pin!(body(here, &receive));
    std::future::poll_fn(|context| {
        if let Poll::Ready(received) = message.as_mut().poll(context) {
            inside = None;
            return Poll::Ready(received);
        }
        match &mut inside {
            Some(inside) => inside.as_mut().poll(context),
            None => Poll::Pending,
        }
    })
    .await
}

/// A primitive's error in a cancelled scope is the cancellation; otherwise it is none of the
/// program's business.
fn stopped(cx: &Cx, error: impl std::fmt::Display) -> Result<(), Stop> {
    match cx.checkpoint() {
        Err(cancelled) => Err(Stop::Cancelled(cancelled)),
        Ok(()) => Err(Stop::Broken(error.to_string())),
    }
}

fn budget(limits: Limits) -> Budget {
    let mut budget = Budget::new();
    if let Some(time) = limits.time {
        budget = budget.with_timeout(time);
    }
    if let Some(polls) = limits.polls {
        budget = budget.with_poll_quota(polls);
    }
    if let Some(units) = limits.cost {
        budget = budget.with_cost_quota(units);
    }
    budget
}

fn reason(request: Request) -> CancelReason {
    let kind = match request.cause {
        Cause::Shutdown => CancelKind::Shutdown,
        _ => CancelKind::User,
    };
    let reason = CancelReason::new(kind);
    match request.cleanup {
        Some(cleanup) => reason.with_cleanup(cleanup),
        None => reason,
    }
}

pub(crate) fn cause(kind: CancelKind) -> Cause {
    match kind {
        CancelKind::User => Cause::User,
        CancelKind::Timeout => Cause::Timeout,
        CancelKind::Quota => Cause::Quota,
        CancelKind::FailFast => Cause::FailFast,
        CancelKind::RaceLost => Cause::RaceLost,
        CancelKind::ParentCancelled => Cause::Parent,
        CancelKind::Shutdown => Cause::Shutdown,
    }
}

/// An outcome in the cases' words.
pub(crate) fn end<T>(outcome: Outcome<T, Stop>) -> End {
    match outcome {
        Outcome::Ok(_) => End::Ok,
        Outcome::Err(Stop::Failed(text)) => End::Failed(text.to_owned()),
        Outcome::Err(Stop::Cancelled(cancelled)) => End::Failed(cancelled.to_string()),
        Outcome::Err(Stop::Broken(text)) => End::Failed(format!("the interpreter broke: {text}")),
        Outcome::Cancelled(reason) => End::Cancelled(cause(reason.severity())),
        Outcome::Panicked(payload) => End::Panicked(payload.message().to_owned()),
    }
}
