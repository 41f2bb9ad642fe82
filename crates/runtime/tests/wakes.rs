//! No wake-up is lost: many hand-overs, from everywhere, none of which may hang.

use asupersync_core::{Cancelled, Cx, Error, TaskCx};
use asupersync_reactor::{Direction, Io, Reactor};
use asupersync_runtime::{Runtime, RuntimeBuilder};
use mio::Interest;
use mio::net::{TcpListener, TcpStream};
use std::io::{Read, Write};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};

/// A baton: one number, waited for.
#[derive(Default)]
struct Baton {
    state: Mutex<(u64, Option<Waker>)>,
}

impl Baton {
    fn pass(&self, number: u64) {
        let waker = {
            let mut state = self.state.lock().unwrap();
            state.0 = number;
            state.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    async fn wait_for(&self, cx: &TaskCx, number: u64) -> Result<(), Cancelled> {
        cx.wait("baton", |context| {
            let mut waker = Some(context.waker().clone());
            let mut state = self.state.lock().unwrap();
            if state.0 >= number {
                return Poll::Ready(());
            }
            std::mem::swap(&mut state.1, &mut waker);
            drop(state);
            Poll::Pending
        })
        .await
    }
}

async fn ping(cx: &Cx, mine: Arc<Baton>, theirs: Arc<Baton>, rounds: u64) -> Result<(), Error> {
    for round in 1..=rounds {
        theirs.pass(round);
        mine.wait_for(cx, round).await?;
    }
    Ok(())
}

async fn pong(cx: &Cx, mine: Arc<Baton>, theirs: Arc<Baton>, rounds: u64) -> Result<(), Error> {
    for round in 1..=rounds {
        mine.wait_for(cx, round).await?;
        theirs.pass(round);
    }
    Ok(())
}

fn pairs(runtime: &Runtime, pairs: usize, rounds: u64) {
    let outcome = runtime.block_on(async move |cx: &Cx| {
        let region = cx.region(async |scope| {
            for _ in 0..pairs {
                let (left, right) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
                let (l, r) = (left.clone(), right.clone());
                let _ = scope.spawn(async move |cx: &Cx| ping(cx, l, r, rounds).await);
                let _ = scope.spawn(async move |cx: &Cx| pong(cx, right, left, rounds).await);
            }
            Ok::<_, Error>(())
        });
        region.await.into_result()?;
        Ok::<_, Error>(())
    });
    assert!(outcome.is_ok());
}

#[test]
fn pairs_of_tasks_on_several_workers_finish_their_ping_pong() {
    pairs(&RuntimeBuilder::multi_thread().worker_threads(4).build().unwrap(), 8, 10_000);
    pairs(&Runtime::current_thread().unwrap(), 8, 10_000);
}

/// Each hand-over crosses threads and wakes a sleeping worker.
#[test]
fn a_thread_and_a_task_finish_their_ping_pong() {
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let rounds = 5_000;
    let (task, thread) = (Arc::new(Baton::default()), Arc::new(Baton::default()));
    let (mine, theirs) = (task.clone(), thread.clone());
    let other = Runtime::current_thread().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let body = async move |cx: &Cx| ping(cx, thread, task, rounds).await;
            assert!(other.block_on(body).is_ok());
        });
        assert!(
            runtime.block_on(async move |cx: &Cx| pong(cx, mine, theirs, rounds).await).is_ok()
        );
    });
}

async fn read_exact(cx: &Cx, io: &Io<TcpStream>, buffer: &mut [u8]) -> Result<(), Error> {
    let mut filled = 0;
    while filled < buffer.len() {
        let read = cx.wait("read", |context| {
            io.poll_io(Direction::Read, context, |mut io| io.read(&mut buffer[filled..]))
        });
        filled += read.await??;
    }
    Ok(())
}

async fn write_all(cx: &Cx, io: &Io<TcpStream>, mut bytes: &[u8]) -> Result<(), Error> {
    while !bytes.is_empty() {
        let write = cx.wait("write", |context| {
            io.poll_io(Direction::Write, context, |mut io| io.write(bytes))
        });
        let written = write.await??;
        bytes = &bytes[written..];
    }
    Ok(())
}

fn echo(runtime: &Runtime, connections: usize, rounds: usize) {
    let outcome = runtime.block_on(async move |cx: &Cx| {
        let reactor = cx.service::<Reactor>().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap())?;
        let address = listener.local_addr()?;
        let listener = Io::new(&reactor, listener, Interest::READABLE)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        let region = cx.region(async |scope| {
            for _ in 0..connections {
                let client = Io::new(&reactor, TcpStream::connect(address)?, both)?;
                let _ = scope.spawn(async move |cx: &Cx| {
                    let mut buffer = [0; 64];
                    for round in 0..rounds {
                        write_all(cx, &client, &[round as u8; 64]).await?;
                        read_exact(cx, &client, &mut buffer).await?;
                        assert_eq!(buffer, [round as u8; 64]);
                    }
                    Ok(())
                });
                let accept = cx.wait("accept", |context| {
                    listener.poll_io(Direction::Read, context, TcpListener::accept)
                });
                let server = Io::new(&reactor, accept.await??.0, both)?;
                let _ = scope.spawn(async move |cx: &Cx| {
                    let mut buffer = [0; 64];
                    for _ in 0..rounds {
                        read_exact(cx, &server, &mut buffer).await?;
                        write_all(cx, &server, &buffer).await?;
                    }
                    Ok(())
                });
            }
            Ok::<_, Error>(())
        });
        region.await.into_result()?;
        Ok::<_, Error>(reactor.registered())
    });
    assert_eq!(outcome.into_result().unwrap(), 1, "only the listener is left");
}

#[test]
fn bytes_go_around_between_connected_tasks() {
    echo(&RuntimeBuilder::multi_thread().worker_threads(4).build().unwrap(), 16, 200);
    echo(&Runtime::current_thread().unwrap(), 16, 200);
}
