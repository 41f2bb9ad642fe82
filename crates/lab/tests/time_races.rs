//! Time that races with the tasks: timers fire, deliveries land and faults strike at any step.

use asupersync_channel::{mpsc, oneshot};
use asupersync_combinator::timeout;
use asupersync_core::{CancelReason, Cx, Error, TaskBody, cap};
use asupersync_io::{AsyncReadExt, AsyncWriteExt};
use asupersync_lab::{ExploreOptions, Faults, LabConfig, Method, Shared, explore};
use asupersync_net::{TcpListener, TcpStream, UdpSocket};
use asupersync_sync::Notify;
use std::sync::Arc;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn options(config: LabConfig, method: Method, order: u64) -> ExploreOptions {
    let options = ExploreOptions::default().config(config).method(method).order(order);
    options.stop_at_first_failure(false).shrink(false).max_runs(200_000)
}

/// The classes by all three methods and five first orders, each run once, and how many runs were given up.
#[track_caller]
fn same_classes<F>(config: LabConfig, body: F) -> (usize, u64)
where
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<(), Error>,
    F: for<'a> TaskBody<'a, cap::All, (), Error> + Clone + Send + 'static,
{
    let by = |method, order| explore(options(config.clone(), method, order), body.clone());
    let all = by(Method::Naive, 0);
    assert!(all.exhausted, "{all}");
    let audit = by(Method::SleepSets, 0);
    assert_eq!(audit.classes, all.classes, "sleep sets: {audit}, of {}", all.classes.len());
    assert_eq!(audit.runs, audit.classes.len() as u64);
    let mut blocked = 0;
    for order in 0..5 {
        let found = by(Method::Optimal, order);
        assert_eq!(found.classes, all.classes, "order {order}: {found}, of {}", all.classes.len());
        assert_eq!(found.stuck, all.stuck, "order {order}");
        assert_eq!(found.runs, found.classes.len() as u64, "order {order}: {found}");
        assert!(found.exhausted, "{found}");
        blocked += found.blocked;
    }
    (all.classes.len(), blocked)
}

fn racing() -> LabConfig {
    LabConfig::default().time_races(100)
}

macro_rules! program {
    (|$scope:ident| $body:block) => {
        async move |cx: &Cx| {
            cx.region(async move |$scope| { $body Ok::<_, Error>(()) }).await.into_result()?;
            Ok::<_, Error>(())
        }
    };
}

#[test]
fn sleeps_and_shared_state() {
    let found = same_classes(
        racing(),
        program!(|scope| {
            let x = Shared::new(0_u32);
            for n in 1..3_u32 {
                let x = x.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    cx.sleep(n * MS).await?;
                    x.set(cx, n).await?;
                    Ok::<_, Error>(())
                });
            }
        }),
    );
    assert_eq!(found, (12, 0));
}

#[test]
fn a_timeout_on_a_channel() {
    let found = same_classes(
        racing(),
        program!(|scope| {
            let (sender, mut receiver) = mpsc::channel::<u32>(1);
            let _ = scope.spawn(async move |cx: &Cx| {
                let _ = timeout(cx, MS, receiver.recv(cx)).await;
                Ok::<_, Error>(())
            });
            let _ = scope.spawn(async move |cx: &Cx| {
                let _ = sender.send(cx, 1).await;
                Ok::<_, Error>(())
            });
        }),
    );
    assert_eq!(found, (5, 0));
}

#[test]
fn a_timeout_that_is_unset_and_never_fires_in_the_first_run() {
    let found = same_classes(
        racing(),
        program!(|scope| {
            let (sender, mut receiver) = oneshot::channel::<u32>();
            let _ = scope.spawn(async move |cx: &Cx| {
                let _ = timeout(cx, MS, receiver.recv(cx)).await;
                Ok::<_, Error>(())
            });
            let _ = scope.spawn(async move |cx: &Cx| {
                cx.yield_now().await?;
                let _ = sender.send(1);
                Ok::<_, Error>(())
            });
        }),
    );
    assert_eq!(found, (5, 0));
}

#[test]
fn two_timeouts_of_one_notification() {
    let found = same_classes(
        racing(),
        program!(|scope| {
            let notify = Arc::new(Notify::new());
            for n in 1..3 {
                let notify = notify.clone();
                let _ = scope.spawn(async move |cx: &Cx| {
                    let _ = timeout(cx, n * MS, notify.notified(cx)).await;
                    Ok::<_, Error>(())
                });
            }
            let _ = scope.spawn(async move |_cx: &Cx| {
                notify.notify_one();
                Ok::<_, Error>(())
            });
        }),
    );
    assert_eq!(found, (98, 1));
}

#[test]
fn a_region_with_a_deadline() {
    let found = same_classes(racing(), async move |cx: &Cx| {
        let options = asupersync_core::RegionOptions::new()
            .budget(asupersync_core::Budget::UNLIMITED.with_timeout(MS));
        let _ = cx
            .region_with(options, async move |scope| {
                let _ = scope.spawn(async move |cx: &Cx| {
                    cx.yield_now().await?;
                    cx.sleep(2 * MS).await?;
                    Ok::<_, Error>(())
                });
                Ok::<_, Error>(())
            })
            .await;
        Ok(())
    });
    assert_eq!(found, (10, 0));
}

#[test]
fn cancellation_with_cleanup() {
    let found = same_classes(racing(), async move |cx: &Cx| {
        let mut worker = cx.spawn(async |cx: &Cx| Ok::<_, Error>(cx.sleep(MS).await?));
        cx.yield_now().await?;
        worker.cancel(CancelReason::user("enough"));
        let _ = worker.join(cx).await;
        Ok(())
    });
    assert_eq!(found, (8, 0));
}

const SERVER: &str = "10.0.0.9:80";

#[test]
fn a_tcp_connection() {
    let found = same_classes(racing(), async move |cx: &Cx| {
        let listener = TcpListener::bind(cx, SERVER).await?;
        let mut server = cx.spawn(async move |cx: &Cx| {
            let (mut stream, _) = listener.accept(cx).await?;
            let _ = stream.write_all(cx, b"yes").await;
            Ok::<_, Error>(())
        });
        let mut stream = TcpStream::connect(cx, SERVER).await?;
        let mut answer = [0; 3];
        let _ = timeout(cx, 10 * MS, stream.read_exact(cx, &mut answer)).await;
        drop(stream);
        let _ = server.join(cx).await?;
        Ok(())
    });
    assert_eq!(found, (46, 0));
}

#[test]
fn datagrams() {
    let found = same_classes(
        racing(),
        program!(|scope| {
            let _ = scope.spawn(async move |cx: &Cx| {
                let socket = UdpSocket::bind(cx, "10.0.0.1:7").await?;
                let mut buf = [0; 8];
                for _ in 0..2 {
                    let _ = timeout(cx, 5 * MS, socket.recv_from(cx, &mut buf)).await;
                }
                Ok::<_, Error>(())
            });
            for n in 2..4_u8 {
                let _ = scope.spawn(async move |cx: &Cx| {
                    let socket =
                        UdpSocket::bind(cx, std::net::SocketAddr::from(([10, 0, 0, n], 7))).await?;
                    let _ = socket.send_to(cx, &[n], "10.0.0.1:7".parse().unwrap()).await;
                    Ok::<_, Error>(())
                });
            }
        }),
    );
    assert_eq!(found, (228, 0));
}

/// Where time does not race, too: a driver is made when it is first asked for, and who that is differs.
#[test]
fn who_needs_the_network_first_is_no_part_of_its_name() {
    let found = same_classes(
        LabConfig::default(),
        program!(|scope| {
            for n in 1..4_u8 {
                let _ = scope.spawn(async move |cx: &Cx| {
                    let address = std::net::SocketAddr::from(([10, 0, 0, n], 7));
                    drop(UdpSocket::bind(cx, address).await?);
                    Ok::<_, Error>(())
                });
            }
        }),
    );
    assert_eq!(found, (6, 0));
}

#[test]
fn a_fault_of_the_plan() {
    let mut classes = Vec::new();
    for seed in 0..6 {
        let config = racing().seed(seed).faults(Faults::default().clock());
        let found = same_classes(
            config,
            program!(|scope| {
                let _ = scope.spawn(async move |cx: &Cx| {
                    cx.sleep(MS).await?;
                    let _ = cx.now();
                    Ok::<_, Error>(())
                });
            }),
        );
        classes.push(found);
    }
    let counts = [14, 5, 10, 26, 15, 10];
    assert_eq!(classes, counts.map(|classes| (classes, 0)));
}
