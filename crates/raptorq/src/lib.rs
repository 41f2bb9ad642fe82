//! RaptorQ (RFC 6330): any K + 2 of a block's 2^24 symbols bring back its K source symbols.
//!
//! A [`BlockEncoder`] turns a block of K source symbols into as many repair symbols as are wanted; a
//! [`BlockDecoder`] takes any mixture of both, in any order. What it costs to find out *which* sums
//! to form is paid once for each K in an [`EncodingPlan`], which a [`PlanCache`] keeps.
//!
//! What this crate does not know: sockets, files, clocks, threads, randomness. Bytes go in, bytes
//! come out, and the same bytes in give the same bytes out.
//!
//! How many symbols are enough: any K fail in one case of two hundred, K + 1 in one of thirty thousand,
//! K + 2 in less than one of a million. Where a quorum of symbols is meant, say K + 2. Measurements,
//! costs and bounds are in `docs/raptorq.md`.
//!
//! # Limitations
//! - One thread a block; blocks are independent, so a caller may spread them.
//! - Blocks of more than some 20,000 symbols outgrow the second cache and are half as fast.
//! - Vector instructions on x86-64 only; elsewhere 64-bit integers.
//!
//! # Example
//! ```
//! use asupersync_raptorq::{Added, BlockDecoder, BlockEncoder, EncodingPlan};
//!
//! let block: Vec<u8> = (0..100 * 64).map(|i| (i / 7) as u8).collect();
//! let plan = EncodingPlan::new(100).expect("1 to 56,403 symbols");
//! let encoder = BlockEncoder::new(&plan, &block, 64)?;
//!
//! // The source symbols are all lost; repair symbols alone bring them back.
//! let mut decoder = BlockDecoder::new(100, 64)?;
//! for esi in 100.. {
//!     if decoder.add(esi, encoder.symbol(esi)?)? == Added::Ready {
//!         break;
//!     }
//! }
//! assert_eq!(decoder.decode().as_deref(), Some(&block[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![deny(unsafe_code)]

mod constraint_matrix;
mod decoder;
mod encoder;
pub mod octet;
pub mod parameters;
pub mod pipeline;
mod plan;
pub mod proof;
mod solver;
mod sub_blocks;
mod symbol;
mod tuple;

pub use decoder::{Added, BlockDecoder, DecodeError, MAX_OVERHEAD, MAX_SOLVER_RUNS};
pub use encoder::{BlockEncoder, EncodeError, encode_symbols};
pub use plan::{EncodingPlan, PlanCache, PlanCost};
pub use symbol::{Isa, Kernel};
