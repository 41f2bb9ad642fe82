//! A producer, a consumer, and a cancellation that loses nothing.

use asupersync::prelude::*;

async fn worker(cx: &Cx, tx: mpsc::Sender<u32>) -> Result<(), Error> {
    for n in 0.. {
        cx.checkpoint()?;
        let permit = tx.reserve(cx).await?; // cancelling here loses nothing
        permit.send(n); // cannot fail, cannot be half done
    }
    Ok(())
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let (tx, mut rx) = mpsc::channel(16);
    let outcome = cx
        .region(async |scope| {
            let mut producer = scope.spawn(async move |cx| worker(cx, tx).await);
            for _ in 0..100 {
                rx.recv(cx).await?;
            }
            producer.cancel(CancelReason::user("enough"));
            Ok::<_, Error>(producer.join(cx).await?)
        })
        .await;
    println!("{outcome:?}"); // nothing from inside is still running
    Ok(())
}
