//! A pool looks for an idle connection, and then joins the waiters; what is put back in between wakes
//! nobody. (bb8 #122)

use crate::corpus::bug;
use crate::line::{Line, Serve};
use asupersync_core::{Cancelled, Cx, Error, TaskCx};
use std::sync::Arc;

/// The state counts idle connections.
struct Pool {
    line: Arc<Line<u32>>,
    defect: bool,
}

fn take(idle: &mut u32) -> bool {
    let found = *idle > 0;
    *idle -= u32::from(found);
    found
}

impl Pool {
    async fn get(&self, cx: &TaskCx) -> Result<(), Cancelled> {
        if !self.defect {
            return self.line.wait(cx, "model::get", 0, take, |_| {}).await;
        }
        self.line.object.write();
        if take(&mut self.line.state.lock().0) {
            return Ok(());
        }
        cx.yield_now().await?;
        self.line.wait(cx, "model::get", 0, |_| false, |_| {}).await
    }

    fn put(&self) {
        let mut done = false;
        self.line.change(|idle, first| {
            if std::mem::replace(&mut done, true) {
                return Serve::Nobody;
            }
            if first.is_some() {
                return Serve::First;
            }
            *idle += 1;
            Serve::Nobody
        });
    }
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let pool = Arc::new(Pool { line: Line::new("model::Pool", 1), defect });
        for name in ["left", "right"] {
            let pool = pool.clone();
            let _ = scope.spawn_named(name, async move |cx: &Cx| {
                pool.get(cx).await?;
                cx.yield_now().await?;
                pool.put();
                Ok::<_, Error>(())
            });
        }
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(what_is_put_back_while_a_waiter_joins_the_line_reaches_it, LostWakeup,
     words: &["model::get at", "model::Pool"]);
