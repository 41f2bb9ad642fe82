//! The reactor over real descriptors.

use asupersync_core::WakeList;
use asupersync_reactor::{Direction, Driver, Io, Turn};
use mio::Interest;
use mio::net::{TcpListener, TcpStream, UnixStream};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn turn(driver: &mut Driver, timeout: Option<Duration>) -> std::io::Result<Turn> {
    let mut wakers = WakeList::new();
    let turn = driver.turn(timeout, &mut wakers);
    wakers.wake();
    turn
}

const SHORT: Option<Duration> = Some(Duration::from_millis(20));
const LONG: Option<Duration> = Some(Duration::from_secs(10));

#[test]
fn what_was_ready_before_registration_is_reported() {
    let (mut driver, reactor) = Driver::new().unwrap();
    let (pipe, mut peer) = UnixStream::pair().unwrap();
    peer.write_all(b"early").unwrap();
    let pipe = Io::new(&reactor, pipe, Interest::READABLE).unwrap();
    turn(&mut driver, LONG).unwrap();
    assert!(pipe.registration().ready(Direction::Read).is_some());
}

#[test]
fn every_byte_arrives_when_each_edge_is_drained_and_cleared() {
    let (mut driver, reactor) = Driver::new().unwrap();
    let (pipe, mut peer) = UnixStream::pair().unwrap();
    let pipe = Io::new(&reactor, pipe, Interest::READABLE).unwrap();
    let count = Arc::new(Count::default());
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    let mut received = 0;
    for round in 1..=100 {
        let mut buffer = [0; 7];
        let mut read =
            || pipe.poll_io(Direction::Read, &mut context, |mut io| io.read(&mut buffer));
        assert!(read().is_pending());
        peer.write_all(&[1; 10]).unwrap();
        turn(&mut driver, LONG).unwrap();
        assert_eq!(count.0.load(Ordering::SeqCst), round);
        while let Poll::Ready(bytes) = read() {
            received += bytes.unwrap();
        }
    }
    assert_eq!(received, 1000);
}

#[test]
fn a_closed_peer_reads_as_closed_even_after_a_short_read() {
    let (mut driver, reactor) = Driver::new().unwrap();
    let (pipe, mut peer) = UnixStream::pair().unwrap();
    let pipe = Io::new(&reactor, pipe, Interest::READABLE).unwrap();
    peer.write_all(b"last words").unwrap();
    drop(peer);
    turn(&mut driver, LONG).unwrap();
    let ready = pipe.registration().ready(Direction::Read).unwrap();
    assert!(ready.is_closed());
    assert_eq!(pipe.get_ref().read(&mut [0; 100]).unwrap(), 10);
    pipe.registration().clear_drained(ready);
    assert!(pipe.registration().ready(Direction::Read).is_some(), "the end is still to be read");
    assert_eq!(pipe.get_ref().read(&mut [0; 100]).unwrap(), 0);
}

#[test]
fn all_acceptors_of_one_listener_are_woken() {
    let (mut driver, reactor) = Driver::new().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Io::new(&reactor, listener, Interest::READABLE).unwrap();
    let acceptors: Vec<_> = (0..4).map(|_| Arc::new(Count::default())).collect();
    for acceptor in &acceptors {
        let waker = Waker::from(acceptor.clone());
        let mut context = Context::from_waker(&waker);
        let accept = listener.poll_io(Direction::Read, &mut context, TcpListener::accept);
        assert!(accept.is_pending());
    }
    let _client = TcpStream::connect(address).unwrap();
    turn(&mut driver, LONG).unwrap();
    for acceptor in &acceptors {
        assert_eq!(acceptor.0.load(Ordering::SeqCst), 1);
    }
    assert!(listener.get_ref().accept().is_ok());
    assert_eq!(listener.get_ref().accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn an_event_of_a_dropped_source_does_not_reach_its_successor() {
    let (mut driver, reactor) = Driver::new().unwrap();
    let (first, mut first_peer) = UnixStream::pair().unwrap();
    let registered = Io::new(&reactor, first, Interest::READABLE).unwrap();
    first_peer.write_all(b"x").unwrap();
    drop(registered);
    assert_eq!(reactor.registered(), 0);
    let (second, _second_peer) = UnixStream::pair().unwrap();
    let second = Io::new(&reactor, second, Interest::READABLE).unwrap();
    turn(&mut driver, SHORT).unwrap();
    assert!(second.registration().ready(Direction::Read).is_none());
}

#[test]
fn unpark_before_the_turn_cuts_it_short() {
    let (mut driver, reactor) = Driver::new().unwrap();
    reactor.unpark();
    assert!(turn(&mut driver, None).unwrap().unparked);
    assert!(!turn(&mut driver, SHORT).unwrap().unparked, "one unpark, one turn");
}

#[test]
fn unpark_from_another_thread_ends_a_wait_without_timeout() {
    let (mut driver, reactor) = Driver::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| reactor.unpark());
        assert!(turn(&mut driver, None).unwrap().unparked);
    });
}

#[test]
fn a_wait_shorter_than_a_millisecond_sees_events_and_unparks() {
    let (mut driver, reactor) = Driver::new().unwrap();
    let (pipe, mut peer) = UnixStream::pair().unwrap();
    let pipe = Io::new(&reactor, pipe, Interest::READABLE).unwrap();
    let short = Some(Duration::from_micros(300));
    assert_eq!(turn(&mut driver, short).unwrap(), Turn::default());
    peer.write_all(b"x").unwrap();
    assert_eq!(turn(&mut driver, short).unwrap().events, 1);
    assert!(pipe.registration().ready(Direction::Read).is_some());
    reactor.unpark();
    assert!(turn(&mut driver, short).unwrap().unparked);
}
