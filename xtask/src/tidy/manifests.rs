//! Members' manifests: versions stand once, in the workspace's table; the lints are the
//! workspace's; nothing can be uploaded; what is declared is used.

use toml::{Table, Value};

use super::{Finding, Tree, finding, scan};
use crate::workspace::Package;

/// Dependencies that are used without being named, each with the reason.
const UNNAMED: &[(&str, &str)] = &[];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in &tree.packages {
        let path = format!("{}/Cargo.toml", package.dir);
        let Some(manifest) = tree.files.get(&path) else { continue };
        let table: Table = match manifest.parse() {
            Ok(table) => table,
            Err(error) => {
                findings.push(finding(&path, format!("is no TOML: {error}"), "mend it"));
                continue;
            }
        };
        let inherits = table.get("lints").and_then(|lints| lints.get("workspace"));
        if inherits != Some(&Value::Boolean(true)) {
            let remedy = "write `[lints]` with `workspace = true`";
            findings.push(finding(&path, "has lints of its own, or none", remedy));
        }
        if package.publishable {
            let remedy = "add `publish.workspace = true`";
            findings.push(finding(&path, "could be uploaded to a registry", remedy));
        }
        findings.extend(own_versions(&path, &table));
        findings.extend(unused(tree, package, &path));
    }
    findings
}

fn own_versions(path: &str, table: &Table) -> Vec<Finding> {
    let mut tables = vec![table];
    let targets = table.get("target").and_then(Value::as_table).into_iter().flatten();
    tables.extend(targets.filter_map(|(_, target)| target.as_table()));
    let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
    let mut findings = Vec::new();
    for table in tables {
        let entries = kinds.iter().filter_map(|kind| table.get(*kind)?.as_table()).flatten();
        for (name, entry) in entries {
            if entry.get("workspace") != Some(&Value::Boolean(true)) {
                let fact = format!("`{name}` has a version or path of its own");
                let remedy =
                    "declare it in the root's [workspace.dependencies] and say `workspace = true`";
                findings.push(finding(path, fact, remedy));
            }
        }
    }
    findings
}

fn unused(tree: &Tree, package: &Package, path: &str) -> Vec<Finding> {
    let folder = format!("{}/", package.dir);
    let sources: Vec<String> = tree
        .sources()
        .filter(|(path, _)| path.starts_with(&folder))
        // A dependency may be used in a documentation example only; strings are left out.
        .map(|(_, text)| format!("{}\n{}", scan::code(text), scan::comments(text)))
        .collect();
    let words: std::collections::BTreeSet<&str> =
        sources.iter().flat_map(|text| scan::tokens(text)).map(|(_, word)| word).collect();
    let named = |name: &str| UNNAMED.iter().any(|(unnamed, _)| *unnamed == name);
    // A dependency that a feature switches (`dep:x`, `x/y`) is still named in the code.
    package
        .dependencies
        .iter()
        .filter(|dependency| !words.contains(dependency.code_name.as_str()))
        .filter(|dependency| !named(&dependency.name))
        .map(|dependency| {
            let fact = format!("`{}` is declared and used nowhere", dependency.name);
            finding(path, fact, "remove it, or list it in xtask/src/tidy/manifests.rs")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;
    use crate::workspace::{Dependency, Kind};

    fn found(manifest: &str, source: &str) -> Vec<String> {
        let mut tree = tree(&[("crates/a/Cargo.toml", manifest), ("crates/a/src/lib.rs", source)]);
        let table: Table = manifest.parse().unwrap();
        for name in table.get("dependencies").and_then(Value::as_table).into_iter().flatten() {
            tree.packages[0].dependencies.push(Dependency {
                name: name.0.clone(),
                code_name: name.0.replace('-', "_"),
                kind: Kind::Normal,
                for_loom: false,
            });
        }
        check(&tree).into_iter().map(|finding| finding.fact).collect()
    }

    const LINTS: &str = "[lints]\nworkspace = true\n";

    #[test]
    fn a_dependency_of_the_workspace_that_is_used_is_fine() {
        let manifest = format!("{LINTS}[dependencies]\na-b.workspace = true\n");
        assert_eq!(found(&manifest, "use a_b::c;"), [""; 0]);
    }

    #[test]
    fn an_own_version_is_found_for_one_target_too() {
        let manifest = format!(
            "{LINTS}[dependencies]\nx = \"1\"\n[target.'cfg(unix)'.dependencies]\ny = \"1\"\n"
        );
        assert_eq!(found(&manifest, "use x; use y;").len(), 2);
    }

    #[test]
    fn a_dependency_named_only_in_a_string_is_unused() {
        let manifest = format!("{LINTS}[dependencies]\na-b.workspace = true\n");
        assert_eq!(found(&manifest, "const X: &str = \"a_b\";").len(), 1);
    }

    #[test]
    fn own_lints_are_found() {
        assert_eq!(found("[package]\nname = \"a\"\n", "").len(), 1);
    }
}
