//! What can be bound and connected to.

use crate::error::not_an_address;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// Something that is an IP address and a port: a `SocketAddr`, an `(ip, port)`, or text such as
/// `"127.0.0.1:0"`. Names are not resolved.
pub trait ToAddress {
    /// The address.
    ///
    /// # Errors
    /// When text is not an IP address and a port.
    fn to_address(&self) -> io::Result<SocketAddr>;
}

macro_rules! addresses {
    ($($of:ty),*) => {
        $(impl ToAddress for $of {
            fn to_address(&self) -> io::Result<SocketAddr> {
                Ok(SocketAddr::from(*self))
            }
        })*
    };
}

addresses!(
    SocketAddr,
    SocketAddrV4,
    SocketAddrV6,
    (IpAddr, u16),
    (Ipv4Addr, u16),
    (Ipv6Addr, u16),
    ([u8; 4], u16)
);

impl ToAddress for str {
    fn to_address(&self) -> io::Result<SocketAddr> {
        self.parse().map_err(|_| not_an_address(self))
    }
}

impl ToAddress for String {
    fn to_address(&self) -> io::Result<SocketAddr> {
        self.as_str().to_address()
    }
}

impl<A: ToAddress + ?Sized> ToAddress for &A {
    fn to_address(&self) -> io::Result<SocketAddr> {
        (**self).to_address()
    }
}
