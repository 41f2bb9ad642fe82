//! Every error code in the crates has its page, `docs/errors/CODE.md`, and every page its code.

use std::collections::BTreeMap;

use super::{Finding, Tree, finding, is_test, scan};

/// What a code starts with; a number or a short word in capitals follows.
const PREFIX: &str = "ASY-";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut used: BTreeMap<String, String> = BTreeMap::new();
    for (path, text) in tree.judged_sources() {
        if !path.starts_with("crates/") || !path.contains("/src/") || is_test(path) {
            continue;
        }
        // A `#[cfg(test)]` module at the end of a file may name codes that nobody raises.
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
        for (line, string) in scan::strings(text) {
            for code in codes(string) {
                used.entry(code.to_owned()).or_insert_with(|| format!("{path}:{line}"));
            }
        }
    }
    let mut findings = Vec::new();
    for (code, place) in &used {
        let page = format!("docs/errors/{code}.md");
        match tree.files.get(&page) {
            None => {
                let fact = format!("{code} has no page");
                findings.push(finding(place, fact, format!("write {page}")));
            }
            Some(text) if !text.contains(code.as_str()) => {
                findings.push(finding(page, "does not name its code", "begin with it"));
            }
            Some(_) => {}
        }
    }
    for page in tree.files.keys().filter(|path| path.starts_with("docs/errors/")) {
        let name = page.trim_start_matches("docs/errors/").trim_end_matches(".md");
        if name.starts_with(PREFIX) && !used.contains_key(name) {
            let fact = "no crate raises this code";
            findings.push(finding(page, fact, "delete the page, or raise the code"));
        }
    }
    findings
}

fn codes(text: &str) -> impl Iterator<Item = &str> {
    text.match_indices(PREFIX).filter_map(move |(at, _)| {
        let rest = &text[at + PREFIX.len()..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
        (end >= 3 && rest[..end].bytes().any(|byte| byte.is_ascii_digit()))
            .then(|| &text[at..at + PREFIX.len() + end])
    })
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    const SOURCE: (&str, &str) =
        ("crates/a/src/lib.rs", "const CODE: &str = \"ASY-0007\"; // see ASY-9999");

    #[test]
    fn a_code_without_a_page_is_found() {
        let found = check(&tree(&[SOURCE]));
        assert_eq!(found.len(), 1);
        assert_eq!(
            found[0].to_string(),
            "crates/a/src/lib.rs:1: ASY-0007 has no page; write docs/errors/ASY-0007.md"
        );
    }

    #[test]
    fn a_page_without_a_code_is_found() {
        let pages = [
            SOURCE,
            ("docs/errors/ASY-0007.md", "# ASY-0007"),
            ("docs/errors/ASY-0008.md", "# ASY-0008"),
        ];
        let found = check(&tree(&pages));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].place, "docs/errors/ASY-0008.md");
    }

    #[test]
    fn a_code_in_a_test_or_a_comment_needs_no_page() {
        let files =
            [("crates/a/tests/x.rs", "\"ASY-0001\""), ("crates/a/src/lib.rs", "// ASY-0002")];
        assert!(check(&tree(&files)).is_empty());
    }
}
