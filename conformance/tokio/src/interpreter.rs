//! The steps of a program in Tokio's terms.

use asupersync_conformance::log::{Cause, End, Event, Held, Log, MAIN, ROOT, Where, Who};
use asupersync_conformance::program::{Body, Name, Policy, Program, Region, Step, Task};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// What ends a body before its last step.
#[derive(Debug)]
pub(crate) enum Stop {
    Cancelled,
    Failed(String),
}

impl Stop {
    pub(crate) fn end(self) -> End {
        match self {
            // A token knows that it is cancelled, and nothing more.
            Stop::Cancelled => End::Cancelled(Cause::Parent),
            Stop::Failed(text) => End::Failed(text),
        }
    }
}

type Ended = Result<(), Stop>;
type Done<'a> = Pin<Box<dyn Future<Output = Ended> + Send + 'a>>;
type Named<T> = Mutex<BTreeMap<Name, T>>;
type Item = Option<Parcel>;
type Receiver = Arc<tokio::sync::Mutex<Option<mpsc::Receiver<Item>>>>;

/// What the steps of a program name: made at the first mention.
#[derive(Clone)]
pub(crate) struct World(Arc<Names>);

struct Names {
    log: Log,
    channels: Named<(mpsc::Sender<Item>, Receiver)>,
    locks: Named<Arc<tokio::sync::Mutex<()>>>,
    tasks: Named<(Option<JoinHandle<Ended>>, CancellationToken)>,
}

impl World {
    pub(crate) fn new(log: &Log) -> World {
        World(Arc::new(Names {
            log: log.clone(),
            channels: Named::default(),
            locks: Named::default(),
            tasks: Named::default(),
        }))
    }

    fn channel(&self, name: Name) -> (mpsc::Sender<Item>, Receiver) {
        let mut channels = self.0.channels.lock().unwrap();
        let made = channels.entry(name).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(64);
            (sender, Arc::new(tokio::sync::Mutex::new(Some(receiver))))
        });
        made.clone()
    }

    fn answer(&self, who: Who, answer: impl Into<String>) {
        self.0.log.write(who, Event::Answer(answer.into()));
    }
}

/// Something that must arrive or come back; otherwise it says so when it is dropped.
struct Parcel {
    world: World,
    who: Who,
    is_settled: bool,
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if !self.is_settled {
            self.world.answer(self.who, "lost");
        }
    }
}

/// Where a step is done.
#[derive(Clone)]
struct Here {
    world: World,
    who: Who,
    region: Where,
    tracker: TaskTracker,
    /// The region's, and the task's own.
    region_token: CancellationToken,
    token: CancellationToken,
    policy: Policy,
    masked: bool,
}

pub(crate) async fn main(
    world: &World,
    program: &Program,
    tracker: &TaskTracker,
    token: &CancellationToken,
) -> Ended {
    let here = Here {
        world: world.clone(),
        who: MAIN,
        region: ROOT,
        tracker: tracker.clone(),
        region_token: token.clone(),
        token: token.clone(),
        policy: Policy::FailFast,
        masked: false,
    };
    body(&here, &program.main).await
}

fn body<'a>(here: &'a Here, steps: &'a [Step]) -> Done<'a> {
    Box::pin(async move {
        for next in steps {
            step(here, next).await?;
        }
        Ok(())
    })
}

impl Here {
    /// A wait that the token ends.
    async fn wait<F: Future>(&self, inside: F) -> Result<F::Output, Stop> {
        if self.masked {
            return Ok(inside.await);
        }
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(Stop::Cancelled),
            answer = inside => Ok(answer),
        }
    }

    fn masked(&self) -> Here {
        Here { masked: true, ..self.clone() }
    }

    fn check(&self) -> Ended {
        if self.token.is_cancelled() && !self.masked { Err(Stop::Cancelled) } else { Ok(()) }
    }
}

async fn step(here: &Here, step: &Step) -> Ended {
    let Here { world, who, .. } = here;
    let (log, who) = (&world.0.log, *who);
    match step {
        Step::Note(text) => log.write(who, Event::Note(text)),
        Step::Reason => {
            log.write(who, Event::Told(here.token.is_cancelled().then_some(Cause::Parent)));
        }
        Step::Sleep(duration) => here.wait(tokio::time::sleep(*duration)).await?,
        Step::Yield => here.wait(tokio::task::yield_now()).await?,
        Step::Send(name) => {
            let _ = here.wait(world.channel(name).0.send(None)).await?;
        }
        Step::Receive(name) => {
            receive(here, name).await?;
        }
        Step::SendParcel(name, inside) => {
            let (sender, _) = world.channel(name);
            let permit = here.wait(sender.reserve()).await?;
            body(here, inside).await?;
            match permit {
                Ok(permit) => {
                    permit.send(Some(Parcel { world: world.clone(), who, is_settled: false }));
                    world.answer(who, "sent");
                }
                Err(_) => world.answer(who, "handed back"),
            }
        }
        Step::TakeParcel(name) => {
            if let Some(Some(mut parcel)) = receive(here, name).await? {
                parcel.is_settled = true;
                world.answer(who, "arrived");
            }
        }
        Step::HangUp(name) => drop(world.channel(name).1.lock().await.take()),
        Step::Identify => {
            world.answer(who, tokio::task::try_id().map_or("none".to_owned(), |id| id.to_string()));
        }
        Step::Lock(name, inside) => {
            let lock = world.0.locks.lock().unwrap().entry(name).or_default().clone();
            let _guard = here.wait(lock.lock()).await?;
            body(here, inside).await?;
        }
        Step::ReadExact => {
            let (mut near, mut far) = tokio::io::duplex(64);
            let mut buffer = [0; 4];
            let exchange = async {
                let _ = far.write_all(b"ab").await;
                near.read_exact(&mut buffer).await
            };
            let _ = here.wait(exchange).await?;
        }
        Step::Foreign => std::future::pending().await,
        Step::Linger(polls) => {
            let told = here.wait(std::future::pending::<()>()).await;
            for _ in 0..*polls {
                tokio::task::yield_now().await;
            }
            told?;
        }
        Step::Masked(inside) => {
            body(&here.masked(), inside).await?;
        }
        Step::OnCancel(inside, cleanup) => match body(here, inside).await {
            Err(Stop::Cancelled) => {
                body(&here.masked(), cleanup).await?;
                return Err(Stop::Cancelled);
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
        Step::Spawn(task) => {
            let (future, token) = child(here, task);
            let handle = here.tracker.spawn(future);
            world.0.tasks.lock().unwrap().insert(task.name, (Some(handle), token));
        }
        Step::SpawnReady(name, before, after) => {
            let (say, said) = oneshot::channel();
            let held = log.spawn(who, name, here.region);
            let inside = Here { who: held.who, ..here.clone() };
            let (before, after) = (before.clone(), after.clone());
            here.tracker.spawn(async move {
                let _held = held;
                body(&inside, &before).await?;
                let _ = say.send(());
                body(&inside, &after).await
            });
            let answer = if here.wait(said).await?.is_ok() { "ready" } else { "never ready" };
            world.answer(who, answer);
        }
        Step::Limited(most, tasks) => {
            let places = Arc::new(tokio::sync::Semaphore::new(*most));
            for task in tasks {
                let place = here.wait(places.clone().acquire_owned()).await?;
                let (future, _) = child(here, task);
                here.tracker.spawn(async move {
                    let ended = future.await;
                    drop(place);
                    ended
                });
            }
        }
        Step::Group(tasks) => {
            let mut set = JoinSet::new();
            let mut names = BTreeMap::new();
            // A set's failures are whoever's takes them: they cancel nobody.
            let alone = Here { policy: Policy::CollectAll, ..here.clone() };
            for task in tasks {
                let (future, _) = child(&alone, task);
                let abort = set.spawn(here.tracker.track_future(future));
                names.insert(abort.id(), task.name);
            }
            while let Some(joined) = here.wait(set.join_next_with_id()).await? {
                let (id, end) = match joined {
                    Ok((id, ended)) => (id, end_of(Ok(ended))),
                    Err(error) => (error.id(), end_of(Err(error))),
                };
                let name = names.get(&id).copied().unwrap_or("nobody");
                log.write(who, Event::Joined(name, Ok(end)));
            }
        }
        Step::Join(name) => {
            let handle = world.0.tasks.lock().unwrap().get_mut(name).and_then(|task| task.0.take());
            if let Some(handle) = handle {
                let joined = here.wait(handle).await?;
                log.write(who, Event::Joined(name, Ok(end_of(joined))));
            }
        }
        Step::Cancel(name, _) => {
            if let Some((_, token)) = world.0.tasks.lock().unwrap().get(name) {
                token.cancel();
            }
        }
        Step::CancelRegion(_) => here.region_token.cancel(),
        Step::Region(inner) => {
            open(here, inner).await;
            here.check()?;
        }
        Step::Timeout(limit, inside) => {
            let answer = match tokio::time::timeout(*limit, body(here, inside)).await {
                Ok(ended) => {
                    ended?;
                    "finished"
                }
                Err(_) => "elapsed",
            };
            world.answer(who, answer);
        }
        Step::Race(branches) => {
            // As `select!` does: the first that ends is the answer, the others are dropped.
            let mut branches: Vec<Done<'_>> = branches.iter().map(|b| body(here, b)).collect();
            let (at, ended) = poll_fn(|context| {
                let mut all = branches.iter_mut().enumerate();
                all.find_map(|(at, branch)| match branch.as_mut().poll(context) {
                    Poll::Ready(ended) => Some(Poll::Ready((at, ended))),
                    Poll::Pending => None,
                })
                .unwrap_or(Poll::Pending)
            })
            .await;
            drop(branches);
            ended?;
            world.answer(who, at.to_string());
        }
        Step::Abandon(inside, when) => {
            tokio::select! {
                received = receive(here, when) => drop(received?),
                ended = body(here, inside) => ended?,
            }
        }
        Step::Fail(text) => return Err(Stop::Failed((*text).to_owned())),
        Step::Panic(text) => std::panic::panic_any(*text),
        Step::NestedRun => {
            let ran = std::panic::catch_unwind(|| {
                let inner = tokio::runtime::Builder::new_current_thread().build();
                inner.expect("a second runtime can be built").block_on(async {});
            });
            world.answer(who, if ran.is_err() { "refused" } else { "ran" });
        }
        // `missing` has refused the others.
        other => return Err(Stop::Failed(format!("{other:?} has no counterpart"))),
    }
    Ok(())
}

async fn receive(here: &Here, name: Name) -> Result<Option<Item>, Stop> {
    let (_, receiver) = here.world.channel(name);
    let receive = async {
        match receiver.lock().await.as_mut() {
            Some(receiver) => receiver.recv().await,
            None => None,
        }
    };
    here.wait(receive).await
}

/// A child of the region: its future, and the token that cancels it alone.
fn child(
    here: &Here,
    task: &Task,
) -> (impl Future<Output = Ended> + Send + 'static, CancellationToken) {
    let held: Held = here.world.0.log.spawn(here.who, task.name, here.region);
    let token = here.region_token.child_token();
    let inside = Here { who: held.who, token: token.clone(), masked: false, ..here.clone() };
    let (steps, limit): (Body, Option<Duration>) = (task.body.clone(), task.limits.time);
    let future = async move {
        let _held = held;
        let fails_fast = inside.policy == Policy::FailFast;
        // Cancels the region when the child fails or panics.
        let guard = fails_fast.then(|| inside.region_token.clone().drop_guard());
        let work = body(&inside, &steps);
        let ended = match limit {
            None => work.await,
            Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(Stop::Cancelled)),
        };
        if !matches!(ended, Err(Stop::Failed(_))) {
            let _ = guard.map(tokio_util::sync::DropGuard::disarm);
        }
        ended
    };
    (future, token)
}

async fn open(here: &Here, inner: &Region) {
    let Here { world, who, .. } = here;
    let region = world.0.log.open(*who, inner.name, here.region);
    let (tracker, token) = (TaskTracker::new(), here.token.child_token());
    let inside = Here {
        region,
        tracker: tracker.clone(),
        region_token: token.clone(),
        token: token.clone(),
        policy: inner.policy,
        ..here.clone()
    };
    let work = body(&inside, &inner.body);
    let ended = match inner.limits.time {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.unwrap_or(Err(Stop::Cancelled)),
    };
    if ended.is_err() {
        token.cancel();
    }
    tracker.close();
    tracker.wait().await;
    // A tracker keeps no outcomes: the body's is the region's.
    let end = end_of(Ok(ended));
    world.0.log.closed(*who, region, end, Vec::new(), 0);
}

fn end_of(joined: Result<Ended, tokio::task::JoinError>) -> End {
    match joined {
        Ok(Ok(())) => End::Ok,
        Ok(Err(stop)) => stop.end(),
        Err(error) if error.is_cancelled() => End::Cancelled(Cause::Parent),
        Err(error) => {
            let panic = error.into_panic();
            End::Panicked(panic.downcast_ref::<&str>().copied().unwrap_or("?").to_owned())
        }
    }
}
