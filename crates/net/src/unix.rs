//! Unix sockets.

mod address;
mod datagram;
mod fds;
mod listener;
mod stream;

pub use address::UnixAddr;
pub use datagram::UnixDatagram;
pub use fds::ReceivedFds;
pub use listener::UnixListener;
pub use stream::{UnixCredentials, UnixStream};
