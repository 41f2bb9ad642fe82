//! A `send(value)` that is cancelled drops the value it was given. (tokio #5947)

use crate::corpus::bug;
use asupersync::channel::mpsc;
use asupersync::lab::Parcel;
use asupersync_core::{CancelReason, Cx, Error};

async fn send(
    cx: &Cx,
    tx: &mpsc::Sender<Parcel<u32>>,
    parcel: Parcel<u32>,
    defect: bool,
) -> Result<(), Error> {
    match tx.reserve(cx).await {
        Ok(permit) => {
            permit.send(parcel);
            Ok(())
        }
        Err(error) => {
            if !defect {
                // Still the caller's.
                parcel.open();
            }
            Err(error.into())
        }
    }
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let (tx, mut rx) = mpsc::channel(1);
        let sender = scope.spawn_named("sender", async move |cx: &Cx| {
            for n in 0..2 {
                let parcel = Parcel::new(cx, format!("message {n}"), n);
                send(cx, &tx, parcel, defect).await?;
            }
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("receiver", async move |cx: &Cx| {
            while let Ok(parcel) = rx.recv(cx).await {
                parcel.open();
            }
            Ok(())
        });
        let _ = scope.spawn_named("canceller", async move |_: &Cx| {
            sender.cancel(CancelReason::user("enough"));
            Ok(())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(a_send_that_is_cancelled_keeps_its_message, Delivery,
     words: &["neither arrived nor was handed back: it was dropped on the way"]);
