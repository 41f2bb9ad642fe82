//! What a program needs besides the prelude is in the facade, too: obligations of its own, helpers that
//! spawn what they are given, a listener's events, errors that become an `Error` by `?`.

use asupersync::channel::{self, broadcast};
use asupersync::plan::{Leaf, PlanBuilder, execute};
use asupersync::prelude::*;
use asupersync::runtime::RuntimeBuilder;
use asupersync::sync::Semaphore;
use asupersync::{
    Ack, ErrorKind, Event, LabConfig, LabRuntime, ObligationKind, RegionOptions, Settlement,
    TaskBody, cap,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

static DELIVERY: ObligationKind = ObligationKind::new("delivery");

/// A helper that passes a body on.
fn in_the_lab<F, T>(body: F) -> Outcome<T, Error>
where
    T: Send + 'static,
    F: for<'a> AsyncFnOnce(&'a Cx) -> Result<T, Error>,
    F: for<'a> TaskBody<'a, cap::All, T, Error> + Send + 'static,
{
    LabRuntime::new(LabConfig::default()).run(body).outcome
}

#[test]
fn a_kind_of_obligation_of_the_programs_own() {
    let outcome = in_the_lab(async |cx: &Cx| {
        let closed = cx
            .region_reported(RegionOptions::new(), async |_| {
                let kept: Ack = cx.ack(&DELIVERY);
                let broken = cx.ack(&DELIVERY);
                kept.commit()?;
                Ok::<_, Error>(broken)
            })
            .await;
        assert_eq!(closed.report.leaks[0].kind, "delivery");
        let broken = closed.outcome.into_result()?;
        assert_eq!(broken.settlement(), Settlement::Leaked);
        broken.nack()?;
        Ok(())
    });
    let Outcome::Err(error) = outcome else { panic!("{outcome:?}") };
    assert!(error.to_string().contains("settled before"), "{error}");
}

#[test]
fn a_listener_sees_which_event_it_is() {
    let spawned = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&spawned);
    let listener = move |event: &Event<'_>| {
        if let Event::TaskSpawned { .. } = event {
            count.fetch_add(1, Ordering::Relaxed);
        }
    };
    let runtime = RuntimeBuilder::current_thread().observer(Arc::new(listener)).build().unwrap();
    let outcome = runtime.block_on(async |cx: &Cx| {
        let mut child = cx.spawn(async |_| Ok::<_, Error>(()));
        Ok::<_, Error>(child.join(cx).await?.into_result()?)
    });
    assert!(outcome.is_ok());
    assert_eq!(spawned.load(Ordering::Relaxed), 2);
}

/// What `?` makes of an error.
fn kind<T, E: Into<Error>>(result: Result<T, E>) -> Option<ErrorKind> {
    result.err().map(|error| error.into().kind())
}

#[test]
fn refusals_become_an_error() {
    let outcome = in_the_lab(async |cx: &Cx| {
        let none = Semaphore::new(0);
        assert_eq!(kind(none.try_acquire(cx)), Some(ErrorKind::Other));

        let (tx, mut rx) = mpsc::channel(1);
        assert_eq!(kind(rx.try_recv()), Some(ErrorKind::Other));
        tx.try_send(1)?;
        assert_eq!(kind(tx.try_send(2)), Some(ErrorKind::Other));
        assert_eq!(rx.try_recv()?, 1);
        drop(rx);
        assert_eq!(kind(tx.try_reserve(cx)), Some(ErrorKind::ChannelClosed));

        let (all, mut each) = broadcast::channel::<u8>(1);
        assert_eq!(kind(each.try_recv()), Some(ErrorKind::Other));
        drop(all);
        assert_eq!(kind(each.try_recv()), Some(ErrorKind::ChannelClosed));
        let closed = channel::TryRecvError::Closed;
        assert_eq!(Error::from(closed).kind(), ErrorKind::ChannelClosed);

        let mut plan = PlanBuilder::new();
        let leaf = plan.leaf(Leaf::new("fails"));
        let body = |_: &Leaf| async |_: &Cx| Err::<(), _>(Error::msg("out of order"));
        let plan = plan.build(leaf)?;
        let values = execute(cx, &plan, body).await.map_err(Error::from).into_result();
        let error = Error::from(values.unwrap_err());
        assert!(error.to_string().contains("`fails` failed"), "{error}");
        Ok(())
    });
    assert!(outcome.is_ok(), "{outcome:?}");
}
