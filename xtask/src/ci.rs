//! The verification of the whole stack: every bounded step, what is quickest to fail first.

use crate::step::Step;
use crate::{
    bench, conformance, deny, determinism, docs, examples, features, formal, fuzz, lab, layers,
    loom, model, msrv, mutants, pages, peers, test, tidy,
};

/// The steps of `cargo xtask ci`, in order. Those that read before those that build; those that
/// share their builds side by side (lints and features, then debug tests, then release).
pub(crate) static STEPS: &[&Step] = &[
    &test::FMT,
    &layers::STEP,
    &tidy::STEP,
    &docs::LINKS,
    &deny::BANS,
    &deny::ADVISORIES,
    &test::CLIPPY,
    &features::STEP,
    &msrv::STEP,
    &docs::RUSTDOC,
    &test::UNIT,
    &peers::STEP,
    &conformance::STEP,
    &lab::STEP,
    &test::DOCTEST,
    &determinism::STEP,
    &examples::STEP,
    &loom::STEP,
    &model::STEP,
    &formal::PROOFS,
    &formal::TLC,
    &formal::TRACES,
    &pages::MODULES,
    &pages::STEP,
    &mutants::STEP,
    &bench::CHECK,
    &fuzz::STEP,
];
