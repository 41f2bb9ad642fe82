//! The TCP types.

mod connect;
mod listener;
mod real;
mod split;
mod stream;

pub use connect::ConnectOptions;
pub use listener::{ListenOptions, TcpListener};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;
