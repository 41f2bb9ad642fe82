//! `unsafe` stands in few crates, and each has a budget that only falls without a reason.

use super::{Finding, Tree, finding, scan};

/// Where `unsafe` may stand: the beginning of a path, how many times, and why.
const BUDGET: &[(&str, usize, &str)] = &[
    (
        "crates/core/",
        140,
        "the task cell and the wait queue are intrusive, a region's heap is an arena, and the branches of a \
         combinator lie in one allocation, their wakers in another",
    ),
    ("crates/reactor/", 40, "completions own their buffers"),
    (
        "crates/raptorq/",
        130,
        "vector instructions of the field's kernels, one small block an intrinsic",
    ),
    ("crates/os/", 40, "processes and signals are system calls"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.judged_sources() {
        let count = count(text);
        if count > 0 && budget(path).is_none() {
            let fact = format!("uses `unsafe` {count} times, in a crate that may not");
            let remedy = "find the safe way, or list the file with its reason in xtask/src/tidy/unsafe_budget.rs";
            findings.push(finding(path, fact, remedy));
        }
    }
    for (place, allowed, _) in BUDGET {
        let used = count_under(tree, place);
        if used > *allowed {
            let fact = format!("uses `unsafe` {used} times, more than its {allowed}");
            findings.push(finding(*place, fact, "use less, or raise the budget and say why"));
        }
    }
    for package in &tree.packages {
        let roots = package
            .targets
            .iter()
            .filter(|t| matches!(t.kind.as_str(), "lib" | "proc-macro" | "bin"));
        for root in roots {
            let Some(text) = tree.files.get(&root.source) else { continue };
            let manifest = tree.files.get(&format!("{}/Cargo.toml", package.dir));
            let in_manifest =
                manifest.is_some_and(|text| text.contains("unsafe_code = \"forbid\""));
            let listed = BUDGET.iter().any(|(place, ..)| root.source.starts_with(place));
            if !listed && !in_manifest && !scan::code(text).contains("#![forbid(unsafe_code)]") {
                let remedy = "add `#![forbid(unsafe_code)]`";
                findings.push(finding(
                    &root.source,
                    "may use `unsafe` and does not need to",
                    remedy,
                ));
            }
        }
    }
    findings
}

/// Places that use it and how often, for the report.
pub(super) fn used(tree: &Tree) -> String {
    let places =
        BUDGET.iter().map(|(place, allowed, _)| (place, count_under(tree, place), allowed));
    let used = places.filter(|(_, used, _)| *used > 0);
    let list: Vec<String> =
        used.map(|(place, used, allowed)| format!("{place} {used} of {allowed}")).collect();
    if list.is_empty() { "none".to_owned() } else { list.join(", ") }
}

fn budget(path: &str) -> Option<usize> {
    BUDGET.iter().find(|(place, ..)| path.starts_with(place)).map(|(_, allowed, _)| *allowed)
}

fn count_under(tree: &Tree, place: &str) -> usize {
    tree.judged_sources()
        .filter(|(path, _)| path.starts_with(place))
        .map(|(_, text)| count(text))
        .sum()
}

fn count(text: &str) -> usize {
    scan::tokens(&scan::code(text)).iter().filter(|(_, word)| *word == "unsafe").count()
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    #[test]
    fn unsafe_outside_the_listed_crates_is_found() {
        let files = [
            ("crates/a/src/lib.rs", "#![forbid(unsafe_code)]\n"),
            ("crates/a/src/b.rs", "unsafe { x() }"),
        ];
        assert_eq!(check(&tree(&files)).len(), 1);
    }

    #[test]
    fn a_root_that_does_not_forbid_it_is_found() {
        let files = [("crates/a/src/lib.rs", "// #![forbid(unsafe_code)]\n")];
        assert_eq!(check(&tree(&files)).len(), 1);
    }

    #[test]
    fn the_word_in_an_attribute_name_or_a_string_is_not_counted() {
        assert_eq!(
            count("#![deny(unsafe_op_in_unsafe_fn)] // unsafe\nconst X: &str = \"unsafe\";"),
            0
        );
        assert_eq!(count("unsafe impl Send for X {}\nunsafe fn f() {}"), 2);
    }

    #[test]
    fn more_than_the_budget_is_found() {
        let (place, allowed, _) = BUDGET[0];
        let path = format!("{place}src/cell.rs");
        let text = "unsafe {}\n".repeat(allowed + 1);
        assert_eq!(check(&tree(&[(path.as_str(), text.as_str())])).len(), 1);
    }
}
