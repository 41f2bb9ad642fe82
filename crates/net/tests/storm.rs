//! Many cancelled operations: no descriptor leaks. A file of its own, because descriptors are the whole
//! process's.

#[path = "support/interrupt.rs"]
mod interrupt;

use asupersync_core::{Cx, Error, Outcome};
use asupersync_io::AsyncReadExt;
use asupersync_net::{
    ConnectOptions, TcpListener, TcpStream, UdpSocket, UnixAddr, UnixDatagram, UnixListener,
    UnixStream,
};
use asupersync_os::pipe;
use asupersync_runtime::RuntimeBuilder;
use interrupt::{cancelled, descriptors};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

/// Descriptors are counted: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Makes sockets of every kind and begins what has to wait on them, `rounds` times ten operations.
async fn storm(cx: &Cx, rounds: usize) -> io::Result<()> {
    let tcp = TcpListener::bind(cx, "127.0.0.1:0").await?;
    let name = UnixAddr::abstract_name(format!("asupersync-storm-{}", std::process::id()));
    let unix = UnixListener::bind(cx, &name).await?;
    let address = tcp.local_addr()?;
    // Nobody answers there: a backlog that is full.
    let options = ConnectOptions::new();
    let before = descriptors().len();
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
    assert!(
        descriptors().len() <= before + 2,
        "{} descriptors, {before} before",
        descriptors().len()
    );
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
    let baseline = descriptors().len();
    let runtime = RuntimeBuilder::multi_thread().worker_threads(2).build().unwrap();
    let outcome = runtime.block_on(async move |cx: &Cx| Ok::<_, Error>(storm(cx, rounds).await?));
    assert!(matches!(outcome, Outcome::Ok(())), "{outcome:?}");
    drop(runtime);
    assert_eq!(descriptors().len(), baseline);
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
