//! Wakers that panic: who reads or writes at the other end does not hear of it.

use asupersync_io::{AsyncRead, AsyncWrite, DuplexStream, WriteHalf, duplex, split};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a waker's own panic");
    }
}

fn panics() -> Waker {
    Waker::from(Arc::new(Panics))
}

fn read(stream: &mut (impl AsyncRead + Unpin), waker: &Waker) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_read(&mut Context::from_waker(waker), &mut [0; 4])
}

fn write(stream: &mut (impl AsyncWrite + Unpin), waker: &Waker) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(waker), b"word")
}

#[test]
fn a_readers_panicking_waker_does_not_reach_the_writer() {
    let (mut near, mut far) = duplex(4);
    assert!(read(&mut near, &panics()).is_pending());
    assert!(matches!(write(&mut far, Waker::noop()), Poll::Ready(Ok(4))));
    assert!(matches!(read(&mut near, Waker::noop()), Poll::Ready(Ok(4))));

    assert!(read(&mut near, &panics()).is_pending());
    drop(far);
    assert!(matches!(read(&mut near, Waker::noop()), Poll::Ready(Ok(0))));
}

/// While it is read from, the other half asks for its turn, with a waker that panics.
struct Entered {
    stream: DuplexStream,
    other: Arc<Mutex<Option<WriteHalf<Entered>>>>,
}

impl AsyncRead for Entered {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(mut other) = self.other.lock().unwrap().take() {
            assert!(write(&mut other, &panics()).is_pending(), "this half has its turn");
        }
        Pin::new(&mut self.stream).poll_read(context, buf)
    }
}

impl AsyncWrite for Entered {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(context)
    }
}

#[test]
fn a_halfs_panicking_waker_does_not_reach_the_other_half() {
    let (near, mut far) = duplex(4);
    let other = Arc::new(Mutex::new(None));
    let (mut reader, writer) = split(Entered { stream: near, other: Arc::clone(&other) });
    *other.lock().unwrap() = Some(writer);
    assert!(matches!(write(&mut far, Waker::noop()), Poll::Ready(Ok(4))));
    assert!(matches!(read(&mut reader, Waker::noop()), Poll::Ready(Ok(4))));
}
