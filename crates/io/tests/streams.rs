//! What the calls and combinators do when nothing is cancelled, and at their limits.

#[path = "../../core/tests/support/mod.rs"]
mod support;

use asupersync_core::{CancelReason, Cx, Error, Outcome, cancelled_in};
use asupersync_io::{
    AsyncBufReadExt, AsyncReadExt, AsyncSeekExt, AsyncWriteExt, BufReader, Cursor, FrameError,
    Framed, FramedRead, IoSlice, LengthDelimited, LimitExceeded, LineCodec, SeekFrom, copy,
    copy_bidirectional, duplex, empty, repeat, sink, split,
};
use std::io;

/// Runs a body that must end well.
macro_rules! check {
    ($body:expr) => {
        match support::run($body).outcome {
            Outcome::Ok(value) => value,
            other => panic!("{other:?}"),
        }
    };
}

fn limit_in(error: &io::Error) -> usize {
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    error.get_ref().unwrap().downcast_ref::<LimitExceeded>().unwrap().limit()
}

#[test]
fn a_cancelled_wait_is_an_io_error_of_kind_other() {
    check!(async |cx: &Cx| {
        let (mut near, _far) = duplex(1);
        let mut reader = cx.spawn(async move |cx: &Cx| {
            let error = near.read(cx, &mut [0; 1]).await.unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::Other);
            assert!(cancelled_in(&error).is_some());
            Ok::<_, Error>(())
        });
        cx.yield_now().await?;
        reader.cancel(CancelReason::user("enough"));
        reader.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn a_stream_that_is_always_ready_can_be_cancelled() {
    check!(async |cx: &Cx| {
        let mut endless = cx.spawn(async move |cx: &Cx| {
            Ok::<_, Error>(copy(cx, &mut repeat(1), &mut sink()).await?)
        });
        cx.yield_now().await?;
        endless.cancel(CancelReason::user("enough"));
        assert!(matches!(endless.join(cx).await?, Outcome::Cancelled(_)));
        Ok::<_, Error>(())
    });
}

#[test]
fn reading_to_the_end_stops_at_its_limit() {
    check!(async |cx: &Cx| {
        let mut bytes = Vec::new();
        assert_eq!((&b"exact"[..]).read_to_end(cx, &mut bytes, 5).await?, 5);
        let error = (&b"too long"[..]).read_to_end(cx, &mut bytes, 5).await.unwrap_err();
        assert_eq!(limit_in(&error), 5);
        assert_eq!(bytes, b"exacttoo lo");
        assert_eq!(
            limit_in(&repeat(1).read_to_end(cx, &mut bytes, 70_000).await.unwrap_err()),
            70_000
        );
        Ok::<_, Error>(())
    });
}

#[test]
fn a_line_longer_than_its_limit_is_refused() {
    check!(async |cx: &Cx| {
        let mut lines = BufReader::with_capacity(3, &b"12345\n123456\n"[..]).lines(6);
        assert_eq!(lines.next_line(cx).await?.as_deref(), Some("12345"));
        assert_eq!(limit_in(&lines.next_line(cx).await.unwrap_err()), 6);
        let mut line = String::from("before");
        let error = (&b"12"[..]).read_line(cx, &mut line, 1).await.unwrap_err();
        assert_eq!((limit_in(&error), &line[..]), (1, "before"));
        Ok::<_, Error>(())
    });
}

#[test]
fn text_that_is_not_utf8_leaves_the_string_alone() {
    check!(async |cx: &Cx| {
        let mut text = String::from("before");
        for bytes in [&b"\xff\n"[..], b"ok\xc3"] {
            let (mut as_line, mut as_whole) = (bytes, bytes);
            let line = as_line.read_line(cx, &mut text, 10).await.unwrap_err();
            let whole = as_whole.read_to_string(cx, &mut text, 10).await.unwrap_err();
            assert_eq!([line.kind(), whole.kind()], [io::ErrorKind::InvalidData; 2]);
        }
        assert_eq!(text, "before");
        Ok::<_, Error>(())
    });
}

#[test]
fn a_stream_that_ends_early_says_how_far_it_came() {
    check!(async |cx: &Cx| {
        let (mut buf, mut filled) = ([0; 5], 0);
        let mut stream = &b"abc"[..];
        let error = stream.read_exact_resume(cx, &mut buf, &mut filled).await.unwrap_err();
        assert_eq!((error.kind(), filled), (io::ErrorKind::UnexpectedEof, 3));
        assert!(error.to_string().contains("3 of 5"), "{error}");
        Ok::<_, Error>(())
    });
}

#[test]
fn take_and_chain_hand_out_what_they_say() {
    check!(async |cx: &Cx| {
        let mut text = String::new();
        let mut both = (&b"one two"[..]).take(4).chain(&b"three"[..]);
        both.read_to_string(cx, &mut text, 100).await?;
        assert_eq!(text, "one three");
        let mut lines = (&b"a\nb"[..]).take(3).chain(&b"c\nd"[..]).lines(10);
        let mut got = Vec::new();
        while let Some(line) = lines.next_line(cx).await? {
            got.push(line);
        }
        assert_eq!(got, ["a", "bc", "d"]);
        assert_eq!(empty().read(cx, &mut [0; 1]).await?, 0);
        Ok::<_, Error>(())
    });
}

#[test]
fn a_buffered_reader_seeks_from_where_it_has_read_to() {
    check!(async |cx: &Cx| {
        let mut reader = BufReader::with_capacity(4, Cursor::new(b"0123456789"));
        let mut buf = [0; 2];
        reader.read_exact(cx, &mut buf).await?;
        assert_eq!(reader.seek(cx, SeekFrom::Current(3)).await?, 5);
        reader.read_exact(cx, &mut buf).await?;
        assert_eq!(&buf, b"56");
        assert_eq!(reader.seek(cx, SeekFrom::End(-1)).await?, 9);
        assert_eq!(reader.stream_position(cx).await?, 9);
        Ok::<_, Error>(())
    });
}

#[test]
fn vectored_writes_arrive_whole() {
    check!(async |cx: &Cx| {
        let (mut near, mut far) = duplex(4);
        let mut writer = cx.spawn(async move |cx: &Cx| {
            let mut pieces = [&b""[..], b"one ", b"", b"and two"].map(IoSlice::new);
            near.write_all_vectored(cx, &mut pieces).await?;
            Ok::<_, Error>(())
        });
        let mut text = String::new();
        far.read_to_string(cx, &mut text, 100).await?;
        assert_eq!(text, "one and two");
        writer.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn a_half_close_passes_through_a_bidirectional_copy() {
    check!(async |cx: &Cx| {
        let ((mut client, mut outside), (mut inside, mut server)) = (duplex(3), duplex(5));
        let mut proxy = cx.spawn(async move |cx: &Cx| {
            Ok::<_, Error>(copy_bidirectional(cx, &mut outside, &mut inside).await?)
        });
        let mut serve = cx.spawn(async move |cx: &Cx| {
            let mut request = String::new();
            server.read_to_string(cx, &mut request, 100).await?; // ends by the client's half-close
            server.write_all(cx, request.to_uppercase().as_bytes()).await?;
            Ok::<_, Error>(())
        });
        client.write_all(cx, b"a question").await?;
        client.close(cx).await?;
        let mut answer = String::new();
        client.read_to_string(cx, &mut answer, 100).await?;
        assert_eq!(answer, "A QUESTION");
        serve.join(cx).await?.into_result()?;
        assert_eq!(proxy.join(cx).await?.into_result()?, (10, 10));
        Ok::<_, Error>(())
    });
}

#[test]
fn split_halves_in_two_tasks_move_bytes_both_ways() {
    const SIZE: usize = 1 << 18;
    check!(async |cx: &Cx| {
        let (near, far) = duplex(1000);
        let mut tasks = Vec::new();
        for (stream, byte) in [(near, 1), (far, 2)] {
            let (mut reader, mut writer) = split(stream);
            tasks.push(cx.spawn(async move |cx: &Cx| {
                writer.write_all(cx, &vec![byte; SIZE]).await?;
                writer.close(cx).await?;
                Ok::<_, Error>(0)
            }));
            tasks.push(cx.spawn(async move |cx: &Cx| {
                let mut got = Vec::new();
                reader.read_to_end(cx, &mut got, SIZE).await?;
                assert!(got.iter().all(|&b| b == 3 - byte));
                Ok::<_, Error>(got.len())
            }));
        }
        let mut total = 0;
        for mut task in tasks {
            total += task.join(cx).await?.into_result()?;
        }
        assert_eq!(total, 2 * SIZE);
        Ok::<_, Error>(())
    });
}

#[test]
fn frames_come_out_as_they_went_in() {
    check!(async |cx: &Cx| {
        let (near, far) = duplex(7);
        let (mut near, mut far) = (
            Framed::new(near, LengthDelimited::new(100)),
            Framed::new(far, LengthDelimited::new(100)),
        );
        let mut echo = cx.spawn(async move |cx: &Cx| {
            while let Some(frame) = far.next(cx).await? {
                far.send(cx, frame).await?;
            }
            Ok::<_, Error>(())
        });
        for length in [0, 1, 3, 50, 100] {
            let frame = vec![length as u8; length];
            near.send(cx, &frame).await?;
            assert_eq!(near.next(cx).await?.as_deref(), Some(&frame[..]));
        }
        near.close(cx).await?;
        assert_eq!(near.next(cx).await?, None);
        echo.join(cx).await?.into_result()?;
        Ok::<_, Error>(())
    });
}

#[test]
fn frames_beyond_the_limit_or_cut_short_are_errors_and_then_the_end() {
    check!(async |cx: &Cx| {
        let codec = LengthDelimited::new(4);
        let mut frames = FramedRead::new(&b"\0\0\0\x05hello"[..], codec);
        let error = frames.next(cx).await.unwrap_err();
        assert!(matches!(error, FrameError::TooLong { length: 5, limit: 4 }), "{error}");
        assert_eq!(frames.next(cx).await?, None);
        let mut frames = FramedRead::new(&b"\0\0\0\x04hel"[..], codec);
        let error = frames.next(cx).await.unwrap_err();
        assert!(matches!(error, FrameError::Truncated { left: 7 }), "{error}");
        let (near, _far) = duplex(10);
        let mut frames = Framed::new(near, codec);
        assert!(matches!(frames.feed("hello"), Err(FrameError::TooLong { length: 5, limit: 4 })));
        let mut lines = FramedRead::new(&b"four\r\nfiver\n"[..], LineCodec::new(4));
        assert_eq!(lines.next(cx).await?.as_deref(), Some("four"));
        assert!(matches!(lines.next(cx).await, Err(FrameError::TooLong { length: 5, limit: 4 })));
        let mut lines = Framed::new(duplex(10).0, LineCodec::new(4));
        assert!(matches!(lines.feed("a\nb"), Err(FrameError::LineFeedInLine)));
        Ok::<_, Error>(())
    });
}

#[test]
fn a_line_without_an_end_is_refused_before_it_is_buffered_for_ever() {
    check!(async |cx: &Cx| {
        let mut lines = FramedRead::new(repeat(b'x'), LineCodec::new(10_000));
        assert!(matches!(lines.next(cx).await, Err(FrameError::TooLong { limit: 10_000, .. })));
        Ok::<_, Error>(())
    });
}
