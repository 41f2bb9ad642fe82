//! Every Rust file is reached from the root of some target: by `mod`, `include!` or `#[path]`, or
//! by a test that names it (a pattern such as `tests/ui/*.rs`).

use std::collections::BTreeSet;

use super::{Finding, Tree, finding, scan};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut roots: BTreeSet<&str> = tree
        .packages
        .iter()
        .flat_map(|p| &p.targets)
        .map(|target| target.source.as_str())
        .collect();
    // A fuzz folder is a workspace of its own, whose targets stand in one place by convention.
    roots.extend(tree.files.keys().map(String::as_str).filter(|path| {
        path.rsplit_once('/').is_some_and(|(folder, _)| folder.ends_with("/fuzz/fuzz_targets"))
    }));
    let mut reached: BTreeSet<String> = BTreeSet::new();
    let mut open: Vec<(String, bool)> = roots.iter().map(|root| ((*root).into(), true)).collect();
    while let Some((path, is_root)) = open.pop() {
        let Some(text) = tree.files.get(&path) else { continue };
        if reached.insert(path.clone()) {
            let children = children(&path, is_root, text).into_iter();
            open.extend(children.filter(|(child, _)| tree.files.contains_key(child)));
            open.extend(named(tree, &path, text).into_iter().map(|file| (file, true)));
        }
    }
    let dead = tree.sources().map(|(path, _)| path).filter(|path| !reached.contains(*path));
    let remedy = "name it with `mod` where it belongs, or delete it";
    dead.map(|path| finding(path, "no crate reaches this file", remedy)).collect()
}

/// The files that the `mod` items of a file may stand for, each with whether its own children lie
/// beside it, as a root's do.
fn children(path: &str, is_root: bool, text: &str) -> Vec<(String, bool)> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let beside = if is_root || path.ends_with("/mod.rs") {
        folder.to_owned()
    } else {
        path.trim_end_matches(".rs").to_owned()
    };
    let code = scan::code(text);
    let tokens = scan::tokens(&code);
    let mut found = Vec::new();
    // One entry for each open brace; a module's brace carries its name.
    let mut braces: Vec<Option<&str>> = Vec::new();
    let mut renamed: Option<&str> = None;
    for (at, (offset, word)) in tokens.iter().enumerate() {
        let next = |n: usize| tokens.get(at + n).map_or("", |(_, word)| *word);
        match *word {
            "path" if next(1) == "=" && next(2) == "\"" => {
                let from = tokens[at + 2].0 + 1;
                renamed = text[from..].split('"').next();
            }
            "mod" if next(2) == ";" => {
                let inline: Vec<&str> = braces.iter().flatten().copied().collect();
                let mut base = vec![beside.as_str()];
                base.extend(inline);
                let base = base.join("/");
                if let Some(renamed) = renamed.take() {
                    found.push((join(folder, renamed), true));
                }
                found.push((format!("{base}/{}.rs", next(1)), false));
                found.push((format!("{base}/{}/mod.rs", next(1)), false));
            }
            "{" => {
                let named = at >= 2 && tokens[at - 2].1 == "mod";
                braces.push(named.then(|| tokens[at - 1].1));
            }
            "}" => {
                braces.pop();
            }
            _ => {}
        }
        debug_assert!(*offset < text.len());
    }
    found
}

/// The files that a string of this file names, seen from its own folder or from its package's.
fn named(tree: &Tree, path: &str, text: &str) -> Vec<String> {
    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
    let package = tree.packages.iter().filter(|package| path.starts_with(&package.dir));
    let package = package.max_by_key(|package| package.dir.len()).map_or("", |p| p.dir.as_str());
    let mut found = Vec::new();
    for (_, string) in scan::strings(text) {
        if !string.ends_with(".rs") || string.contains(char::is_whitespace) {
            continue;
        }
        for pattern in [join(folder, string), join(package, string)] {
            let hits = tree.files.keys().filter(|file| matches(&pattern, file));
            found.extend(hits.cloned());
        }
    }
    found
}

fn join(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Whether a path matches a pattern in which `*` stands for any part of one name.
fn matches(pattern: &str, path: &str) -> bool {
    let (patterns, parts): (Vec<&str>, Vec<&str>) =
        (pattern.split('/').collect(), path.split('/').collect());
    patterns.len() == parts.len()
        && patterns.iter().zip(parts).all(|(pattern, part)| match pattern.split_once('*') {
            None => *pattern == part,
            Some((before, after)) => {
                part.len() >= before.len() + after.len()
                    && part.starts_with(before)
                    && part.ends_with(after)
            }
        })
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    fn dead(files: &[(&str, &str)]) -> Vec<String> {
        check(&tree(files)).into_iter().map(|finding| finding.place).collect()
    }

    #[test]
    fn a_file_no_module_names_is_dead() {
        let files = [
            ("crates/a/src/lib.rs", "mod b;"),
            ("crates/a/src/b.rs", ""),
            ("crates/a/src/c.rs", ""),
        ];
        assert_eq!(dead(&files), ["crates/a/src/c.rs"]);
    }

    #[test]
    fn nested_inline_and_renamed_modules_are_followed() {
        let files = [
            (
                "crates/a/src/lib.rs",
                "mod b; #[path = \"other/place.rs\"] mod c; mod d { mod e; fn f() {} mod g; }",
            ),
            ("crates/a/src/b.rs", "#[cfg(test)] mod tests;"),
            ("crates/a/src/b/tests.rs", ""),
            ("crates/a/src/other/place.rs", ""),
            ("crates/a/src/d/e.rs", ""),
            ("crates/a/src/d/g.rs", ""),
        ];
        assert_eq!(dead(&files), [""; 0]);
    }

    #[test]
    fn a_module_named_only_in_a_comment_is_dead() {
        let files = [("crates/a/src/lib.rs", "// mod b;\n"), ("crates/a/src/b.rs", "")];
        assert_eq!(dead(&files), ["crates/a/src/b.rs"]);
    }

    #[test]
    fn tests_are_roots_and_name_the_files_they_compile() {
        let files = [
            ("crates/a/src/lib.rs", ""),
            ("crates/a/tests/ui.rs", "mod support; fn f() { t.compile_fail(\"tests/ui/*.rs\"); }"),
            ("crates/a/tests/support.rs", ""),
            ("crates/a/tests/ui/one.rs", ""),
            ("crates/a/fuzz/fuzz_targets/decode.rs", ""),
        ];
        assert_eq!(dead(&files), [""; 0]);
    }
}
