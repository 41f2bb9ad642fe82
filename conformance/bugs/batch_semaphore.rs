//! The first in line wants two permits and leaves; the next wants one, and one is free. (shuttle #167)

use crate::corpus::bug;
use crate::line::{Line, Serve};
use asupersync_core::{CancelReason, Cancelled, Cx, Error, TaskCx};
use std::sync::Arc;

/// The state counts free permits.
struct Semaphore {
    line: Arc<Line<usize>>,
    defect: bool,
}

impl Semaphore {
    fn give(&self, count: usize) {
        let mut count = count;
        self.line.change(|free, first| {
            *free += std::mem::take(&mut count);
            match first {
                Some(wanted) if wanted <= *free => {
                    *free -= wanted;
                    Serve::First
                }
                _ => Serve::Nobody,
            }
        });
    }

    async fn take(&self, cx: &TaskCx, count: usize) -> Result<(), Cancelled> {
        let free = |free: &mut usize| {
            let enough = *free >= count;
            *free -= if enough { count } else { 0 };
            enough
        };
        let left = |served: bool| {
            if served {
                self.give(count);
            } else if !self.defect {
                // Who stands behind may want less.
                self.give(0);
            }
        };
        self.line.wait(cx, "model::acquire", count, free, left).await
    }
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let permits = Arc::new(Semaphore { line: Line::new("model::Semaphore", 0), defect });
        let (first, second) = (permits.clone(), permits.clone());
        let first = scope.spawn_named("wants two", async move |cx: &Cx| {
            first.take(cx, 2).await?;
            first.give(2);
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("wants one", async move |cx: &Cx| {
            second.take(cx, 1).await?;
            second.give(1);
            Ok(())
        });
        let _ = scope.spawn_named("giver", async move |_: &Cx| {
            permits.give(1);
            first.cancel(CancelReason::user("not needed any more"));
            Ok(())
        });
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(when_the_first_in_line_leaves_the_next_is_served, LostWakeup,
     words: &["\"wants one\"", "model::acquire at"]);
