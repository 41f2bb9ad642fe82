//! The channel is closed, its last permit is dropped, and the receiver that waits for that is not woken.
//! (tokio #2854)

use crate::corpus::bug;
use crate::line::{Line, Serve};
use asupersync_core::{Cx, Error, ObligationKind};

static PERMIT: ObligationKind = ObligationKind::abort_on_drop("model::Permit");

/// The permits that are out, and whether the receiver has closed the channel.
#[derive(Default)]
struct Channel {
    permits: usize,
    is_closed: bool,
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    let channel = Line::new("model::Channel", Channel::default());
    cx.region(async move |scope| {
        for name in ["left", "right"] {
            let channel = channel.clone();
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                let mut taken = false;
                channel.change(|state, _| {
                    if !std::mem::replace(&mut taken, true) {
                        state.permits += 1;
                    }
                    Serve::Nobody
                });
                let permit = cx.obligation(&PERMIT);
                cx.yield_now().await?;
                permit.abort();
                let mut given = false;
                channel.change(|state, waiting| {
                    if std::mem::replace(&mut given, true) {
                        return Serve::Nobody;
                    }
                    state.permits -= 1;
                    let drained = state.permits == 0 && state.is_closed && !defect;
                    if drained && waiting.is_some() { Serve::First } else { Serve::Nobody }
                });
                Ok::<_, Error>(())
            });
        }
        let _ = scope.spawn_named("receiver", async move |cx: &Cx| {
            let drained = |state: &mut Channel| {
                state.is_closed = true;
                state.permits == 0
            };
            Ok(channel.wait(cx, "model::recv", 0, drained, |_| {}).await?)
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(the_last_permit_of_a_closed_channel_wakes_its_receiver, Quiescence,
     words: &["will never be quiescent", "model::recv at"]);
