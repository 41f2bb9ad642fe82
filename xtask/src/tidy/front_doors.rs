//! Every library crate's root says what the crate is and what it does not know.

use super::{Finding, Tree, finding};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in tree.packages.iter().filter(|package| package.is_library()) {
        let Some(root) = package.library().map(|target| target.source.as_str()) else { continue };
        let Some(text) = tree.files.get(root) else { continue };
        let docs = root_docs(tree, root, text);
        if docs.trim().is_empty() {
            let remedy = "begin with one sentence: what it is";
            findings.push(finding(root, "the crate has no front page", remedy));
        } else if !docs.to_lowercase().contains("does not know") {
            let fact = "the front page does not say what the crate does not know";
            let remedy = "write `What this crate does not know: ..`";
            findings.push(finding(root, fact, remedy));
        }
    }
    findings
}

/// The text of the inner doc comments, on one line, with the page a `doc = include_str!` shows.
fn root_docs(tree: &Tree, root: &str, text: &str) -> String {
    let lines = text.lines().filter_map(|line| line.strip_prefix("//!"));
    let mut docs: Vec<&str> = lines.map(str::trim).collect();
    if let Some((_, rest)) = text.split_once("#![doc = include_str!(\"")
        && let Some((page, _)) = rest.split_once('"')
    {
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = match page.strip_prefix("../") {
            Some(up) => format!("{}/{up}", folder.rsplit_once('/').map_or("", |(f, _)| f)),
            None => format!("{folder}/{page}"),
        };
        docs.extend(tree.files.get(&path).map(String::as_str));
    }
    docs.join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    fn count(root: &str) -> usize {
        check(&tree(&[("crates/a/src/lib.rs", root)])).len()
    }

    #[test]
    fn a_crate_says_what_it_does_not_know_on_one_line_or_two() {
        assert_eq!(count("//! A wheel.\n//!\n//! What this crate does not know: clocks.\n"), 0);
        assert_eq!(count("//! A wheel. It does\n//! not know the clock.\n"), 0);
    }

    #[test]
    fn a_silent_front_page_and_a_missing_one_are_found() {
        assert_eq!(count("//! A wheel.\n"), 1);
        assert_eq!(count("pub fn turn() {}\n"), 1);
    }

    #[test]
    fn a_readme_shown_as_the_front_page_counts() {
        let files = [
            ("crates/a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]\n"),
            ("crates/a/README.md", "It does not know clocks."),
        ];
        assert!(check(&tree(&files)).is_empty());
    }
}
