//! Code in the pages is code that is compiled. A fence whose info string is
//! `rust,source=PATH` shows the whole file; `rust,source=PATH#NAME` shows what stands between
//! `// snippet: NAME` and `// end snippet` in it. Rust code without a source is shown only on pages
//! that a crate includes as its documentation, where the compiler reads it.

use std::collections::BTreeSet;

use super::{Finding, Tree, finding};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let compiled: BTreeSet<&str> = tree
        .sources()
        .flat_map(|(_, text)| text.split("include_str!(\"").skip(1))
        .filter_map(|rest| rest.split('"').next())
        .filter_map(|path| path.rsplit_once("../").map_or(Some(path), |(_, path)| Some(path)))
        .collect();
    let mut findings = Vec::new();
    for (page, text) in tree.files.iter().filter(|(path, _)| path.ends_with(".md")) {
        let is_compiled =
            compiled.iter().any(|path| page == path || page.ends_with(&format!("/{path}")));
        for fence in fences(text) {
            let place = format!("{page}:{}", fence.line);
            match fence.source() {
                Some(source) => findings.extend(judge(tree, place, source, &fence)),
                None if fence.is_rust() && !is_compiled => {
                    let remedy =
                        "show a compiled file with `rust,source=PATH`, or mark a sketch `text`";
                    findings.push(finding(place, "shows code that no compiler reads", remedy));
                }
                None => {}
            }
        }
    }
    findings
}

struct Fence<'a> {
    line: usize,
    info: &'a str,
    body: Vec<&'a str>,
}

impl<'a> Fence<'a> {
    fn words(&self) -> impl Iterator<Item = &'a str> {
        self.info.split([',', ' ']).map(str::trim)
    }

    fn source(&self) -> Option<&'a str> {
        self.words().find_map(|word| word.strip_prefix("source="))
    }

    fn is_rust(&self) -> bool {
        self.words().any(|word| word == "rust")
    }
}

fn fences(text: &str) -> Vec<Fence<'_>> {
    let mut found = Vec::new();
    let mut open: Option<Fence<'_>> = None;
    for (at, line) in text.lines().enumerate() {
        match (open.take(), line.trim_start().strip_prefix("```")) {
            (None, Some(info)) => open = Some(Fence { line: at + 1, info, body: Vec::new() }),
            (Some(fence), Some(_)) => found.push(fence),
            (Some(mut fence), None) => {
                fence.body.push(line);
                open = Some(fence);
            }
            (None, None) => {}
        }
    }
    found
}

fn judge(tree: &Tree, place: String, source: &str, fence: &Fence<'_>) -> Option<Finding> {
    let (path, region) = source.split_once('#').map_or((source, None), |(p, r)| (p, Some(r)));
    let Some(text) = tree.files.get(path) else {
        return Some(finding(
            place,
            format!("shows `{path}`, which is not there"),
            "correct the path",
        ));
    };
    let wanted: Option<Vec<&str>> = match region {
        None => Some(text.lines().filter(|line| !is_marker(line)).collect()),
        Some(name) => excerpt(text, name),
    };
    let Some(wanted) = wanted else {
        let remedy = "mark it with `// snippet: NAME` and `// end snippet`";
        return Some(finding(place, format!("`{source}` is no snippet of that file"), remedy));
    };
    let (wanted, shown) = (level(&wanted), level(&fence.body));
    let pairs = wanted.iter().zip(&shown).position(|(wanted, shown)| wanted != shown);
    let at = match pairs {
        Some(at) => at,
        None if wanted.len() == shown.len() => return None,
        None => wanted.len().min(shown.len()),
    };
    let line = wanted.get(at).map_or("(end)", String::as_str);
    let fact = format!("differs from `{source}` in line {} of the snippet: `{line}`", at + 1);
    Some(finding(place, fact, "copy the source anew"))
}

fn is_marker(line: &str) -> bool {
    let line = line.trim();
    line.starts_with("// snippet: ") || line == "// end snippet"
}

fn excerpt<'a>(text: &'a str, name: &str) -> Option<Vec<&'a str>> {
    let start = format!("// snippet: {name}");
    let mut lines = text.lines().skip_while(|line| line.trim() != start);
    lines.next()?;
    let lines: Vec<&str> = lines.collect();
    let end = lines.iter().position(|line| line.trim() == "// end snippet")?;
    Some(lines[..end].to_vec())
}

/// The lines without their common indentation, without blank ones around.
fn level(lines: &[&str]) -> Vec<String> {
    let filled = |line: &&&str| !line.trim().is_empty();
    let indent = lines.iter().filter(filled).map(|line| line.len() - line.trim_start().len()).min();
    let cut = |line: &&str| line.get(indent.unwrap_or(0)..).unwrap_or("").trim_end().to_owned();
    let all: Vec<String> = lines.iter().map(cut).collect();
    let first = all.iter().position(|line| !line.is_empty()).unwrap_or(all.len());
    let last = all.iter().rposition(|line| !line.is_empty()).map_or(first, |at| at + 1);
    all[first..last].to_vec()
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    const SOURCE: &str = "//! Hello.\nfn main() {\n    // snippet: greet\n    say(1);\n    say(2);\n    // end snippet\n}\n";

    fn found(page: &str) -> Vec<String> {
        let files = [("examples/src/hello.rs", SOURCE), ("README.md", page)];
        check(&tree(&files)).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_snippet_equal_to_its_region_or_file_is_fine() {
        assert_eq!(
            found("```rust,source=examples/src/hello.rs#greet\nsay(1);\nsay(2);\n```\n"),
            [""; 0]
        );
        let whole = "```rust,source=examples/src/hello.rs\n//! Hello.\nfn main() {\n    say(1);\n    say(2);\n}\n```\n";
        assert_eq!(found(whole), [""; 0]);
    }

    #[test]
    fn a_snippet_that_drifted_is_found_with_the_line() {
        let found = found("\n```rust,source=examples/src/hello.rs#greet\nsay(1);\nsay(3);\n```\n");
        assert!(
            found[0]
                .starts_with("README.md:2: differs from `examples/src/hello.rs#greet` in line 2"),
            "{found:?}"
        );
        let short = "```rust,source=examples/src/hello.rs#greet\nsay(1);\n```\n";
        assert_eq!(self::found(short).len(), 1);
    }

    #[test]
    fn a_missing_file_and_a_missing_region_are_found() {
        assert_eq!(found("```rust,source=none.rs\n```\n").len(), 1);
        assert_eq!(found("```rust,source=examples/src/hello.rs#none\n```\n").len(), 1);
    }

    #[test]
    fn rust_that_no_compiler_reads_is_found_and_a_sketch_is_not() {
        assert_eq!(found("```rust\nlet x = 1;\n```\n").len(), 1);
        assert_eq!(found("```text\nlet x = 1;\n```\n```sh\nls\n```\n"), [""; 0]);
    }

    #[test]
    fn a_page_that_a_crate_includes_is_compiled() {
        let files = [
            ("crates/a/src/lib.rs", "#![doc = include_str!(\"../README.md\")]"),
            ("crates/a/README.md", "```rust\nlet x = 1;\n```\n"),
        ];
        assert!(check(&tree(&files)).is_empty());
    }
}
