//! Licences, bans, duplicate versions and sources of what is pulled in (`deny.toml`), and known
//! advisories where their database can be fetched.

use crate::context::Context;
use crate::shell::tail;
use crate::step::{Done, Failure, Outcome, Skip, Step, passed};
use crate::tools::CARGO_DENY;

pub(crate) static BANS: Step = Step {
    name: "deny",
    about: "licences, bans and sources of the dependencies",
    rerun: "deny",
    run: bans,
};

pub(crate) static ADVISORIES: Step = Step {
    name: "advisories",
    about: "no dependency has a known advisory",
    rerun: "advisories",
    run: advisories,
};

pub(crate) static STEPS: &[&Step] = &[&BANS, &ADVISORIES];

fn bans(context: &Context, _: &[String]) -> Outcome {
    if let Err(skip) = CARGO_DENY.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let output = context.cargo(&["deny", "check", "bans", "licenses", "sources"]).check()?;
    passed(output.stdout.lines().chain(output.text.lines()).last().unwrap_or_default().trim())
}

fn advisories(context: &Context, _: &[String]) -> Outcome {
    if let Err(skip) = CARGO_DENY.require(context) {
        return Ok(Done::Skipped(skip));
    }
    let output = context.cargo(&["deny", "check", "advisories"]).run()?;
    if output.ok {
        return passed("no advisory");
    }
    if is_unreachable(&output.text) {
        return Ok(Done::Skipped(Skip::Unreachable(
            "the advisory database, which cannot be fetched from here".into(),
        )));
    }
    Err(Failure(tail(&output.text)))
}

fn is_unreachable(text: &str) -> bool {
    text.contains("failed to fetch advisory database")
        || text.contains("failed to load advisory database")
}

#[cfg(test)]
mod tests {
    use super::is_unreachable;

    #[test]
    fn only_a_database_out_of_reach_is_forgiven() {
        assert!(is_unreachable("[ERROR] failed to fetch advisory database https: no route"));
        assert!(!is_unreachable("error[vulnerability]: use after free in `x`"));
    }
}
