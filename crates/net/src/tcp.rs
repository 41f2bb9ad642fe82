//! The TCP types.

mod connect;
mod listener;
pub(crate) mod real;
mod stream;
mod taped;

pub use connect::ConnectOptions;
pub use listener::{ListenOptions, TcpListener};
pub use stream::TcpStream;
pub(crate) use taped::TapedStream;
