//! What `docs/macro-dsl.md` shows: each macro in use, and the same function with the macro expanded.
//! A test in `src/page.rs` compares each pair; here both compile, run and agree.

#![allow(clippy::match_single_binding, reason = "a scrutinee's temporaries live longer")]

use asupersync::channel::RecvError;
use asupersync::combinator::{into_branch, race_some};
use asupersync::prelude::*;
use std::time::Duration;

async fn worker_a(cx: &Cx) -> Result<u32, Error> {
    cx.sleep(Duration::from_millis(1)).await?;
    Ok(1)
}

async fn worker_b(_cx: &Cx) -> Result<u32, Error> {
    Ok(2)
}

// snippet: scope
async fn scope_used(cx: &Cx) -> Result<u32, Error> {
    let outcome = scope! {
        let a = spawn!(worker_a);
        let b = spawn!("b", worker_b);
        let (a, b) = join!(a, b)?;
        a?.into_result()? + b?.into_result()?
    };
    Ok(outcome.into_result()?)
}
// end snippet

// snippet: scope-expanded
async fn scope_expanded(cx: &Cx) -> Result<u32, Error> {
    let outcome = cx
        .region(async |scope: &Scope<Error, _>| {
            let _ = scope;
            Ok::<_, Error>({
                let a = scope.spawn(worker_a);
                let b = scope.spawn_named("b", worker_b);
                let (a, b) = join(cx, (into_branch(cx, a), into_branch(cx, b))).await?;
                a?.into_result()? + b?.into_result()?
            })
        })
        .await;
    Ok(outcome.into_result()?)
}
// end snippet

// snippet: join
async fn join_used(cx: &Cx) -> Result<u32, Error> {
    let task = spawn!(in cx; worker_a);
    let (a, b) = join!(task, async { 2 })?;
    Ok(a?.into_result()? + b)
}
// end snippet

// snippet: join-expanded
async fn join_expanded(cx: &Cx) -> Result<u32, Error> {
    let task = cx.spawn(worker_a);
    let (a, b) = join(cx, (into_branch(cx, task), into_branch(cx, async { 2 }))).await?;
    Ok(a?.into_result()? + b)
}
// end snippet

// snippet: try_join
async fn try_join_used(cx: &Cx) -> Result<u32, Error> {
    let (a, b) = try_join!(worker_a(cx), worker_b(cx))?;
    Ok(a + b)
}
// end snippet

// snippet: try_join-expanded
async fn try_join_expanded(cx: &Cx) -> Result<u32, Error> {
    let (a, b) = try_join(cx, (worker_a(cx), worker_b(cx))).await?;
    Ok(a + b)
}
// end snippet

// snippet: race
async fn race_used(cx: &Cx) -> Result<u32, Error> {
    race!(worker_a(cx), worker_b(cx))?
}
// end snippet

// snippet: race-expanded
async fn race_expanded(cx: &Cx) -> Result<u32, Error> {
    race(cx, (worker_a(cx), worker_b(cx))).await?
}
// end snippet

// snippet: select
async fn select_used(cx: &Cx, rx: &mut mpsc::Receiver<u32>, room: bool) -> Result<u32, Error> {
    select! {
        Ok(n) = rx.recv(cx), if room => n,
        slept = cx.sleep(Duration::from_secs(1)) => {
            slept?;
            0
        }
    }
    .map_err(Error::from)
}
// end snippet

// snippet: select-expanded
async fn select_expanded(cx: &Cx, rx: &mut mpsc::Receiver<u32>, room: bool) -> Result<u32, Error> {
    {
        enum __Winner<A, B> {
            A(A),
            B(B),
        }
        let open_0: bool = room;
        let winner = race_some(
            cx,
            cx.random_u64() as usize,
            (
                match if open_0 { Some(rx.recv(cx)) } else { None } {
                    future => {
                        async move {
                            match future {
                                Some(future) => {
                                    let value = future.await;
                                    match value {
                                        Ok(_) => Some(__Winner::A(value)),
                                        _ => None,
                                    }
                                }
                                None => None,
                            }
                        }
                    }
                },
                match cx.sleep(Duration::from_secs(1)) {
                    future => async move { Some(__Winner::B(future.await)) },
                },
            ),
        )
        .await;
        match winner {
            Ok(winner) => {
                let value = match winner {
                    Some(__Winner::A(Ok(n))) => n,
                    Some(__Winner::A(_)) => unreachable!("what won has the pattern's shape"),
                    Some(__Winner::B(slept)) => {
                        slept?;
                        0
                    }
                    None => unreachable!("an arm without a condition is never ruled out"),
                };
                #[allow(unreachable_code, reason = "every arm may leave")]
                let value = Ok(value);
                value
            }
            Err(cancelled) => Err(cancelled),
        }
    }
    .map_err(Error::from)
}
// end snippet

// snippet: loop
/// Serves requests until it is told to stop or nobody can ask any more.
async fn serve(
    cx: &Cx,
    stop: &mut oneshot::Receiver<()>,
    requests: &mut mpsc::Receiver<u32>,
) -> Result<u32, Error> {
    let mut served = 0;
    loop {
        select! {
            biased; // the stop signal comes before any request
            _ = stop.recv(cx) => break,
            request = requests.recv(cx) => match request {
                Ok(request) => served += request,
                Err(RecvError::Closed) => break,
                Err(RecvError::Cancelled(cancelled)) => return Err(cancelled.into()),
            },
        }?;
    }
    Ok(served)
}
// end snippet

#[asupersync::test(seeds = 5)]
async fn a_macro_and_its_expansion_agree(cx: &Cx) -> Result<(), Error> {
    assert_eq!((scope_used(cx).await?, scope_expanded(cx).await?), (3, 3));
    assert_eq!((join_used(cx).await?, join_expanded(cx).await?), (3, 3));
    assert_eq!((try_join_used(cx).await?, try_join_expanded(cx).await?), (3, 3));
    assert_eq!((race_used(cx).await?, race_expanded(cx).await?), (2, 2));
    for (room, answer) in [(false, 0), (true, 7)] {
        let (tx, mut rx) = mpsc::channel(2);
        tx.reserve(cx).await?.send(7);
        tx.reserve(cx).await?.send(7);
        assert_eq!(select_used(cx, &mut rx, room).await?, answer);
        assert_eq!(select_expanded(cx, &mut rx, room).await?, answer);
    }
    Ok(())
}

#[asupersync::test(seeds = 5)]
async fn a_stop_signal_comes_before_requests(cx: &Cx) -> Result<(), Error> {
    let (tx, mut rx) = mpsc::channel(2);
    let (stop, mut stopped) = oneshot::channel();
    tx.reserve(cx).await?.send(1);
    drop(tx);
    assert_eq!(serve(cx, &mut stopped, &mut rx).await?, 1);
    let (tx, mut rx) = mpsc::channel(2);
    tx.reserve(cx).await?.send(1);
    assert!(stop.send(()).is_ok());
    assert_eq!(serve(cx, &mut stopped, &mut rx).await?, 0);
    Ok(())
}
