//! A waiter that was woken finds the lock taken by one that came later, and goes to the end of the line.
//! (async-lock #23)

use crate::corpus::bug;
use crate::line::{Line, Serve};
use asupersync::lab::LabConfig;
use asupersync_core::{Cancelled, Cx, Error, ObligationKind};
use std::sync::Arc;

static GUARD: ObligationKind = ObligationKind::abort_on_drop("model::Guard");

/// The state is whether it is held.
struct Lock {
    line: Arc<Line<bool>>,
    defect: bool,
}

impl Lock {
    /// Holds the lock for one yield.
    async fn hold(&self, cx: &Cx) -> Result<(), Cancelled> {
        let take = |held: &mut bool| !std::mem::replace(held, true);
        if self.defect {
            self.line.object.write();
            let free = take(&mut self.line.state.lock().0);
            if !free {
                // Woken, it tries again like anyone.
                self.line.wait_until(cx, "model::lock", take).await?;
            }
        } else {
            self.line.wait(cx, "model::lock", 0, take, |_| {}).await?;
        }
        let guard = cx.obligation(&GUARD);
        cx.yield_now().await?;
        guard.commit();
        let (mut done, defect) = (false, self.defect);
        self.line.change(|held, first| {
            if std::mem::replace(&mut done, true) {
                return Serve::Nobody;
            }
            // Handed on, it stays held.
            *held = first.is_some() && !defect;
            if first.is_some() { Serve::First } else { Serve::Nobody }
        });
        Ok(())
    }
}

async fn story(cx: &Cx, defect: bool) -> Result<(), Error> {
    cx.region(async move |scope| {
        let lock = Arc::new(Lock { line: Line::new("model::Lock", false), defect });
        let patient = lock.clone();
        let _ = scope.spawn_named("greedy", async move |cx: &Cx| {
            for _ in 0..2 {
                lock.hold(cx).await?;
            }
            Ok::<_, Error>(())
        });
        let _ = scope.spawn_named("patient", async move |cx: &Cx| Ok(patient.hold(cx).await?));
        Ok::<_, Error>(())
    })
    .await
    .into_result()?;
    Ok(())
}

bug!(nobody_overtakes_who_waits_for_a_lock, Overtaking,
     config: LabConfig::default().max_overtakes(0),
     words: &["\"patient\"", "that came later were served; 0 may be"]);
