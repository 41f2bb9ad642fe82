//! How a framework wraps the context: its own type around `&Cx`, with what its users need.

use asupersync::cap::IoOnly;
use asupersync::prelude::*;
use std::time::Duration;

// snippet: context
/// What a handler of this framework gets. It can be cancelled, wait and do I/O, but not spawn: the
/// framework owns the structure, and the compiler keeps it so.
struct RequestContext<'a> {
    cx: &'a Cx<IoOnly>,
    request_id: u64,
}

impl<'a> RequestContext<'a> {
    fn new(cx: &'a Cx, request_id: u64) -> RequestContext<'a> {
        RequestContext { cx: cx.narrow(), request_id }
    }

    fn is_cancelled(&self) -> bool {
        self.cx.is_cancel_requested()
    }

    fn budget(&self) -> Budget {
        self.cx.budget()
    }

    async fn pause(&self, duration: Duration) -> Result<(), Error> {
        Ok(self.cx.sleep(duration).await?)
    }
}

async fn handler(request: &RequestContext<'_>) -> Result<String, Error> {
    request.pause(Duration::from_millis(10)).await?;
    assert!(!request.is_cancelled());
    Ok(format!("request {} done, {:?} left", request.request_id, request.budget().deadline))
}
// end snippet

/// The status a web framework would answer with.
fn status<T>(outcome: &Outcome<T, Error>) -> u16 {
    match outcome {
        Outcome::Ok(_) => 200,
        Outcome::Err(_) | Outcome::Panicked(_) => 500,
        Outcome::Cancelled(_) => 499,
    }
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    for (id, limit) in [(1, Duration::from_secs(30)), (2, Duration::from_millis(1))] {
        let budget = Budget::new().with_timeout(limit).with_poll_quota(10_000);
        let options = asupersync::RegionOptions::new().name("request").budget(budget);
        let outcome = cx
            .region_with(options, async |_scope| handler(&RequestContext::new(cx, id)).await)
            .await;
        println!("{} {outcome:?}", status(&outcome));
    }
    Ok(())
}
