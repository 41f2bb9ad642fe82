//! A waiter chosen by `notify_one` is dropped before its poll, and the notification with it. (tokio #4618)

use crate::corpus::bug;
use crate::line::{Line, Serve};
use asupersync_core::{CancelReason, Cancelled, Cx, Error, TaskCx};
use std::sync::Arc;

/// The state is the token that a notification leaves when nobody waits.
struct Notify {
    line: Arc<Line<bool>>,
    defect: bool,
}

impl Notify {
    fn notify_one(&self) {
        let mut done = false;
        self.line.change(|token, first| {
            if std::mem::replace(&mut done, true) {
                return Serve::Nobody;
            }
            if first.is_some() {
                return Serve::First;
            }
            *token = true;
            Serve::Nobody
        });
    }

    async fn notified(&self, cx: &TaskCx) -> Result<(), Cancelled> {
        let left = |served: bool| {
            if served && !self.defect {
                self.notify_one();
            }
        };
        self.line.wait(cx, "model::notified", 0, std::mem::take, left).await
    }
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let notify = Arc::new(Notify { line: Line::new("model::Notify", false), defect });
        let (first, second) = (notify.clone(), notify.clone());
        let first = scope.spawn_named("first", async move |cx: &Cx| {
            first.notified(cx).await?;
            first.notify_one();
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("second", async move |cx: &Cx| Ok(second.notified(cx).await?));
        let _ = scope.spawn_named("caller", async move |_: &Cx| {
            notify.notify_one();
            Ok(())
        });
        let _ = scope.spawn_named("canceller", async move |_: &Cx| {
            first.cancel(CancelReason::user("not needed any more"));
            Ok(())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(the_notification_of_a_dropped_waiter_goes_to_the_next, LostWakeup,
     words: &["model::notified at", "its wake-up was lost"]);
