//! TLS 1.2 and 1.3 over any byte stream, by [`rustls`].
//!
//! [`TlsConnector`] makes the client's end of a connection, [`TlsAcceptor`] the server's. Either takes
//! a stream that reads and writes by `futures-io`'s traits (a socket, a virtual one, a pipe in memory)
//! and gives a [`TlsStream`], which does the same. What a program chooses stands in plain types:
//! [`Roots`] (whom to trust), [`Identity`] (who we are), [`Identities`] (who we are under which name,
//! to be replaced while connections are open), [`ClientAuth`], [`Version`], [`KeyLog`], [`Clock`].
//!
//! A handshake that fails says which of some fifty things went wrong: a [`TlsErrorKind`], with advice.
//! The cryptography is `ring`'s, or that of the provider a builder is given.
//!
//! What this crate does not know: sockets, files, names' addresses, who drives the stream beneath.
//!
//! # Example
//!
//! ```
//! use asupersync_core::Cx;
//! use asupersync_io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
//! use asupersync_tls::{Roots, TlsConnector, TlsStream};
//! use std::io;
//!
//! /// Asks one question over an open connection and reads the answer to its end.
//! async fn ask<S>(cx: &Cx, authorities: &str, stream: S) -> io::Result<Vec<u8>>
//! where
//!     S: AsyncRead + AsyncWrite + Unpin,
//! {
//!     let connector = TlsConnector::builder(Roots::from_pem(authorities)?).alpn(["http/1.1"]).build()?;
//!     let mut stream = connector.connect(cx, "example.org", stream).await?;
//!     stream.write_all(cx, b"GET / HTTP/1.0\r\n\r\n").await?;
//!     stream.flush(cx).await?;
//!     let mut answer = Vec::new();
//!     stream.read_to_end(cx, &mut answer, 1 << 20).await?; // a cut-off answer is an error
//!     stream.close(cx).await?;
//!     Ok(answer)
//! }
//! # let _ = ask::<TlsStream<asupersync_io::DuplexStream>>;
//! ```
//!
//! # Ends
//!
//! The end of a TLS stream is the peer's `close_notify`. A connection that ends without it was cut,
//! by an attacker perhaps: the read answers [`TlsErrorKind::DataTruncated`], not zero bytes. `close`
//! sends ours; dropping a stream does not, as that would have to wait.
//!
//! # Early data
//!
//! Off unless both ends turn it on (`early_data` of either builder), because it can be replayed: see
//! [`TlsConnector::connect_with_early_data`].
//!
//! # Cancel safety
//!
//! | call | a cancelled call |
//! |---|---|
//! | `connect`, `connect_with_early_data`, `accept` | drops the stream it was given: the handshake cannot be taken up again |
//! | `read` | loses nothing |
//! | `write` | has taken all that it says it took, or nothing; what it took is sent by the next write, flush, read or close |
//! | `flush`, `close` | call again |
//!
//! # Budget
//!
//! Neither charges. A handshake has a time limit of its own, 10 s unless the builder is told
//! otherwise, beside the scope's.
//!
//! # What a peer controls
//!
//! One record is at most 16 KiB of text, a handshake message 64 KiB (rustls); at most 64 KiB wait to
//! be sent; early data has the limit that turns it on; plaintext that nobody reads stops the reading of more.
//!
//! # In the lab
//!
//! Keys, nonces and hello values come from the crypto provider, not from the run's seed: the bytes on
//! a virtual wire differ between runs. What a program and its trace see does not, as long as the
//! lengths do not differ, which holds for TLS 1.3 with Ed25519 identities (ECDSA signatures vary by a
//! byte or two). Give the builders [`Clock::host`], so that validity follows virtual time.
//!
//! # Features
//!
//! * `tls-native-roots`: `Roots::native`, the machine's certificate authorities.
//! * `tls-webpki-roots`: `Roots::mozilla`, Mozilla's, compiled in.
//! * `self-signed`: `Identity::self_signed`, for development.
//!
//! # Limitations
//!
//! * Revocation is judged by lists that the program provides; nothing is fetched, OCSP is not looked at.
//! * No renegotiation, no external pre-shared keys, no raw public keys, no encrypted client hello.

#![forbid(unsafe_code)]

mod acceptor;
mod alert;
mod clock;
mod connector;
mod error;
mod identities;
mod identity;
mod key_log;
mod pem;
mod roots;
mod settings;
mod stream;
mod version;

pub use acceptor::{ClientAuth, TlsAcceptor, TlsAcceptorBuilder};
pub use alert::Alert;
pub use clock::Clock;
pub use connector::{TlsConnector, TlsConnectorBuilder};
pub use error::{Side, TlsError, TlsErrorKind};
pub use identities::Identities;
pub use identity::Identity;
#[cfg(feature = "self-signed")]
pub use identity::SelfSigned;
pub use key_log::KeyLog;
pub use roots::{RevocationLists, Roots};
/// The library beneath, for what the builders do not offer: see [`TlsConnector::from_config`].
pub use rustls;
pub use stream::TlsStream;
pub use version::Version;
