//! A sleep that shows under its combinator's name and its caller's line.

use asupersync_core::cap::HasTime;
use asupersync_core::{Cancelled, Cx, Time};
use std::panic::Location;
use std::pin::Pin;

pub(crate) async fn pause<C: HasTime>(
    cx: &Cx<C>,
    label: &'static str,
    site: &'static Location<'static>,
    until: Time,
) -> Result<(), Cancelled> {
    let mut sleep = cx.sleep_until(until);
    cx.wait_at(label, site, |context| Pin::new(&mut sleep).poll(context)).await?
}
