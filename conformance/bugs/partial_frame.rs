//! A read of header and body is dropped between the two, and the next read takes the body for a header.
//! (iroh #2572)

use crate::corpus::bug;
use asupersync::channel::mpsc;
use asupersync::lab::Stream;
use asupersync::sync::Notify;
use asupersync_core::{Cx, Error, TaskCx};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

async fn read_frame(
    cx: &TaskCx,
    stream: &Stream,
    bytes: &mut mpsc::Receiver<u8>,
) -> Result<u8, Error> {
    let mut frame = stream.frame();
    let length = bytes.recv(cx).await?;
    frame.took("its header");
    let mut sum = 0;
    for _ in 0..length {
        sum += bytes.recv(cx).await?;
    }
    frame.end();
    Ok(sum)
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let (tx, mut rx) = mpsc::channel(8);
        let tick = Arc::new(Notify::new());
        let ticker = tick.clone();
        let _ = scope.spawn_named("ticker", async move |_: &Cx| {
            ticker.notify_one();
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("writer", async move |cx: &Cx| {
            for byte in [1, 40] {
                tx.reserve(cx).await?.send(byte);
                cx.yield_now().await?;
            }
            Ok(())
        });
        let _ = scope.spawn_named("reader", async move |cx: &Cx| {
            let stream = Stream::new(cx, "the connection");
            {
                let mut reading = Box::pin(read_frame(cx, &stream, &mut rx));
                let mut ticking = Box::pin(tick.notified(cx));
                let read = poll_fn(|context| {
                    if let Poll::Ready(sum) = reading.as_mut().poll(context) {
                        return Poll::Ready(Some(sum));
                    }
                    ticking.as_mut().poll(context).map(|_| None)
                });
                match read.await {
                    Some(sum) => return sum.map(|_| ()),
                    // Time to do something else, and to go on with the frame.
                    None if !defect => return reading.await.map(|_| ()),
                    None => {}
                }
            }
            read_frame(cx, &stream, &mut rx).await.map(|_| ())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(a_frame_is_not_given_up_between_header_and_body, Framing,
     words: &["the connection: a frame is read from the middle of one given up after its header"]);
