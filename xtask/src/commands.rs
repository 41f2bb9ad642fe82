//! The table of commands: every name that may follow `cargo xtask`.

use crate::{
    alone, bench, ci, conformance, deny, determinism, docs, examples, features, formal, fuzz, lab,
    layers, loom, model, msrv, mutants, newcomer, pages, peers, sanitize, step::Step, test, tidy,
};

/// A name on the command line and the steps it runs, in order.
pub(crate) struct Command {
    pub(crate) name: &'static str,
    pub(crate) usage: &'static str,
    pub(crate) about: &'static str,
    pub(crate) steps: &'static [&'static Step],
}

const fn command(
    name: &'static str,
    usage: &'static str,
    about: &'static str,
    steps: &'static [&'static Step],
) -> Command {
    Command { name, usage, about, steps }
}

static COMMANDS: &[Command] = &[
    command("ci", "", "the verification of the whole stack, in order", ci::STEPS),
    command("test", "", "the fast part: format, lints, tests, doc tests", test::STEPS),
    command("fmt", "", test::FMT.about, &[&test::FMT]),
    command("clippy", "", test::CLIPPY.about, &[&test::CLIPPY]),
    command("unit", "", test::UNIT.about, &[&test::UNIT]),
    command("doctest", "", test::DOCTEST.about, &[&test::DOCTEST]),
    command("layers", "[--draw]", layers::STEP.about, &[&layers::STEP]),
    command("tidy", "", tidy::STEP.about, &[&tidy::STEP]),
    command("features", "[PACKAGE]", features::STEP.about, &[&features::STEP]),
    command("docs", "", "documentation builds without a warning, links resolve", docs::STEPS),
    command("links", "", docs::LINKS.about, &[&docs::LINKS]),
    command("rustdoc", "", docs::RUSTDOC.about, &[&docs::RUSTDOC]),
    command("deny", "", "licences, bans, sources and advisories", deny::STEPS),
    command("advisories", "", deny::ADVISORIES.about, &[&deny::ADVISORIES]),
    command("loom", "[--all]", loom::STEP.about, &[&loom::STEP]),
    command("model", "[--all]", model::STEP.about, &[&model::STEP]),
    command(
        "conformance",
        "[--peer tokio|--manifest FILE]",
        conformance::STEP.about,
        &[&conformance::STEP],
    ),
    command("lab", "", lab::STEP.about, &[&lab::STEP]),
    command("determinism", "", determinism::STEP.about, &[&determinism::STEP]),
    command("mutants", "", mutants::STEP.about, &[&mutants::STEP]),
    command("formal", "[--all]", "what is proved and model-checked", formal::STEPS),
    command("proofs", "", formal::PROOFS.about, &[&formal::PROOFS]),
    command("modules", "", pages::MODULES.about, &[&pages::MODULES]),
    command("pages", "[--bless]", pages::STEP.about, &[&pages::STEP]),
    command("tlc", "[--all]", formal::TLC.about, &[&formal::TLC]),
    command("peers", "", peers::STEP.about, &[&peers::STEP]),
    command("traces", "", formal::TRACES.about, &[&formal::TRACES]),
    command("examples", "[NAME]", examples::STEP.about, &[&examples::STEP]),
    command("msrv", "", msrv::STEP.about, &[&msrv::STEP]),
    command("fuzz", "[--seconds N]", fuzz::STEP.about, &[&fuzz::STEP]),
    command("bench", "GROUP [--quick]|check [--bless]", bench::STEP.about, &[&bench::STEP]),
    command("alone", "[CRATE]", alone::STEP.about, &[&alone::STEP]),
    command(
        "sanitize",
        "[CRATE..]",
        "the suite under the address and thread sanitizers",
        sanitize::STEPS,
    ),
    command("newcomer", "", newcomer::STEP.about, &[&newcomer::STEP]),
];

/// The command of this name.
pub(crate) fn find(name: &str) -> Option<&'static Command> {
    COMMANDS.iter().find(|command| command.name == name)
}

/// What `cargo xtask` alone prints.
pub(crate) fn list() -> String {
    let in_ci = |command: &Command| {
        let covered = |step: &&Step| ci::STEPS.iter().any(|other| other.name == step.name);
        command.steps.iter().all(covered)
    };
    let mut text = String::from("cargo xtask COMMAND [--install]\n\n");
    for command in COMMANDS {
        let call = format!("{} {}", command.name, command.usage);
        let mark = if command.name != "ci" && in_ci(command) { " (in ci)" } else { "" };
        text.push_str(&format!("  {call:<38} {}{mark}\n", command.about));
    }
    text.push_str("\n--install lets a step install the tool it needs. See docs/checks.md.\n");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_of_a_command_can_be_run_alone_by_its_own_name() {
        for command in COMMANDS {
            for step in command.steps {
                let (name, more) = step.rerun.split_once(' ').unwrap_or((step.rerun, ""));
                let alone = find(name).unwrap_or_else(|| panic!("`{name}` is no command"));
                let runs = alone.steps.iter().any(|other| other.name == step.name);
                assert!(runs || alone.usage.contains(more) && !more.is_empty(), "{}", step.name);
            }
        }
    }

    #[test]
    fn names_are_unique() {
        for (at, command) in COMMANDS.iter().enumerate() {
            assert!(COMMANDS[at + 1..].iter().all(|other| other.name != command.name));
        }
    }
}
