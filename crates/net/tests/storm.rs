//! Many cancelled operations: no descriptor leaks. A file of its own, because descriptors are the whole
//! process's.

use asupersync_core::{BranchOptions, CancelReason, Cx, Error, Outcome};
use asupersync_io::AsyncReadExt;
use asupersync_net::{
    ConnectOptions, TcpListener, TcpStream, UdpSocket, UnixAddr, UnixDatagram, UnixListener,
    UnixStream,
};
use asupersync_os::pipe;
use asupersync_runtime::RuntimeBuilder;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

/// Descriptors are counted: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// The open descriptors. The listing's own is among them.
fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Cancels a call after its first poll.
async fn cancelled<F: Future>(cx: &Cx, call: F) {
    let mut branch = pin!(cx.branch(BranchOptions::default(), call));
    let mut polled = false;
    let _ = poll_fn(|context| {
        if polled {
            branch.as_mut().cancel(CancelReason::user("interrupted"));
        }
        polled = true;
        let poll = branch.as_mut().poll(context);
        if poll.is_pending() {
            context.waker().wake_by_ref();
        }
        poll
    })
    .await;
}

/// Makes sockets of every kind and begins what has to wait on them, `rounds` times ten operations.
async fn storm(cx: &Cx, rounds: usize) -> io::Result<()> {
    let tcp = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let name = UnixAddr::abstract_name(format!("asupersync-storm-{}", std::process::id()));
    let unix = UnixListener::bind(cx, &name).await?;
    let address = tcp.local_addr()?;
    // Nobody answers there: a backlog that is full.
    let options = ConnectOptions::new();
    let before = descriptors();
    for _ in 0..rounds {
        cancelled(cx, tcp.accept(cx)).await;
        cancelled(cx, TcpStream::connect(cx, address)).await;
        cancelled(cx, TcpStream::connect_any(cx, [address; 3], &options)).await;
        cancelled(cx, tcp.accept(cx)).await;
        cancelled(cx, unix.accept(cx)).await;
        cancelled(cx, UnixStream::connect(cx, &name)).await;
        let (mut near, _far) = UnixStream::pair(cx)?;
        cancelled(cx, near.read(cx, &mut [0; 8])).await;
        let udp = UdpSocket::bind(cx, "127.0.0.1:0").await?;
        cancelled(cx, udp.recv(cx, &mut [0; 8])).await;
        let datagram = UnixDatagram::unbound(cx)?;
        cancelled(cx, datagram.recv(cx, &mut [0; 8])).await;
        let (mut reader, _writer) = pipe(cx)?;
        cancelled(cx, reader.read(cx, &mut [0; 8])).await;
        // What the cancelled connections left in the queues.
        while accepts(cx, &tcp, &unix).await {}
    }
    assert!(descriptors() <= before + 2, "{} descriptors, {before} before", descriptors());
    Ok(())
}

/// Takes what waits in the queues, without waiting for more.
async fn accepts(cx: &Cx, tcp: &TcpListener, unix: &UnixListener) -> bool {
    let (mut tcp, mut unix) = (pin!(tcp.accept(cx)), pin!(unix.accept(cx)));
    poll_fn(|context| {
        let took = tcp.as_mut().poll(context).is_ready() | unix.as_mut().poll(context).is_ready();
        std::task::Poll::Ready(took)
    })
    .await
}

fn run(rounds: usize) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let baseline = descriptors();
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async move |cx: &Cx| Ok::<_, Error>(storm(cx, rounds).await?));
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    drop(runtime);
    assert_eq!(descriptors(), baseline);
}

#[test]
fn two_thousand_cancelled_operations_leave_no_descriptor() {
    run(200);
}

#[test]
#[ignore = "a hundred thousand operations"]
fn a_hundred_thousand_cancelled_operations_leave_no_descriptor() {
    run(10_000);
}
