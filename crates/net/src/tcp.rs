//! The TCP types.

mod listener;
mod real;
mod split;
mod stream;

pub use listener::{ListenOptions, TcpListener};
pub use split::{OwnedReadHalf, OwnedWriteHalf, ReuniteError};
pub use stream::TcpStream;
