//! A long file is one state machine or one table, and its reason is listed here.

use super::{Finding, Tree, finding, is_test};

const LINES: usize = 700;

/// Files that may be longer, each with the reason.
const LONG: &[(&str, &str)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    judge(tree, LONG)
}

fn judge(tree: &Tree, long: &[(&str, &str)]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.sources().filter(|(path, _)| !is_test(path)) {
        let lines = text.lines().count();
        let listed = long.iter().any(|(name, _)| *name == path);
        if lines > LINES && !listed {
            let fact = format!("has {lines} lines, more than {LINES}");
            let remedy =
                "split it by subject, or list it with its reason in xtask/src/tidy/long_files.rs";
            findings.push(finding(path, fact, remedy));
        } else if lines <= LINES && listed {
            let fact = "is listed as a long file and has become short";
            findings.push(finding(path, fact, "remove it from xtask/src/tidy/long_files.rs"));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    #[test]
    fn a_long_file_is_found_unless_it_is_listed_or_a_test() {
        let text = "x\n".repeat(701);
        let files = [("crates/a/src/b.rs", text.as_str()), ("crates/a/tests/c.rs", text.as_str())];
        let tree = tree(&files);
        assert_eq!(judge(&tree, &[]).len(), 1);
        assert!(judge(&tree, &[("crates/a/src/b.rs", "one table")]).is_empty());
    }

    #[test]
    fn a_listed_file_that_became_short_is_found() {
        let tree = tree(&[("crates/a/src/b.rs", "x\n")]);
        assert_eq!(judge(&tree, &[("crates/a/src/b.rs", "one table")]).len(), 1);
    }
}
