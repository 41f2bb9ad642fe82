//! The acts of which the programs consist.

use asupersync_channel::{broadcast, mpsc, oneshot, watch};
use asupersync_combinator::{Latencies, join, join_all, race, timeout};
use asupersync_core::{CancelReason, Cx, Error, Policy, RegionOptions, TaskHandle};
use asupersync_lab::{Atomic, Shared};
use asupersync_sync::{Barrier, Mutex, Notify, OnceLock, RwLock, Semaphore};
use std::sync::Arc;
use std::time::Duration;

/// What a task can do, each in one poll or in as many as it waits.
pub(crate) const ACTS: &[&str] = &[
    "get",
    "set",
    "add",
    "lock",
    "unlock",
    "trylock",
    "rwread",
    "rwwrite",
    "sem1",
    "sem2",
    "trysem",
    "permits",
    "semwaiting",
    "semclose",
    "notify1",
    "notifyall",
    "notified",
    "notified_later",
    "nwait",
    "barrier",
    "bwaiting",
    "once_get",
    "once_set",
    "once_init",
    "send",
    "trysend",
    "recv",
    "tryrecv",
    "len",
    "isclosed",
    "inflight",
    "dropsend",
    "dropsem",
    "upgrade",
    "closerx",
    "risclosed",
    "osend",
    "orecv",
    "otryrecv",
    "oisclosed",
    "oclosed",
    "odroptx",
    "odroprx",
    "wsend",
    "wborrow",
    "wchanged",
    "whas",
    "wcount",
    "wdroptx",
    "wdroprx",
    "bsend",
    "brecv",
    "btryrecv",
    "blen",
    "bdroprx",
    "bdroptx",
    "yield",
    "sleep1",
    "sleep2",
    "trecv",
    "tnotified",
    "racenr",
    "tlock",
    "cancelnext",
    "softnext",
    "isfin",
    "join",
    "spawn",
    "region",
    "regioncancel",
    "iscancel",
    "now",
    "mwaiting",
    "rwwaiting",
    "forget",
    "addpermits",
    "tsem2",
    "tbarrier",
    "tbrecv",
    "twchanged",
    "toclosed",
    "record",
    "percentile",
    "defer",
    "oncefail",
    "ifz",
    "ifzret",
    "ifzlock",
    "cancel0",
    "why",
    "my",
];

/// Regions, and several futures in one task.
pub(crate) const NESTED: &[&str] =
    &["pair", "joinpair", "joinallpair", "racepair", "joinall", "collect", "heap", "joinheap"];

/// Wakes who waits when it is dropped.
struct Wakes(Arc<Notify>);

impl Drop for Wakes {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// A region of two children, of which one wakes who waits and the other writes.
async fn pair(cx: &Cx, w: &World) -> bool {
    let (x, notify) = (w.x.clone(), w.notify.clone());
    let outcome = cx.region(async move |s| {
        let _ = s.spawn(async move |_: &Cx| {
            notify.notify_one();
            Ok::<_, Error>(())
        });
        let _ = s.spawn(async move |cx: &Cx| {
            x.set(cx, 7).await?;
            Ok::<_, Error>(())
        });
        Ok::<_, Error>(())
    });
    outcome.await.is_ok()
}

/// A region whose heap wakes who waits, after two children have ended.
async fn heap(cx: &Cx, w: &World) -> bool {
    let (x, notify) = (w.x.clone(), w.notify.clone());
    let outcome = cx.region(async move |s| {
        let _ = s.alloc(Wakes(notify));
        let _ = s.spawn(async move |cx: &Cx| Ok::<_, Error>(x.get(cx).await?));
        let _ = s.spawn(async move |_: &Cx| Ok::<_, Error>(()));
        Ok::<_, Error>(())
    });
    outcome.await.is_ok()
}

/// What the tasks share.
struct World {
    x: Shared<u64>,
    n: Atomic,
    m: Arc<Mutex<u64>>,
    rw: Arc<RwLock<u64>>,
    sem: Arc<Semaphore>,
    notify: Arc<Notify>,
    bar: Arc<Barrier>,
    once: Arc<OnceLock<u64>>,
    latencies: Latencies,
}
type Handles = Arc<std::sync::Mutex<Vec<Option<TaskHandle<(), Error>>>>>;
/// What each task has heard. Not told to the lab: no task looks at it.
pub(crate) type Log = Arc<std::sync::Mutex<Vec<Vec<String>>>>;

/// Runs the tasks; each writes into the log what it hears.
pub(crate) async fn run(cx: &Cx, tasks: Vec<Vec<&'static str>>, out: Log) -> Result<(), Error> {
    *out.lock().unwrap() = vec![Vec::new(); tasks.len() + 1];
    let w = Arc::new(World {
        x: Shared::new(0),
        n: Atomic::new(0),
        m: Arc::new(Mutex::new(0)),
        rw: Arc::new(RwLock::new(0)),
        sem: Arc::new(Semaphore::new(1)),
        notify: Arc::new(Notify::new()),
        bar: Arc::new(Barrier::new(2)),
        once: Arc::new(OnceLock::new()),
        latencies: Latencies::new(1),
    });
    let handles: Handles = Arc::default();
    let n = tasks.len();
    let main_yields = tasks.iter().flatten().any(|a| *a == "my");
    let res = cx
        .region(async |scope| {
            let (tx, rx) = mpsc::channel::<u64>(1);
            let mut rx = Some(rx);
            let (otx, orx) = oneshot::channel::<u64>();
            let (mut otx, mut orx) = (Some(otx), Some(orx));
            let (wtx, wrx) = watch::channel(0_u64);
            let mut wtx = Some(wtx);
            let (btx, brx) = broadcast::channel::<u64>(1);
            let weak = tx.downgrade();
            let brxs: Vec<_> = (0..n).map(|_| btx.subscribe()).collect();
            drop(brx);
            let mut brxs = brxs.into_iter();
            let all_handles = handles.clone();
            for (id, acts) in tasks.into_iter().enumerate() {
                let (w, out, handles) = (w.clone(), out.clone(), handles.clone());
                let uses = |names: &[&str]| acts.iter().any(|a| names.contains(a));
                let mut tx = uses(&["send", "trysend", "isclosed", "inflight", "dropsend"])
                    .then(|| tx.clone());
                let mut rx =
                    if uses(&["recv", "tryrecv", "len", "closerx", "trecv", "racenr", "risclosed"])
                    {
                        rx.take()
                    } else {
                        None
                    };
                let mut otx = if uses(&["osend", "oisclosed", "oclosed", "odroptx", "toclosed"]) {
                    otx.take()
                } else {
                    None
                };
                let mut orx =
                    if uses(&["orecv", "otryrecv", "odroprx"]) { orx.take() } else { None };
                let mut wtx = if uses(&["wsend", "wcount", "wdroptx"]) { wtx.take() } else { None };
                let mut wrx = uses(&["wborrow", "wchanged", "whas", "wdroprx", "twchanged"])
                    .then(|| wrx.clone());
                let mut btx = uses(&["bsend", "bdroptx"]).then(|| btx.clone());
                let brx = brxs.next();
                let mut brx = if uses(&["brecv", "btryrecv", "blen", "bdroprx", "tbrecv"]) {
                    brx
                } else {
                    None
                };
                let weak = uses(&["upgrade"]).then(|| weak.clone());
                let h = scope.spawn(async move |cx: &Cx| {
                    let w = &*w;
                    let log = |s: String| out.lock().unwrap()[id].push(s);
                    macro_rules! l { ($($a:tt)*) => { log(format!($($a)*)) } }
                    let mut guards = Vec::new();
                    let mut permits = Vec::new();
                    let mut rguards = Vec::new();
                    let mut wguards = Vec::new();
                    let mut later = None;
                    for act in acts {
                        match act {
                            "get" => {
                                let v = w.x.get(cx).await;
                                l!("{v:?}");
                            }
                            "set" => {
                                let v = w.x.set(cx, id as u64 + 1).await;
                                l!("{v:?}");
                            }
                            "add" => {
                                let v = w.n.fetch_add(cx, 1).await;
                                l!("{v:?}");
                            }
                            "lock" => {
                                if guards.is_empty() {
                                    match w.m.lock(cx).await {
                                        Ok(mut g) => {
                                            l!("L{}", *g);
                                            *g += 1;
                                            guards.push(g);
                                        }
                                        Err(e) => l!("{e:?}"),
                                    }
                                }
                            }
                            "unlock" => {
                                guards.clear();
                                permits.clear();
                                rguards.clear();
                                wguards.clear();
                                cx.yield_now().await?;
                            }
                            "trylock" => {
                                if guards.is_empty() {
                                    match w.m.try_lock(cx) {
                                        Some(mut g) => {
                                            l!("T{}", *g);
                                            *g += 1;
                                            guards.push(g);
                                        }
                                        None => l!("none"),
                                    }
                                }
                            }
                            "rwread" => {
                                if wguards.is_empty() {
                                    match w.rw.read(cx).await {
                                        Ok(g) => {
                                            l!("R{}", *g);
                                            rguards.push(g);
                                        }
                                        Err(e) => l!("{e:?}"),
                                    }
                                }
                            }
                            "rwwrite" => {
                                if wguards.is_empty() && rguards.is_empty() {
                                    match w.rw.write(cx).await {
                                        Ok(mut g) => {
                                            l!("W{}", *g);
                                            *g += 1;
                                            wguards.push(g);
                                        }
                                        Err(e) => l!("{e:?}"),
                                    }
                                }
                            }
                            "sem1" => match w.sem.acquire(cx).await {
                                Ok(p) => {
                                    l!("S1");
                                    permits.push(p);
                                }
                                Err(e) => l!("{e:?}"),
                            },
                            "sem2" => match w.sem.acquire_many(cx, 2).await {
                                Ok(p) => {
                                    l!("S2");
                                    permits.push(p);
                                }
                                Err(e) => l!("{e:?}"),
                            },
                            "tsem2" => match timeout(
                                cx,
                                Duration::from_millis(1),
                                w.sem.acquire_many(cx, 2),
                            )
                            .await
                            {
                                Ok(Ok(p)) => {
                                    l!("S2");
                                    permits.push(p);
                                }
                                Ok(Err(e)) => l!("{e:?}"),
                                Err(e) => l!("{e:?}"),
                            },
                            "trysem" => match w.sem.try_acquire(cx) {
                                Ok(p) => {
                                    l!("S");
                                    permits.push(p);
                                }
                                Err(e) => l!("{e:?}"),
                            },
                            "permits" => l!("P{}", w.sem.available_permits()),
                            "semwaiting" => l!("sw{}", w.sem.waiting()),
                            "semclose" => {
                                w.sem.close();
                                l!("c{}", w.sem.is_closed());
                            }
                            "forget" => l!("f{}", w.sem.forget_permits(1)),
                            "addpermits" => l!("a{:?}", w.sem.add_permits(1)),
                            "notify1" => w.notify.notify_one(),
                            "notifyall" => w.notify.notify_waiters(),
                            "notified" => {
                                let v = w.notify.notified(cx).await;
                                l!("N{v:?}");
                            }
                            "notified_later" => {
                                if later.is_none() {
                                    later = Some(Box::pin(w.notify.notified(cx)));
                                } else if let Some(f) = later.take() {
                                    let v = f.await;
                                    l!("NL{v:?}");
                                }
                            }
                            "nwait" => l!("nw{}", w.notify.waiting()),
                            "tnotified" => {
                                let v =
                                    timeout(cx, Duration::from_millis(1), w.notify.notified(cx))
                                        .await;
                                l!("{v:?}");
                            }
                            "barrier" => {
                                let v = w.bar.wait(cx).await;
                                l!("B{v:?}");
                            }
                            "tbarrier" => {
                                let v = timeout(cx, Duration::from_millis(1), w.bar.wait(cx)).await;
                                l!("B{v:?}");
                            }
                            "bwaiting" => l!("bw{}", w.bar.waiting()),
                            "mwaiting" => l!("mw{}", w.m.waiting()),
                            "rwwaiting" => l!("rww{}", w.rw.waiting()),
                            "once_get" => l!("o{:?}", w.once.get()),
                            "once_set" => l!("os{:?}", w.once.set(id as u64)),
                            "once_init" => {
                                let v = w
                                    .once
                                    .get_or_try_init::<Error, _>(cx, async || {
                                        cx.yield_now().await?;
                                        Ok(id as u64)
                                    })
                                    .await;
                                l!("oi{:?}", v.map_err(|_| ()));
                            }
                            "oncefail" => {
                                let v = w
                                    .once
                                    .get_or_try_init::<Error, _>(cx, async || {
                                        cx.yield_now().await?;
                                        Err(Error::msg("no"))
                                    })
                                    .await;
                                l!("of{:?}", v.map_err(|_| ()));
                            }
                            "send" => {
                                if let Some(tx) = &tx {
                                    match tx.reserve(cx).await {
                                        Ok(p) => {
                                            let d = p.send(id as u64);
                                            l!("sent{}", d.is_queued());
                                        }
                                        Err(e) => l!("{e:?}"),
                                    }
                                }
                            }
                            "trysend" => {
                                if let Some(tx) = &tx {
                                    l!("{:?}", tx.try_send(id as u64));
                                }
                            }
                            "recv" => {
                                if let Some(rx) = &mut rx {
                                    l!("{:?}", rx.recv(cx).await);
                                }
                            }
                            "tryrecv" => {
                                if let Some(rx) = &mut rx {
                                    l!("{:?}", rx.try_recv());
                                }
                            }
                            "len" => {
                                if let Some(rx) = &mut rx {
                                    l!("len{}", rx.len());
                                }
                            }
                            "closerx" => {
                                if let Some(rx) = &mut rx {
                                    rx.close();
                                }
                            }
                            "risclosed" => {
                                if let Some(rx) = &mut rx {
                                    l!("ric{}", rx.is_closed());
                                }
                            }
                            "trecv" => {
                                if let Some(rx) = &mut rx {
                                    l!(
                                        "{:?}",
                                        timeout(cx, Duration::from_millis(1), rx.recv(cx)).await
                                    );
                                }
                            }
                            "tlock" => l!(
                                "{:?}",
                                timeout(cx, Duration::from_millis(1), async {
                                    let g = w.m.lock(cx).await;
                                    g.map(|_| ())
                                })
                                .await
                            ),
                            "racenr" => {
                                if let Some(rx) = &mut rx {
                                    l!(
                                        "{:?}",
                                        race(
                                            cx,
                                            (async { rx.recv(cx).await.ok() }, async {
                                                w.notify.notified(cx).await.ok().map(|()| 99)
                                            })
                                        )
                                        .await
                                    );
                                }
                            }
                            "isclosed" => {
                                if let Some(tx) = &tx {
                                    l!("ic{}", tx.is_closed());
                                }
                            }
                            "inflight" => {
                                if let Some(tx) = &tx {
                                    l!("if{}", tx.in_flight());
                                }
                            }
                            "dropsend" => drop(tx.take()),
                            "upgrade" => {
                                if let Some(weak) = &weak {
                                    l!("up{}", weak.upgrade().is_some());
                                }
                            }
                            "dropsem" => {
                                permits.pop();
                            }
                            "osend" => {
                                if let Some(tx) = otx.take() {
                                    l!("{:?}", tx.send(7));
                                }
                            }
                            "oisclosed" => {
                                if let Some(tx) = &otx {
                                    l!("{:?}", tx.is_closed());
                                }
                            }
                            "oclosed" => {
                                if let Some(tx) = &mut otx {
                                    l!("{:?}", tx.closed(cx).await);
                                }
                            }
                            "toclosed" => {
                                if let Some(tx) = &mut otx {
                                    l!(
                                        "{:?}",
                                        timeout(cx, Duration::from_millis(1), tx.closed(cx)).await
                                    );
                                }
                            }
                            "odroptx" => drop(otx.take()),
                            "odroprx" => drop(orx.take()),
                            "orecv" => {
                                if let Some(rx) = &mut orx {
                                    l!("{:?}", rx.recv(cx).await);
                                }
                            }
                            "otryrecv" => {
                                if let Some(rx) = &mut orx {
                                    l!("{:?}", rx.try_recv());
                                }
                            }
                            "wsend" => {
                                if let Some(tx) = &wtx {
                                    l!("{:?}", tx.send(id as u64 + 1));
                                }
                            }
                            "wcount" => {
                                if let Some(tx) = &wtx {
                                    l!("{:?}", tx.receiver_count());
                                }
                            }
                            "wdroptx" => drop(wtx.take()),
                            "wdroprx" => drop(wrx.take()),
                            "wborrow" => {
                                if let Some(rx) = &mut wrx {
                                    l!("{:?}", *rx.borrow_and_update());
                                }
                            }
                            "whas" => {
                                if let Some(rx) = &mut wrx {
                                    l!("{:?}{}", rx.has_changed(), rx.is_closed());
                                }
                            }
                            "wchanged" => {
                                if let Some(rx) = &mut wrx {
                                    l!("{:?}", rx.changed(cx).await);
                                }
                            }
                            "twchanged" => {
                                if let Some(rx) = &mut wrx {
                                    l!(
                                        "{:?}",
                                        timeout(cx, Duration::from_millis(1), rx.changed(cx)).await
                                    );
                                }
                            }
                            "bsend" => {
                                if let Some(tx) = &btx {
                                    l!("{:?}", tx.send(id as u64));
                                }
                            }
                            "bdroptx" => drop(btx.take()),
                            "bdroprx" => drop(brx.take()),
                            "brecv" => {
                                if let Some(rx) = &mut brx {
                                    l!("{:?}", rx.recv(cx).await);
                                }
                            }
                            "tbrecv" => {
                                if let Some(rx) = &mut brx {
                                    l!(
                                        "{:?}",
                                        timeout(cx, Duration::from_millis(1), rx.recv(cx)).await
                                    );
                                }
                            }
                            "btryrecv" => {
                                if let Some(rx) = &mut brx {
                                    l!("{:?}", rx.try_recv());
                                }
                            }
                            "blen" => {
                                if let Some(rx) = &mut brx {
                                    l!("{:?}{}", rx.len(), rx.is_closed());
                                }
                            }
                            "yield" => {
                                let v = cx.yield_now().await;
                                l!("{v:?}");
                            }
                            "sleep1" => {
                                let v = cx.sleep(Duration::from_millis(1)).await;
                                l!("{v:?}");
                            }
                            "sleep2" => {
                                let v = cx.sleep(Duration::from_millis(2)).await;
                                l!("{v:?}");
                            }
                            "now" => l!("{:?}", cx.now()),
                            "iscancel" => l!("{:?}", cx.is_cancel_requested()),
                            "cancelnext" => {
                                if let Some(Some(h)) = handles.lock().unwrap().get((id + 1) % n) {
                                    h.cancel(CancelReason::user("x"));
                                }
                            }
                            "softnext" => {
                                if let Some(Some(h)) = handles.lock().unwrap().get((id + 1) % n) {
                                    h.cancel_soft(
                                        CancelReason::user("x"),
                                        Duration::from_millis(1),
                                    );
                                }
                            }
                            "isfin" => {
                                if let Some(Some(h)) = handles.lock().unwrap().get((id + 1) % n) {
                                    l!("fin{}", h.is_finished());
                                }
                            }
                            "join" => {
                                let h = handles
                                    .lock()
                                    .unwrap()
                                    .get_mut((id + 1) % n)
                                    .and_then(Option::take);
                                if id == 0 {
                                    if let Some(mut h) = h {
                                        l!("{:?}", h.join(cx).await.map(|o| o.is_ok()));
                                    }
                                } else {
                                    handles.lock().unwrap()[(id + 1) % n] = h;
                                }
                            }
                            "spawn" => {
                                let x = w.x.clone();
                                let mut h = cx.spawn(async move |cx: &Cx| {
                                    x.set(cx, 9).await?;
                                    Ok::<_, Error>(())
                                });
                                let j = h.join(cx).await;
                                l!("{:?}", j.map(|o| o.is_ok()));
                            }
                            "region" => {
                                let x = w.x.clone();
                                let o = cx
                                    .region(async move |s| {
                                        let _ = s.spawn(async move |cx: &Cx| {
                                            x.get(cx).await?;
                                            Ok::<_, Error>(())
                                        });
                                        Ok::<_, Error>(())
                                    })
                                    .await;
                                l!("{:?}", o.is_ok());
                            }
                            "regioncancel" => {
                                let x = w.x.clone();
                                let o = cx
                                    .region(async move |s| {
                                        let _ = s.spawn(async move |cx: &Cx| {
                                            x.set(cx, 5).await?;
                                            Ok::<_, Error>(())
                                        });
                                        s.cancel(CancelReason::user("c"));
                                        Ok::<_, Error>(())
                                    })
                                    .await;
                                l!("{:?}", o.is_ok());
                            }
                            "defer" => {
                                let x = w.x.clone();
                                let o = cx
                                    .region(async move |s| {
                                        s.defer(async move |cx: &Cx| {
                                            let _ = x.set(cx, 6).await;
                                            Ok::<_, Error>(())
                                        });
                                        Ok::<_, Error>(())
                                    })
                                    .await;
                                l!("{:?}", o.is_ok());
                            }
                            "ifz" => {
                                if w.x.get(cx).await.ok() == Some(0) {
                                    w.notify.notify_one();
                                }
                            }
                            "ifzlock" => {
                                if w.x.get(cx).await.ok() == Some(0) {
                                    l!("{}", w.m.try_lock(cx).is_some());
                                }
                            }
                            "ifzret" => {
                                if w.x.get(cx).await.ok() == Some(0) {
                                    return Ok(());
                                }
                            }
                            "cancel0" => {
                                if id != 0 {
                                    if let Some(Some(h)) = handles.lock().unwrap().first() {
                                        h.cancel(CancelReason::user(format!("by {id}")));
                                    }
                                }
                            }
                            "why" => l!("{:?}", cx.cancel_reason().map(|r| r.to_string())),
                            "pair" => l!("{}", pair(cx, w).await),
                            "heap" => l!("{}", heap(cx, w).await),
                            "joinpair" | "joinheap" => {
                                let region = async {
                                    let is_ok = match act {
                                        "joinpair" => pair(cx, w).await,
                                        _ => heap(cx, w).await,
                                    };
                                    l!("closed {is_ok}");
                                };
                                let noted = async {
                                    let noted = w.notify.notified(cx).await;
                                    l!("{noted:?}");
                                    let seen = w.x.get(cx).await;
                                    l!("{seen:?}");
                                };
                                let joined = join(cx, (region, noted)).await;
                                l!("{joined:?}");
                            }
                            "joinallpair" | "joinall" => {
                                let one = async |first: bool| {
                                    let is_ok = match (act, first) {
                                        ("joinall", true) => {
                                            w.sem.acquire_many(cx, 2).await.is_ok()
                                        }
                                        (_, true) => pair(cx, w).await,
                                        (_, false) => w.notify.notified(cx).await.is_ok(),
                                    };
                                    l!("{first} {is_ok}");
                                };
                                let joined = join_all(cx, vec![one(true), one(false)]).await;
                                l!("{joined:?}");
                            }
                            "racepair" => {
                                let noted = async { w.notify.notified(cx).await.is_ok() };
                                let first = race(cx, (pair(cx, w), noted)).await;
                                l!("{first:?}");
                            }
                            "collect" => {
                                let x = w.x.clone();
                                let options = RegionOptions::new().policy(Policy::CollectAll);
                                let outcome = cx.region_with(options, async move |s| {
                                    let _ = s.spawn(async move |_: &Cx| {
                                        Err::<(), _>(Error::msg("first"))
                                    });
                                    let _ = s.spawn(async move |cx: &Cx| {
                                        x.get(cx).await?;
                                        Err::<(), _>(Error::msg("second"))
                                    });
                                    Ok::<_, Error>(())
                                });
                                let error = outcome.await.into_result().map_err(|e| e.to_string());
                                l!("{error:?}");
                            }
                            "record" => w.latencies.record(Duration::from_millis(id as u64)),
                            "percentile" => l!("{:?}", w.latencies.percentile(50)),
                            "my" => {}
                            other => panic!("{other}"),
                        }
                    }
                    Ok::<_, Error>(())
                });
                all_handles.lock().unwrap().push(Some(h));
            }
            if main_yields {
                cx.yield_now().await?;
            }
            Ok::<_, Error>(())
        })
        .await;
    out.lock().unwrap()[n].push(format!("{:?}", res.is_ok()));
    Ok(())
}
