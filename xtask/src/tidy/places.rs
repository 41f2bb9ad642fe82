//! No file names a place that exists on one machine only, or a registry's host.

use super::{Finding, Tree, finding};

/// Where a person's or a machine's own folders begin.
const FOLDERS: &[&str] = &["/home/", "/root/", "/Users/", "/work/", "/tmp/bash_jobs"];

/// Parts of addresses of package registries and their mirrors.
const HOSTS: &[&str] = &[
    "crates.io",
    "registry.npmjs.org",
    "pypi.org",
    "deb.debian.org",
    "artifactory",
    "sparse+http",
    "registry+http",
];

/// The one address every lock file names.
const DEFAULT: &str = "registry+https://github.com/rust-lang/crates.io-index";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in &tree.files {
        if path.starts_with("xtask/src/tidy/") {
            continue;
        }
        for (at, line) in text.lines().enumerate() {
            let line =
                if path.ends_with("Cargo.lock") { line.replace(DEFAULT, "") } else { line.into() };
            let place = || format!("{path}:{}", at + 1);
            for folder in FOLDERS.iter().filter(|folder| begins_path(&line, folder)) {
                let fact = format!("names a machine's own folder ({folder})");
                findings.push(finding(
                    place(),
                    fact,
                    "say it relative to the root or by a variable",
                ));
            }
            for host in HOSTS.iter().filter(|host| line.contains(**host)) {
                let fact = format!("names a registry's host ({host})");
                findings.push(finding(place(), fact, "name the package, not where it comes from"));
            }
        }
    }
    findings
}

/// The folder's name stands at the beginning of a path, not in the middle of one.
fn begins_path(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || "-_.}*<>".contains(before))
    })
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    fn count(path: &str, text: &str) -> usize {
        check(&tree(&[(path, text)])).len()
    }

    #[test]
    fn a_machines_folder_is_found_and_a_folder_of_the_tree_is_not() {
        assert_eq!(count("docs/a.md", "see `/home/me/x`"), 1);
        assert_eq!(count("docs/a.md", "see docs/work/x and https://x.y/work/z"), 0);
    }

    #[test]
    fn a_registry_is_found_but_for_the_lock_files_own() {
        assert_eq!(count("a.toml", "registry = \"sparse+https://mirror/\""), 1);
        assert_eq!(
            count(
                "Cargo.lock",
                "source = \"registry+https://github.com/rust-lang/crates.io-index\""
            ),
            0
        );
        assert_eq!(count("Cargo.lock", "source = \"registry+https://mirror/index\""), 1);
    }
}
