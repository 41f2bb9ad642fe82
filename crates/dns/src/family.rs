//! The two families of addresses.

use crate::Record;
use asupersync_core::Cx;
use asupersync_net::ResolveCaps;
use std::future::{Future, poll_fn};
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// How long a connection waits for the addresses of one family when it has those of the other (RFC 8305
/// section 8).
pub(crate) const RESOLUTION_DELAY: Duration = Duration::from_millis(50);

/// Which addresses of a name are wanted, and in which order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum AddressFamily {
    /// IPv6 and IPv4 in turns, IPv6 first: what a connection that tries several wants (RFC 8305).
    #[default]
    Both,
    /// IPv4 before IPv6.
    Ipv4First,
    /// IPv4 only.
    Ipv4,
    /// IPv6 only.
    Ipv6,
}

pub(crate) type Records = Option<io::Result<Arc<[Record]>>>;

/// Both families' records at once; with a delay, those of one alone when it has some and the other has
/// not come so much later.
pub(crate) async fn both(
    cx: &Cx<ResolveCaps>,
    four: impl Future<Output = Records>,
    six: impl Future<Output = Records>,
    delay: Option<Duration>,
) -> io::Result<[Records; 2]> {
    let (mut four, mut six) = (pin!(four), pin!(six));
    let (mut in_four, mut in_six) = (None, None);
    let mut late = pin!(None);
    let poll = |context: &mut Context<'_>| {
        if in_four.is_none() {
            in_four = ready_now(four.as_mut().poll(context));
        }
        if in_six.is_none() {
            in_six = ready_now(six.as_mut().poll(context));
        }
        if in_four.is_some() && in_six.is_some() {
            return Poll::Ready(Ok(()));
        }
        let has_some = [&in_four, &in_six].into_iter().any(|of| matches!(of, Some(Some(Ok(_)))));
        let Some(delay) = delay.filter(|_| has_some) else { return Poll::Pending };
        if late.is_none() {
            late.set(Some(cx.sleep(delay)));
        }
        late.as_mut().as_pin_mut().map_or(Poll::Pending, |late| late.poll(context))
    };
    poll_fn(poll).await?;
    Ok([in_four.flatten(), in_six.flatten()])
}

fn ready_now<T>(poll: Poll<T>) -> Option<T> {
    match poll {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

pub(crate) fn in_order(family: AddressFamily, addresses: Vec<IpAddr>) -> Vec<IpAddr> {
    let (four, six): (Vec<IpAddr>, Vec<IpAddr>) = addresses.into_iter().partition(IpAddr::is_ipv4);
    match family {
        AddressFamily::Ipv4 => four,
        AddressFamily::Ipv6 => six,
        AddressFamily::Ipv4First => [four, six].concat(),
        AddressFamily::Both => {
            let (mut four, mut six) = (four.into_iter(), six.into_iter());
            let mut turns = Vec::new();
            loop {
                let pair = [six.next(), four.next()];
                if pair == [None, None] {
                    return turns;
                }
                turns.extend(pair.into_iter().flatten());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_in_the_order_of_the_family_wanted() {
        let all = ["192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"];
        let order = |family| {
            let addresses = in_order(family, all.map(|text| text.parse().unwrap()).to_vec());
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            order(AddressFamily::Both),
            ["2001:db8::1", "192.0.2.1", "192.0.2.2", "192.0.2.3"]
        );
        assert_eq!(order(AddressFamily::Ipv4First), all);
        assert_eq!(order(AddressFamily::Ipv4), all[..3]);
        assert_eq!(order(AddressFamily::Ipv6), all[3..]);
    }
}
