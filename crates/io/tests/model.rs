//! Buffers and pipes against their models: a queue of bytes.

use asupersync_io::{
    AsyncBufRead, AsyncRead, AsyncWrite, BufReader, BufWriter, Cursor, Decoder, DuplexStream,
    Encoder, LineCodec, LineWriter, duplex, split,
};
use bytes::BytesMut;
use proptest::prelude::*;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};

fn context() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

fn ready<T>(poll: Poll<io::Result<T>>) -> Option<T> {
    match poll {
        Poll::Ready(result) => Some(result.unwrap()),
        Poll::Pending => None,
    }
}

/// Accepts and yields a few bytes at a time, and is pending every now and then.
#[derive(Debug)]
struct Reluctant {
    script: Vec<u8>,
    step: usize,
    bytes: VecDeque<u8>,
}

impl Reluctant {
    fn new(script: Vec<u8>, bytes: &[u8]) -> Reluctant {
        Reluctant { script, step: 0, bytes: bytes.iter().copied().collect() }
    }

    /// How many bytes this time; none for "pending".
    fn next(&mut self) -> Option<usize> {
        let amount = self.script[self.step % self.script.len()];
        self.step += 1;
        (amount > 0).then_some(amount.into())
    }
}

impl AsyncRead for Reluctant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let Some(amount) = self.next() else { return Poll::Pending };
        let n = amount.min(buf.len());
        Poll::Ready(io::Read::read(&mut self.bytes, &mut buf[..n]))
    }
}

impl AsyncWrite for Reluctant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Some(amount) = self.next() else { return Poll::Pending };
        let n = amount.min(buf.len());
        self.bytes.extend(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.next().is_some() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_flush(context)
    }
}

/// At least one step that is not "pending", so that everything ends.
fn script() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(0..12u8, 0..12).prop_map(|mut script| {
        script.push(3);
        script
    })
}

proptest! {
    #[test]
    fn every_line_that_is_written_is_read_as_it_was(lines in prop::collection::vec("[a\r ]{0,5}", 0..6)) {
        let mut codec = LineCodec::new(5);
        let mut bytes = BytesMut::new();
        for line in &lines {
            codec.encode(line, &mut bytes).unwrap();
        }
        let mut read = Vec::new();
        while let Some(line) = codec.decode(&mut bytes).unwrap() {
            read.push(line);
        }
        prop_assert_eq!(read, lines);
    }

    #[test]
    fn a_duplex_is_two_bounded_queues(
        capacity in 1..20usize,
        operations in prop::collection::vec((0..2usize, any::<bool>(), 1..30usize), 1..200),
    ) {
        let (a, b) = duplex(capacity);
        let mut ends = [a, b];
        let mut model = [VecDeque::new(), VecDeque::new()];
        let mut next = 0u8;
        for (end, write, n) in operations {
            let stream = Pin::new(&mut ends[end]);
            if write {
                let bytes: Vec<u8> = (0..n).map(|_| { next = next.wrapping_add(1); next }).collect();
                let room = capacity - model[end].len();
                let taken = ready(stream.poll_write(&mut context(), &bytes));
                prop_assert_eq!(taken, (room > 0).then(|| n.min(room)));
                model[end].extend(&bytes[..taken.unwrap_or(0)]);
            } else {
                let mut buf = vec![0; n];
                let waiting = &mut model[1 - end];
                let got = ready(stream.poll_read(&mut context(), &mut buf));
                prop_assert_eq!(got, (!waiting.is_empty()).then(|| n.min(waiting.len())));
                let expected: Vec<u8> = waiting.drain(..got.unwrap_or(0)).collect();
                prop_assert_eq!(&buf[..got.unwrap_or(0)], &expected[..]);
            }
        }
    }

    #[test]
    fn a_buffered_reader_reads_what_the_reader_holds(
        capacity in 1..20usize,
        script in script(),
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        sizes in prop::collection::vec((1..30usize, any::<bool>()), 1..20),
    ) {
        let mut reader = BufReader::with_capacity(capacity, Reluctant::new(script, &bytes));
        let mut got = Vec::new();
        for &(size, by_consume) in sizes.iter().cycle() {
            if by_consume {
                let Some(available) = ready(Pin::new(&mut reader).poll_fill_buf(&mut context())) else {
                    continue;
                };
                if available.is_empty() { break; }
                let n = size.min(available.len());
                got.extend(&available[..n]);
                Pin::new(&mut reader).consume(n);
            } else {
                let mut buf = vec![0; size];
                match ready(Pin::new(&mut reader).poll_read(&mut context(), &mut buf)) {
                    Some(0) => break,
                    Some(n) => got.extend(&buf[..n]),
                    None => {}
                }
            }
            prop_assert!(bytes.starts_with(&got));
        }
        prop_assert_eq!(got, bytes);
    }

    #[test]
    fn a_buffered_writer_writes_what_it_accepted(
        capacity in 1..20usize,
        script in script(),
        writes in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..30), 0..30),
    ) {
        let mut writer = BufWriter::with_capacity(capacity, Reluctant::new(script, &[]));
        let mut accepted = Vec::new();
        for bytes in writes {
            let n = ready(Pin::new(&mut writer).poll_write(&mut context(), &bytes)).unwrap_or(0);
            accepted.extend(&bytes[..n]);
            let out: Vec<u8> = writer.get_ref().bytes.iter().copied().collect();
            prop_assert_eq!([&out[..], writer.buffer()].concat(), accepted.clone());
        }
        while Pin::new(&mut writer).poll_flush(&mut context()).is_pending() {}
        prop_assert_eq!(writer.into_parts().0.bytes, accepted);
    }

    #[test]
    fn a_line_writer_keeps_back_only_the_last_line(
        capacity in 8..64usize,
        writes in prop::collection::vec("[a-z\n]{1,6}", 0..30),
    ) {
        let mut writer = LineWriter::with_capacity(capacity, Cursor::new(Vec::new()));
        let mut accepted = String::new();
        for text in writes {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let n = ready(Pin::new(&mut writer).poll_write(&mut context(), rest)).unwrap();
                rest = &rest[n..];
            }
            accepted.push_str(&text);
            prop_assert!(!writer.buffer().contains(&b'\n'), "{:?}", writer);
        }
        let (out, kept) = writer.into_parts();
        prop_assert_eq!([out.into_inner(), kept].concat(), accepted.into_bytes());
    }
}

#[test]
fn the_reader_of_a_dropped_writer_reads_the_rest_and_the_end() {
    let (mut near, mut far) = duplex(8);
    ready(Pin::new(&mut near).poll_write(&mut context(), b"rest")).unwrap();
    drop(near);
    let mut buf = [0; 8];
    assert_eq!(ready(Pin::new(&mut far).poll_read(&mut context(), &mut buf)), Some(4));
    assert_eq!(ready(Pin::new(&mut far).poll_read(&mut context(), &mut buf)), Some(0));
    match Pin::new(&mut far).poll_write(&mut context(), b"x") {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), io::ErrorKind::BrokenPipe),
        other => panic!("{other:?}"),
    }
}

#[test]
fn closing_one_direction_leaves_the_other_open() {
    let (mut near, mut far) = duplex(8);
    ready(Pin::new(&mut near).poll_close(&mut context())).unwrap();
    assert_eq!(ready(Pin::new(&mut far).poll_read(&mut context(), &mut [0; 1])), Some(0));
    assert_eq!(ready(Pin::new(&mut far).poll_write(&mut context(), b"back")), Some(4));
    let mut buf = [0; 4];
    assert_eq!(ready(Pin::new(&mut near).poll_read(&mut context(), &mut buf)), Some(4));
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// While it is polled it lets the other half be polled too, as another thread would.
struct Reentrant {
    inner: DuplexStream,
    during: Option<Box<dyn FnOnce() + Send>>,
}

impl AsyncRead for Reentrant {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if let Some(during) = self.during.take() {
            during();
        }
        Pin::new(&mut self.inner).poll_read(context, buf)
    }
}

impl AsyncWrite for Reentrant {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[test]
fn a_split_half_that_finds_the_stream_taken_is_woken_once_when_it_is_free() {
    let (inner, _far) = duplex(8);
    let wakes = Arc::new(Count::default());
    let writer_slot = Arc::new(std::sync::Mutex::new(None::<asupersync_io::WriteHalf<Reentrant>>));
    let (slot, waker) = (writer_slot.clone(), Waker::from(wakes.clone()));
    let during = Box::new(move || {
        let mut slot = slot.lock().unwrap();
        let writer = Pin::new(slot.as_mut().unwrap());
        assert!(writer.poll_write(&mut Context::from_waker(&waker), b"x").is_pending());
    });
    let (mut reader, writer) = split(Reentrant { inner, during: Some(during) });
    *writer_slot.lock().unwrap() = Some(writer);
    assert!(Pin::new(&mut reader).poll_read(&mut context(), &mut [0; 1]).is_pending());
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
    let mut writer = writer_slot.lock().unwrap().take().unwrap();
    assert_eq!(ready(Pin::new(&mut writer).poll_write(&mut context(), b"x")), Some(1));
    assert_eq!(wakes.0.load(Ordering::SeqCst), 1);
}

#[test]
fn halves_of_different_streams_do_not_unite() {
    let ((a, b), (c, d)) = (duplex(1), duplex(1));
    let ((read_a, write_a), (read_c, write_c)) = (split(a), split(c));
    let error = read_a.unsplit(write_c).unwrap_err();
    assert!(error.read.unsplit(write_a).is_ok());
    assert!(read_c.unsplit(error.write).is_ok());
    drop((b, d));
}
