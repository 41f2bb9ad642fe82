//! Pipelines: whole objects as authenticated packets, without I/O.
//!
//! A [`Sender`] takes an object block by block and gives packets; a [`Receiver`] takes packets in any
//! order, with losses, duplicates and forgeries, and gives blocks. Neither holds more than a window
//! of blocks.
//!
//! # Packet
//! | octets | what |
//! |---|---|
//! | 4 | FEC payload ID (RFC 6330 section 3.2): block, encoding symbol ID |
//! | 16 | tag |
//! | T | symbol |
//!
//! # Authentication
//! The tag is keyed BLAKE3, truncated to 128 bits, over object ID, object transmission information,
//! payload ID and symbol, each of fixed length. A symbol is therefore good for one place in one object
//! only. The key is derived from the caller's secret for this use alone. A packet is checked before it
//! changes anything; a wrong tag passes with probability 2^-128.
//!
//! # Limitations
//! Tags are symmetric: whoever can check them can make them. Nothing is encrypted.

mod receiver;
mod sender;

pub use receiver::{Accepted, Block, Counters, Receiver, Rejection};
pub use sender::{SendError, Sender};

use crate::parameters::{ObjectTransmissionInformation, PayloadId};

/// Octets of a packet before its symbol.
pub const HEADER: usize = 4 + TAG;
/// Octets of a tag.
pub const TAG: usize = 16;

/// Names an object; chosen by the caller, one for each object under a key.
pub type ObjectId = [u8; 16];

/// A key for the tags of symbols.
#[derive(Clone)]
pub struct SymbolKey([u8; 32]);

impl std::fmt::Debug for SymbolKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SymbolKey(..)")
    }
}

impl SymbolKey {
    /// Derives the key from a secret of at least 128 bits of entropy. The secret may serve other uses
    /// elsewhere: the derivation is bound to this one.
    #[must_use]
    pub fn derive(secret: &[u8]) -> Self {
        Self(blake3::derive_key("asupersync raptorq 2026 symbol tags v1", secret))
    }

    fn tag(&self, context: &Context, id: PayloadId, symbol: &[u8]) -> [u8; TAG] {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(&context.object);
        hasher.update(&context.oti.to_bytes());
        hasher.update(&id.to_bytes());
        hasher.update(symbol);
        let mut tag = [0; TAG];
        tag.copy_from_slice(&hasher.finalize().as_bytes()[..TAG]);
        tag
    }

    /// Compares without regard to where the tags differ.
    fn check(&self, context: &Context, id: PayloadId, symbol: &[u8], tag: &[u8; TAG]) -> bool {
        let right = self.tag(context, id, symbol);
        let difference = right.iter().zip(tag).fold(0, |or, (a, b)| or | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

/// What every tag of an object covers.
#[derive(Clone, Debug)]
struct Context {
    object: ObjectId,
    oti: ObjectTransmissionInformation,
}

#[cfg(test)]
mod tests;
