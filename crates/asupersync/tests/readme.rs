//! The README's test, as it stands there.

// snippet: test
use asupersync::prelude::*;

#[asupersync::test(seeds = 100)]
async fn cancelling_loses_nothing(cx: &Cx) -> Result<(), Error> {
    let (tx, mut rx) = mpsc::channel(4);
    let outcome = cx
        .region(async |scope| {
            let mut producer = scope.spawn(async move |cx| {
                let mut sent = 0;
                while let Ok(permit) = tx.reserve(cx).await {
                    permit.send(sent);
                    sent += 1;
                }
                Ok(sent)
            });
            let mut received = 0;
            for _ in 0..cx.random_u64() % 20 {
                rx.recv(cx).await?;
                received += 1;
            }
            producer.cancel(CancelReason::user("enough"));
            let sent = producer.join(cx).await?.into_result()?;
            while rx.recv(cx).await.is_ok() {
                received += 1; // what was sent before the cancellation is still there
            }
            Ok::<_, Error>((sent, received))
        })
        .await;
    let (sent, received) = outcome.into_result()?;
    assert_eq!(received, sent);
    Ok(())
}
// end snippet
