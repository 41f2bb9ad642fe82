//! Streams of bytes.

use crate::probe::{Entry, MS, operation};
use asupersync_core::{Cx, Error};
use asupersync_io::{
    AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, BufWriter, Cursor,
    Framed, FramedRead, FramedWrite, LineCodec, PipeReader, PipeWriter, copy, copy_bidirectional,
    copy_buf, duplex, pipe,
};
use futures_io::{AsyncSeek, SeekFrom};
use std::io::{IoSlice, IoSliceMut};
use std::pin::Pin;
use std::task::{Context, Poll};

const TEXT: &[u8] = b"one\ntwo words\n\nthe last, longer than a pipe";
const SMALL: usize = 5;

pub(crate) fn list() -> Vec<Entry> {
    let mut list = Vec::new();
    reading(&mut list);
    buffered(&mut list);
    writing(&mut list);
    copying(&mut list);
    framed(&mut list);
    list
}

async fn write_text(cx: &Cx, mut to: PipeWriter) -> Result<(), Error> {
    for piece in TEXT.chunks(7) {
        to.write_all(cx, piece).await?;
        cx.yield_now().await?;
    }
    Ok(to.close(cx).await?)
}

async fn read_text(cx: &Cx, mut from: PipeReader) -> Result<Vec<u8>, Error> {
    let mut all = Vec::new();
    let mut piece = [0; 3];
    loop {
        match from.read(cx, &mut piece).await? {
            0 => return Ok(all),
            n => all.extend_from_slice(&piece[..n]),
        }
        cx.yield_now().await?;
    }
}

/// The subject takes bytes into `all`; the rest is read after. `whole`: nothing may be missing; else what
/// is there is the text's end.
macro_rules! reads {
    ($list:ident, $name:literal, $make:expr, |$from:ident, $cx:ident, $all:ident| $read:expr, $whole:literal) => {
        operation!($list, $name, "from a small pipe", 1, |cx, case| {
            let (from, to) = pipe(SMALL);
            let mut writer = cx.spawn(async move |cx: &Cx| write_text(cx, to).await);
            let mut all = Vec::new();
            let mut from = $make(from);
            {
                let ($from, $cx, $all) = (&mut from, cx, &mut all);
                let _ = case.subject(cx, async { Ok::<_, std::io::Error>($read) }).await;
            }
            from.read_to_end(cx, &mut all, TEXT.len()).await?;
            writer.join(cx).await?.into_result()?;
            assert!(TEXT.ends_with(&all), "{:?}", String::from_utf8_lossy(&all));
            assert!(all.len() == TEXT.len() || (!$whole && case.struck()));
        });
    };
}

fn reading(list: &mut Vec<Entry>) {
    reads!(
        list,
        "io::read::AsyncReadExt::read",
        |from| from,
        |from, cx, all| {
            let mut piece = [0; 3];
            let n = from.read(cx, &mut piece).await?;
            all.extend_from_slice(&piece[..n]);
        },
        true
    );
    reads!(
        list,
        "io::read::AsyncReadExt::read_vectored",
        |from| from,
        |from, cx, all| {
            let (mut a, mut b) = ([0; 2], [0; 2]);
            let n = {
                let mut bufs = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut b)];
                from.read_vectored(cx, &mut bufs).await?
            };
            all.extend_from_slice(&[a, b].concat()[..n]);
        },
        true
    );
    reads!(
        list,
        "io::read::AsyncReadExt::read_exact",
        |from| from,
        |from, cx, all| {
            let mut piece = [0; 9];
            from.read_exact(cx, &mut piece).await?;
            all.extend_from_slice(&piece);
        },
        false
    );
    operation!(
        list,
        "io::read::AsyncReadExt::read_exact_resume",
        "from a small pipe",
        1,
        |cx, case| {
            let (mut from, to) = pipe(SMALL);
            let mut writer = cx.spawn(async move |cx: &Cx| write_text(cx, to).await);
            let (mut piece, mut filled) = ([0; 9], 0);
            let _ = case.subject(cx, from.read_exact_resume(cx, &mut piece, &mut filled)).await;
            from.read_exact_resume(cx, &mut piece, &mut filled).await?;
            assert_eq!(piece, TEXT[..9]);
            let mut rest = Vec::new();
            from.read_to_end(cx, &mut rest, TEXT.len()).await?;
            assert_eq!(rest, TEXT[9..]);
            writer.join(cx).await?.into_result()?;
        }
    );
    reads!(
        list,
        "io::read::AsyncReadExt::read_to_end",
        |from| from,
        |from, cx, all| {
            from.read_to_end(cx, all, TEXT.len()).await?;
        },
        true
    );
    reads!(
        list,
        "io::read::AsyncReadExt::read_to_string",
        |from| from,
        |from, cx, all| {
            let mut text = String::new();
            from.read_to_string(cx, &mut text, TEXT.len()).await?;
            all.extend_from_slice(text.as_bytes());
        },
        false
    );
}

fn buffered(list: &mut Vec<Entry>) {
    reads!(
        list,
        "io::buf_read::AsyncBufReadExt::fill_buf",
        |from| BufReader::with_capacity(4, from),
        |from, cx, all| {
            from.fill_buf(cx).await?;
            let _ = all;
        },
        true
    );
    reads!(
        list,
        "io::buf_reader::BufReader::peek",
        |from| BufReader::with_capacity(4, from),
        |from, cx, all| {
            let seen = from.peek(cx, 3).await?.to_vec();
            from.consume(3);
            all.extend(seen);
        },
        true
    );
    reads!(
        list,
        "io::buf_read::AsyncBufReadExt::read_until",
        |from| BufReader::with_capacity(4, from),
        |from, cx, all| {
            from.read_until(cx, b' ', all, 99).await?;
        },
        true
    );
    reads!(
        list,
        "io::buf_read::AsyncBufReadExt::read_line",
        |from| BufReader::with_capacity(4, from),
        |from, cx, all| {
            let mut line = String::new();
            from.read_line(cx, &mut line, 99).await?;
            all.extend_from_slice(line.as_bytes());
        },
        false
    );
    operation!(list, "io::buf_read::Lines::next_line", "across reads", 1, |cx, case| {
        let (from, to) = pipe(SMALL);
        let mut writer = cx.spawn(async move |cx: &Cx| write_text(cx, to).await);
        let mut lines = BufReader::with_capacity(4, from).lines(99);
        let mut all = Vec::new();
        if let Some(Ok(line)) = case.subject(cx, lines.next_line(cx)).await {
            all.extend(line);
        }
        while let Some(line) = lines.next_line(cx).await? {
            all.push(line);
        }
        writer.join(cx).await?.into_result()?;
        assert_eq!(all.join("\n").as_bytes(), TEXT, "every line, once");
    });
}

/// The subject writes; what arrives is a beginning of the text, and all of it unless interrupted.
macro_rules! writes {
    ($list:ident, $name:literal, $make:expr, |$to:ident, $cx:ident| $write:expr) => {
        operation!($list, $name, "to a small pipe", 1, |cx, case| {
            let (from, to) = pipe(SMALL);
            let mut reader = cx.spawn(async move |cx: &Cx| read_text(cx, from).await);
            let mut to = $make(to);
            let end = {
                let ($to, $cx) = (&mut to, cx);
                case.subject(cx, async { Ok::<_, std::io::Error>($write) }).await
            };
            to.close(cx).await?;
            let all = reader.join(cx).await?.into_result()?;
            assert!(TEXT.starts_with(&all), "{:?}", String::from_utf8_lossy(&all));
            match end {
                Some(Ok(n)) => assert_eq!(all.len(), n),
                _ => assert!(case.struck()),
            }
        });
    };
}

fn writing(list: &mut Vec<Entry>) {
    writes!(list, "io::write::AsyncWriteExt::write", |to| to, |to, cx| {
        let first = to.write(cx, TEXT).await?;
        first + to.write(cx, &TEXT[first..]).await?
    });
    writes!(list, "io::write::AsyncWriteExt::write_vectored", |to| to, |to, cx| {
        let first = to.write(cx, &TEXT[..SMALL]).await?;
        first
            + to.write_vectored(cx, &[IoSlice::new(&TEXT[first..9]), IoSlice::new(&TEXT[9..])])
                .await?
    });
    writes!(list, "io::write::AsyncWriteExt::write_all", |to| to, |to, cx| {
        to.write_all(cx, TEXT).await?;
        TEXT.len()
    });
    operation!(
        list,
        "io::write::AsyncWriteExt::write_all_resume",
        "to a small pipe",
        1,
        |cx, case| {
            let (from, mut to) = pipe(SMALL);
            let mut reader = cx.spawn(async move |cx: &Cx| read_text(cx, from).await);
            let mut written = 0;
            let _ = case.subject(cx, to.write_all_resume(cx, TEXT, &mut written)).await;
            to.write_all_resume(cx, TEXT, &mut written).await?;
            to.close(cx).await?;
            assert_eq!(reader.join(cx).await?.into_result()?, TEXT);
        }
    );
    writes!(list, "io::write::AsyncWriteExt::write_all_vectored", |to| to, |to, cx| {
        let mut bufs = [IoSlice::new(&TEXT[..9]), IoSlice::new(&TEXT[9..])];
        to.write_all_vectored(cx, &mut bufs).await?;
        TEXT.len()
    });
    // What is buffered stays buffered: after an interruption `close` writes it all.
    writes!(
        list,
        "io::write::AsyncWriteExt::flush",
        |to| BufWriter::with_capacity(64, to),
        |to, cx| {
            to.write_all(cx, &TEXT[..20]).await?;
            to.flush(cx).await?;
            20
        }
    );
    writes!(
        list,
        "io::write::AsyncWriteExt::close",
        |to| BufWriter::with_capacity(64, to),
        |to, cx| {
            to.write_all(cx, &TEXT[..20]).await?;
            to.close(cx).await?;
            20
        }
    );
    operation!(list, "io::seek::AsyncSeekExt::seek", "in something slow", 1, |cx, case| {
        let mut file = Slow::new(TEXT);
        let sought = case.subject(cx, file.seek(cx, SeekFrom::Start(4))).await;
        let sought = matches!(sought, Some(Ok(4)));
        assert!(sought || case.struck());
        assert_eq!(file.stream_position(cx).await?, if sought { 4 } else { 0 });
    });
    operation!(
        list,
        "io::seek::AsyncSeekExt::stream_position",
        "in something slow",
        1,
        |cx, case| {
            let mut file = Slow::new(TEXT);
            file.seek(cx, SeekFrom::Start(4)).await?;
            let _ = case.subject(cx, file.stream_position(cx)).await;
            assert_eq!(file.stream_position(cx).await?, 4);
        }
    );
}

/// A place to seek in that takes two polls for it.
struct Slow {
    cursor: Cursor<Vec<u8>>,
    looked: bool,
}

impl Slow {
    fn new(bytes: &[u8]) -> Slow {
        Slow { cursor: Cursor::new(bytes.to_vec()), looked: false }
    }
}

impl AsyncSeek for Slow {
    fn poll_seek(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        position: SeekFrom,
    ) -> Poll<std::io::Result<u64>> {
        self.looked = !self.looked;
        if self.looked {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Pin::new(&mut self.cursor).poll_seek(context, position)
    }
}

fn copying(list: &mut Vec<Entry>) {
    operation!(list, "io::copy::copy", "between small pipes", 1, |cx, case| {
        let (mut from, text) = pipe(SMALL);
        let (out, mut to) = pipe(SMALL);
        let mut writer = cx.spawn(async move |cx: &Cx| match write_text(cx, text).await {
            // The reader has gone: nobody wants the rest.
            Err(_) | Ok(()) => Ok::<_, Error>(()),
        });
        let mut reader = cx.spawn(async move |cx: &Cx| read_text(cx, out).await);
        let copied = case.subject(cx, copy(cx, &mut from, &mut to)).await;
        drop(from);
        to.close(cx).await?;
        writer.join(cx).await?.into_result()?;
        let all = reader.join(cx).await?.into_result()?;
        assert!(TEXT.starts_with(&all));
        assert!(case.struck() || matches!(copied, Some(Ok(n)) if n as usize == TEXT.len()));
        assert!(case.struck() || all == TEXT);
    });
    operation!(list, "io::copy::copy_buf", "goes on where it was interrupted", 1, |cx, case| {
        let (from, text) = pipe(SMALL);
        let (out, mut to) = pipe(SMALL);
        let mut writer = cx.spawn(async move |cx: &Cx| write_text(cx, text).await);
        let mut reader = cx.spawn(async move |cx: &Cx| read_text(cx, out).await);
        let (mut from, mut copied) = (BufReader::with_capacity(4, from), 0);
        let _ = case.subject(cx, copy_buf(cx, &mut from, &mut to, &mut copied)).await;
        copy_buf(cx, &mut from, &mut to, &mut copied).await?;
        to.close(cx).await?;
        writer.join(cx).await?.into_result()?;
        assert_eq!(reader.join(cx).await?.into_result()?, TEXT);
        assert_eq!(copied as usize, TEXT.len());
    });
    operation!(list, "io::copy::copy_bidirectional", "between small pipes", 1, |cx, case| {
        let (near, mut a) = duplex(SMALL);
        let (mut b, far) = duplex(SMALL);
        let talk = |stream: asupersync_io::DuplexStream| {
            async move |cx: &Cx| {
                let (from, to) = stream.into_split();
                let mut writing = cx.spawn(async move |cx: &Cx| match write_text(cx, to).await {
                    Err(_) | Ok(()) => Ok::<_, Error>(()),
                });
                let all = read_text(cx, from).await?;
                writing.join(cx).await?.into_result()?;
                Ok::<_, Error>(all)
            }
        };
        let (mut one, mut other) = (cx.spawn(talk(near)), cx.spawn(talk(far)));
        let _ = case.subject(cx, copy_bidirectional(cx, &mut a, &mut b)).await;
        drop((a, b));
        for end in [&mut one, &mut other] {
            let all = end.join(cx).await?.into_result()?;
            assert!(TEXT.starts_with(&all) && (case.struck() || all == TEXT));
        }
    });
}

/// Every line, once, whoever of the two calls had it.
macro_rules! reads_frames {
    ($list:ident, $name:literal, $situation:literal, $make:expr) => {
        operation!($list, $name, $situation, 1, |cx, case| {
            let (near, far) = duplex(SMALL);
            let mut writer = cx.spawn(async move |cx: &Cx| {
                let (_from, to) = far.into_split();
                write_text(cx, to).await
            });
            let mut frames = $make(near);
            let mut all = Vec::new();
            if let Some(Ok(frame)) = case.subject(cx, frames.next(cx)).await {
                all.extend(frame);
            }
            while let Some(frame) = frames.next(cx).await? {
                all.push(frame);
            }
            writer.join(cx).await?.into_result()?;
            assert_eq!(all.join("\n").as_bytes(), TEXT);
        });
    };
}

/// Two lines are to be sent; which arrive depends on the interruption, but each whole, and in order.
macro_rules! writes_frames {
    ($list:ident, $name:literal, $situation:literal, $make:expr, |$frames:ident, $cx:ident| $write:expr) => {
        operation!($list, $name, $situation, 1, |cx, case| {
            let (near, far) = duplex(SMALL);
            let mut reader = cx.spawn(async move |cx: &Cx| {
                let (from, _to) = far.into_split();
                read_text(cx, from).await
            });
            let mut frames = $make(near);
            frames.feed("first line, long")?;
            let written = {
                let ($frames, $cx) = (&mut frames, cx);
                case.subject(cx, $write).await
            };
            // A line that was taken is whole, whatever was interrupted.
            frames.close(cx).await.ok();
            drop(frames);
            let all = String::from_utf8(reader.join(cx).await?.into_result()?).expect("text");
            let lines: Vec<&str> = all.lines().collect();
            assert!(all.ends_with('\n'));
            assert!(
                matches!(lines[..], ["first line, long"] | ["first line, long", "second"]),
                "{lines:?}"
            );
            assert!(case.struck() || matches!(written, Some(Ok(()))));
        });
    };
}

fn framed(list: &mut Vec<Entry>) {
    reads_frames!(list, "io::framed::reading::next", "of a Framed", |io| Framed::new(
        io,
        LineCodec::new(99)
    ));
    reads_frames!(list, "io::framed::reading::next", "of a FramedRead", |io| FramedRead::new(
        io,
        LineCodec::new(99)
    ));
    macro_rules! both {
        ($name:literal, |$frames:ident, $cx:ident| $write:expr) => {
            writes_frames!(
                list,
                $name,
                "of a Framed",
                |io| Framed::new(io, LineCodec::new(99)),
                |$frames, $cx| $write
            );
            writes_frames!(
                list,
                $name,
                "of a FramedWrite",
                |io| FramedWrite::new(io, LineCodec::new(99)),
                |$frames, $cx| $write
            );
        };
    }
    both!("io::framed::writing::ready", |frames, cx| frames.ready(cx));
    both!("io::framed::writing::flush", |frames, cx| frames.flush(cx));
    both!("io::framed::writing::close", |frames, cx| frames.close(cx));
    both!("io::framed::writing::send", |frames, cx| frames.send(cx, "second"));
    macro_rules! full {
        ($name:literal, $situation:literal, $make:expr, |$frames:ident, $cx:ident| $write:expr) => {
            operation!(list, $name, $situation, 1, |cx, case| {
                let (near, far) = duplex(8192);
                let mut reader = cx.spawn(async move |cx: &Cx| {
                    let (mut from, _to) = far.into_split();
                    let mut all = Vec::new();
                    let mut piece = [0; 4096];
                    loop {
                        cx.sleep(MS).await?;
                        match from.read(cx, &mut piece).await? {
                            0 => return Ok::<_, Error>(all),
                            n => all.extend_from_slice(&piece[..n]),
                        }
                    }
                });
                let mut frames = $make(near);
                let long = "x".repeat(70_000);
                frames.feed(&*long)?;
                {
                    let ($frames, $cx) = (&mut frames, cx);
                    let _ = case.subject(cx, $write).await;
                }
                frames.close(cx).await?;
                drop(frames);
                let all = String::from_utf8(reader.join(cx).await?.into_result()?).expect("text");
                let lines: Vec<&str> = all.lines().collect();
                assert!(lines[0] == long && (lines.len() == 1 || lines[1..] == ["second"]));
            });
        };
    }
    full!(
        "io::framed::writing::ready",
        "a Framed whose buffer is full",
        |io| Framed::new(io, LineCodec::new(99_999)),
        |frames, cx| frames.ready(cx)
    );
    full!(
        "io::framed::writing::ready",
        "a FramedWrite whose buffer is full",
        |io| FramedWrite::new(io, LineCodec::new(99_999)),
        |frames, cx| frames.ready(cx)
    );
    full!(
        "io::framed::writing::send",
        "a Framed whose buffer is full",
        |io| Framed::new(io, LineCodec::new(99_999)),
        |frames, cx| frames.send(cx, "second")
    );
    full!(
        "io::framed::writing::send",
        "a FramedWrite whose buffer is full",
        |io| FramedWrite::new(io, LineCodec::new(99_999)),
        |frames, cx| frames.send(cx, "second")
    );
}
