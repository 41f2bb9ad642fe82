//! A port for a program that has to be told one.

use std::net::{TcpListener, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};

static CALLS: AtomicU32 = AtomicU32::new(0);

/// A port of the loopback that nobody uses and nobody is given by chance: it lies below those that the
/// system hands out, from which any test beside this one may have got it by the time it is used.
#[allow(unreachable_pub, reason = "shared by test files")]
#[expect(clippy::disallowed_methods, reason = "a free port is found outside of any runtime")]
pub fn free() -> u16 {
    let call = std::process::id() + CALLS.fetch_add(1, Ordering::Relaxed) * 100;
    let first = 20_000 + u16::try_from(call % 10_000).expect("below 10,000");
    let is_free = |port: &u16| {
        UdpSocket::bind(("127.0.0.1", *port)).is_ok()
            && TcpListener::bind(("127.0.0.1", *port)).is_ok()
    };
    (first..first + 100).find(is_free).expect("one of a hundred ports is free")
}
