//! What a cancelled call promises, with the cancellation at every poll in turn: by the scope, and by
//! dropping the future.

#[path = "../../core/tests/support/mod.rs"]
mod support;

use asupersync_core::{
    BranchEnd, BranchOptions, CancelReason, Cx, Error, Outcome, TaskCx, cancelled_in,
};
use asupersync_io::{
    AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, BufWriter, BytesCodec, DuplexStream,
    FrameError, FramedRead, FramedWrite, LengthDelimited, LineCodec, LineWriter, copy, copy_buf,
    duplex,
};
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::Poll;

const TEXT: &[u8] = b"one\ntwo words\n\nand a longer line, longer than a pipe\r\nthe last, endless";

type Working<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;
type Work<T> = for<'a> fn(&'a Cx, DuplexStream, Interrupt) -> Working<'a, T>;

#[derive(Clone, Copy, Debug)]
enum Mode {
    Cancel,
    Drop,
}

/// Interrupts each attempt after a number of polls; the first perhaps before any.
#[derive(Clone, Copy, Debug)]
struct Interrupt {
    mode: Mode,
    polls: usize,
    struck: usize,
}

trait MayBeCancelled {
    fn is_cancelled(&self) -> bool;
}

impl MayBeCancelled for io::Error {
    fn is_cancelled(&self) -> bool {
        cancelled_in(self).is_some()
    }
}

impl MayBeCancelled for FrameError {
    fn is_cancelled(&self) -> bool {
        matches!(self, FrameError::Io(error) if error.is_cancelled())
    }
}

impl Interrupt {
    /// The call's answer; none if it was interrupted.
    async fn call<T, E: MayBeCancelled>(
        &mut self,
        cx: &TaskCx,
        call: impl Future<Output = Result<T, E>>,
    ) -> Option<Result<T, E>> {
        let mut left = self.polls;
        self.polls = self.polls.max(1);
        let answer = match self.mode {
            Mode::Cancel => {
                let mut branch = pin!(cx.branch(BranchOptions::default(), call));
                let end = poll_fn(|context| {
                    if left == 0 {
                        branch.as_mut().cancel(CancelReason::user("interrupted"));
                    }
                    let poll = branch.as_mut().poll(context);
                    if poll.is_pending() && left > 0 {
                        left -= 1;
                        if left == 0 {
                            context.waker().wake_by_ref();
                        }
                    }
                    poll
                });
                match end.await {
                    BranchEnd::Finished(Err(error)) if error.is_cancelled() => None,
                    BranchEnd::Finished(answer) => Some(answer),
                    BranchEnd::Dropped(_) => None,
                }
            }
            Mode::Drop => {
                let mut call = pin!(call);
                poll_fn(|context| {
                    if left == 0 {
                        return Poll::Ready(None);
                    }
                    let poll = call.as_mut().poll(context).map(Some);
                    if poll.is_pending() {
                        left -= 1;
                        if left == 0 {
                            context.waker().wake_by_ref();
                        }
                    }
                    poll
                })
                .await
            }
        };
        if answer.is_none() {
            self.struck += 1;
            cx.yield_now().await.unwrap();
        }
        answer
    }
}

/// As `call`, again and again until it is not interrupted.
macro_rules! insist {
    ($interrupt:ident, $cx:ident, $call:expr) => {
        loop {
            if let Some(answer) = $interrupt.call($cx, $call).await {
                break answer;
            }
        }
    };
}

fn each_interruption(mut check: impl FnMut(Interrupt)) {
    for mode in [Mode::Cancel, Mode::Drop] {
        for polls in 0..30 {
            check(Interrupt { mode, polls, struck: 0 });
        }
    }
}

/// Runs `work` at one end of a narrow pipe while the other end writes `bytes` in small pieces.
fn reading(work: Work<Vec<u8>>, interrupt: Interrupt, bytes: &'static [u8]) -> Vec<u8> {
    let ran = support::run(async move |cx: &Cx| {
        let (mut near, far) = duplex(3);
        let mut writer = cx.spawn(async move |cx: &Cx| {
            for piece in bytes.chunks(2) {
                near.write_all(cx, piece).await?;
                cx.yield_now().await?;
            }
            Ok::<_, Error>(())
        });
        let got = work(cx, far, interrupt).await?;
        writer.join(cx).await?.into_result()?;
        Ok::<_, Error>(got)
    });
    match ran.outcome {
        Outcome::Ok(got) => got,
        other => panic!("{interrupt:?}: {other:?}"),
    }
}

/// Runs `work` at one end of a narrow pipe and answers what the other end read.
fn writing(work: Work<()>, interrupt: Interrupt) -> Vec<u8> {
    let ran = support::run(async move |cx: &Cx| {
        let (near, mut far) = duplex(3);
        let mut reader = cx.spawn(async move |cx: &Cx| {
            let (mut got, mut buf) = (Vec::new(), [0; 2]);
            loop {
                match far.read(cx, &mut buf).await? {
                    0 => return Ok::<_, Error>(got),
                    n => got.extend(&buf[..n]),
                }
                cx.yield_now().await?;
            }
        });
        work(cx, near, interrupt).await?;
        Ok::<_, Error>(reader.join(cx).await?.into_result()?)
    });
    match ran.outcome {
        Outcome::Ok(got) => got,
        other => panic!("{interrupt:?}: {other:?}"),
    }
}

macro_rules! reads {
    ($($name:ident: |$cx:ident, $stream:ident, $interrupt:ident| $body:block)*) => {
        $(#[test]
        fn $name() {
            let work: Work<Vec<u8>> = |$cx, mut $stream, mut $interrupt| Box::pin(async move {
                let got: io::Result<Vec<u8>> = async { $body }.await;
                assert!($interrupt.struck > 0 || $interrupt.polls > 1, "nothing was interrupted");
                let _ = &mut $stream;
                got
            });
            each_interruption(|interrupt| {
                let got = reading(work, interrupt, TEXT);
                assert_eq!(got.escape_ascii().to_string(), TEXT.escape_ascii().to_string(), "{interrupt:?}");
            });
        })*
    };
}

reads! {
    a_cancelled_read_takes_nothing: |cx, stream, interrupt| {
        let mut got = Vec::new();
        loop {
            let mut buf = [0; 2];
            match insist!(interrupt, cx, stream.read(cx, &mut buf))? {
                0 => break Ok(got),
                n => got.extend(&buf[..n]),
            }
        }
    }

    a_cancelled_read_exact_resume_keeps_its_progress: |cx, stream, interrupt| {
        let (mut buf, mut filled) = (vec![0; TEXT.len()], 0);
        insist!(interrupt, cx, stream.read_exact_resume(cx, &mut buf, &mut filled))?;
        Ok(buf)
    }

    a_cancelled_read_to_end_keeps_its_progress: |cx, stream, interrupt| {
        let mut got = Vec::new();
        insist!(interrupt, cx, stream.read_to_end(cx, &mut got, TEXT.len()))?;
        Ok(got)
    }

    a_cancelled_read_until_keeps_its_progress: |cx, stream, interrupt| {
        let mut reader = BufReader::with_capacity(4, &mut stream);
        let mut got = Vec::new();
        loop {
            let mut line = Vec::new();
            insist!(interrupt, cx, reader.read_until(cx, b'\n', &mut line, 100))?;
            if line.is_empty() {
                break Ok(got);
            }
            got.extend(line);
        }
    }

    a_cancelled_next_line_keeps_its_progress: |cx, stream, interrupt| {
        let mut lines = BufReader::with_capacity(4, &mut stream).lines(100);
        let mut got = Vec::new();
        while let Some(line) = insist!(interrupt, cx, lines.next_line(cx))? {
            got.push(line);
        }
        Ok(got.join("\n").replace("pipe\n", "pipe\r\n").into_bytes())
    }

    a_cancelled_peek_takes_nothing: |cx, stream, interrupt| {
        let mut reader = BufReader::with_capacity(9, &mut stream);
        let mut got = Vec::new();
        while got.len() + 5 <= TEXT.len() {
            got.extend(insist!(interrupt, cx, async { reader.peek(cx, 5).await.map(<[u8]>::to_vec) })?);
            reader.consume(5);
        }
        insist!(interrupt, cx, reader.read_to_end(cx, &mut got, 5))?;
        Ok(got)
    }

    a_cancelled_copy_buf_loses_nothing: |cx, stream, interrupt| {
        let mut reader = BufReader::with_capacity(4, &mut stream);
        let (mut got, mut copied) = (Vec::new(), 0);
        insist!(interrupt, cx, copy_buf(cx, &mut reader, &mut got, &mut copied))?;
        assert_eq!(copied, got.len() as u64);
        Ok(got)
    }

    a_cancelled_next_of_a_line_codec_keeps_its_progress: |cx, stream, interrupt| {
        let mut frames = FramedRead::new(&mut stream, LineCodec::new(100));
        let mut got = Vec::new();
        while let Some(line) = insist!(interrupt, cx, frames.next(cx))? {
            got.push(line);
        }
        Ok(got.join("\n").replace("pipe\n", "pipe\r\n").into_bytes())
    }

    a_cancelled_next_of_a_byte_codec_keeps_its_progress: |cx, stream, interrupt| {
        let mut frames = FramedRead::new(&mut stream, BytesCodec::new(2));
        let mut got = Vec::new();
        while let Some(bytes) = insist!(interrupt, cx, frames.next(cx))? {
            got.extend(bytes);
        }
        Ok(got)
    }
}

macro_rules! writes {
    ($($name:ident: |$cx:ident, $stream:ident, $interrupt:ident| $body:block)*) => {
        $(#[test]
        fn $name() {
            let work: Work<()> = |$cx, mut $stream, mut $interrupt| Box::pin(async move {
                async { $body }.await?;
                assert!($interrupt.struck > 0 || $interrupt.polls > 1, "nothing was interrupted");
                $stream.close($cx).await
            });
            each_interruption(|interrupt| {
                let got = writing(work, interrupt);
                assert_eq!(got.escape_ascii().to_string(), TEXT.escape_ascii().to_string(), "{interrupt:?}");
            });
        })*
    };
}

writes! {
    a_cancelled_write_writes_nothing: |cx, stream, interrupt| {
        let mut rest = TEXT;
        while !rest.is_empty() {
            let n = insist!(interrupt, cx, stream.write(cx, rest))?;
            rest = &rest[n..];
        }
        io::Result::Ok(())
    }

    a_cancelled_write_all_resume_keeps_its_progress: |cx, stream, interrupt| {
        let mut written = 0;
        insist!(interrupt, cx, stream.write_all_resume(cx, TEXT, &mut written))
    }

    a_cancelled_flush_of_a_buffered_writer_loses_nothing: |cx, stream, interrupt| {
        let mut writer = BufWriter::with_capacity(10, &mut stream);
        for piece in TEXT.chunks(4) {
            let mut written = 0;
            insist!(interrupt, cx, writer.write_all_resume(cx, piece, &mut written))?;
        }
        insist!(interrupt, cx, writer.flush(cx))
    }

    a_cancelled_write_to_a_line_writer_loses_nothing: |cx, stream, interrupt| {
        let mut writer = LineWriter::with_capacity(10, &mut stream);
        for piece in TEXT.chunks(7) {
            let mut written = 0;
            insist!(interrupt, cx, writer.write_all_resume(cx, piece, &mut written))?;
        }
        insist!(interrupt, cx, writer.flush(cx))
    }

    a_cancelled_flush_of_frames_loses_and_doubles_nothing: |cx, stream, interrupt| {
        let mut frames = FramedWrite::new(&mut stream, BytesCodec::new(100));
        for piece in TEXT.chunks(5) {
            insist!(interrupt, cx, frames.ready(cx))?;
            frames.feed(piece)?;
            // Interrupted or not, the frame is in the buffer.
            let _ = interrupt.call(cx, frames.flush(cx)).await.transpose()?;
        }
        insist!(interrupt, cx, frames.flush(cx))
    }
}

#[test]
fn length_delimited_frames_survive_interruptions_at_both_ends() {
    each_interruption(|interrupt| {
        let ran = support::run(async move |cx: &Cx| {
            let (near, far) = duplex(3);
            let mut reader = cx.spawn(async move |cx: &Cx| {
                let mut interrupt = interrupt;
                let mut frames = FramedRead::new(far, LengthDelimited::new(64));
                let mut got = Vec::new();
                while let Some(frame) = insist!(interrupt, cx, frames.next(cx))? {
                    got.push(frame);
                }
                Ok::<_, Error>(got)
            });
            let mut interrupt = interrupt;
            let mut frames = FramedWrite::new(near, LengthDelimited::new(64));
            for line in TEXT.split(|byte| *byte == b'\n') {
                frames.feed(line)?;
                insist!(interrupt, cx, frames.flush(cx))?;
            }
            insist!(interrupt, cx, frames.close(cx))?;
            Ok::<_, Error>(reader.join(cx).await?.into_result()?)
        });
        let Outcome::Ok(got) = ran.outcome else { panic!("{:?}", ran.outcome) };
        assert_eq!(got.join(&b'\n'), TEXT, "{interrupt:?}");
    });
}

#[test]
fn the_calls_documented_to_lose_bytes_do_so() {
    let exact: Work<Vec<u8>> = |cx, mut stream, mut interrupt| {
        Box::pin(async move {
            let mut buf = [0; 6];
            let _ = interrupt.call(cx, stream.read_exact(cx, &mut buf)).await;
            let mut got = Vec::new();
            stream.read_to_end(cx, &mut got, 1000).await?;
            Ok(got)
        })
    };
    let copied: Work<Vec<u8>> = |cx, mut stream, mut interrupt| {
        Box::pin(async move {
            // A pipe that is full keeps what was read in the copy's buffer.
            let (mut full, _reader) = duplex(1);
            let _ = interrupt.call(cx, copy(cx, &mut stream, &mut full)).await;
            let mut got = Vec::new();
            stream.read_to_end(cx, &mut got, 1000).await?;
            Ok(got)
        })
    };
    for work in [exact, copied] {
        let whole = |polls| {
            let got = reading(work, Interrupt { mode: Mode::Drop, polls, struck: 0 }, TEXT);
            got.len()
        };
        assert_eq!(whole(0), TEXT.len(), "before its first poll a call has taken nothing");
        assert!(whole(2) < TEXT.len());
    }
}
