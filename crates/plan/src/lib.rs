//! Combinator DAGs as data: build one, analyse it, rewrite it by stated laws, have the rewriting
//! explained, execute it.
//!
//! A [`Plan`] says what depends on what and nothing of what the parts do. Its leaves are names with
//! annotations ([`Leaf`]); the code behind a leaf is given when the plan is executed. Between them
//! stand four combinators: *join* (all, the first failure ends it), *race* (the first to finish),
//! *sequence* (one after the other) and *timeout*. A plan yields the list of its leaves' values: a
//! join or a sequence appends lists, a race yields the winner's. So these operations have laws, and
//! [`Law`] states each once, with what must hold for it.
//!
//! A node stands for *one* execution. Where two parents name the same node it runs once and both get
//! its values; building the same node twice gives the same node. To run a thing twice, make two
//! leaves.
//!
//! What this crate does not know: what a leaf computes, threads, the wall clock.
//!
//! # Example
//! ```
//! use asupersync_core::{Cx, Error};
//! use asupersync_plan::{Leaf, PlanBuilder, Safety, execute, simplify};
//! use std::time::Duration;
//!
//! let ms = Duration::from_millis;
//! let mut builder = PlanBuilder::new();
//! let cache = builder.leaf(Leaf::new("cache").takes(ms(1)..=ms(5)));
//! let store = builder.leaf(Leaf::new("store").takes(ms(10)..=ms(40)).on_cancel(Safety::Lossless));
//! let fastest = builder.race([cache, store]);
//! let inner = builder.timeout(ms(50), fastest);
//! let outer = builder.timeout(ms(30), inner);
//! let plan = builder.build(outer)?;
//! assert_eq!(plan.to_string(), "timeout(30ms, timeout(50ms, race(cache, store)))");
//!
//! let simpler = simplify(&plan);
//! assert_eq!(simpler.plan.to_string(), "timeout(30ms, race(cache, store))");
//! println!("{simpler}"); // each step: what was, what is, which law, why it is allowed
//!
//! let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
//! let report = lab.run(async move |cx: &Cx| {
//!     let outcome = execute(cx, &simpler.plan, |leaf| {
//!         let wait = ms(if leaf.name() == "cache" { 3 } else { 20 });
//!         let name = leaf.name().to_owned();
//!         async move |cx: &Cx| {
//!             cx.sleep(wait).await?;
//!             Ok::<_, Error>(name)
//!         }
//!     })
//!     .await;
//!     assert_eq!(outcome.into_result().unwrap(), ["cache"]);
//!     Ok::<_, Error>(())
//! });
//! # assert!(report.is_ok());
//! # Ok::<(), asupersync_plan::PlanError>(())
//! ```
//!
//! # Cancel safety
//! [`execute`] runs in a region of its own. When the enclosing scope is cancelled every leaf that has
//! begun is told through its own waits, and `execute` returns when the last has ended. What leaves
//! had returned by then is dropped: two-phase effects belong inside a leaf.
//!
//! # Limitations
//! - Leaves of one plan return one type; an enum serves where they differ.
//! - Data does not flow from one leaf of a sequence to the next through the plan. Leaves share what they
//!   must by the state they capture.
//! - [`simplify`] applies laws from left to right until none applies; it does not search for the
//!   cheapest of all equal plans.

#![forbid(unsafe_code)]

mod analysis;
mod builder;
mod cost;
mod error;
mod execute;
mod law;
mod plan;
mod rewrite;

pub use crate::analysis::{Analysis, Finding, NodeFacts, analyse};
pub use crate::builder::PlanBuilder;
pub use crate::cost::MinPlus;
pub use crate::error::{Failure, PlanError};
pub use crate::execute::execute;
pub use crate::law::{Law, Strength};
pub use crate::plan::{Leaf, LeafId, Node, NodeId, Plan, Safety};
pub use crate::rewrite::{Rewriting, Step, simplify, simplify_by};
