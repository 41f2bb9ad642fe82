//! The rules of the kernel stand in three places, under the same ids: in words in `docs/semantics.md`,
//! executable in the reference model, and cited where the kernel obeys them or a test shows them.

use std::collections::BTreeMap;

use super::{Finding, Tree, finding};

const PAGE: &str = "docs/semantics.md";
const TABLE: &str = "conformance/src/model/rules.rs";
const MODEL: &str = "conformance/src/model";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let (Some(page), Some(table)) = (tree.files.get(PAGE), tree.files.get(TABLE)) else {
        return Vec::new();
    };
    let stated = places(page.lines().filter(|line| line.starts_with("**`R-")));
    let known = places(table.lines().filter(|line| line.contains("\"R-")));
    let mut findings = Vec::new();
    for (id, count) in &stated {
        if *count > 1 {
            findings.push(finding(PAGE, format!("{id} is stated {count} times"), "state it once"));
        }
        if !known.contains_key(id) {
            let remedy = format!("add it to {TABLE}, and fire it in the model");
            findings.push(finding(PAGE, format!("the model has no rule {id}"), remedy));
        }
    }
    for id in known.keys().filter(|id| !stated.contains_key(*id)) {
        let remedy = format!("begin a paragraph of {PAGE} with **`{id}`**");
        findings.push(finding(TABLE, format!("{id} is stated nowhere"), remedy));
    }
    findings.extend(never_fired(tree, table));
    for (path, text) in tree.files.iter().filter(|(path, _)| is_citing(path)) {
        for (at, line) in text.lines().enumerate() {
            for id in ids(line).filter(|id| !stated.contains_key(*id)) {
                let place = format!("{path}:{}", at + 1);
                let remedy = "cite a rule that is there, or state this one";
                findings.push(finding(place, format!("{PAGE} states no rule {id}"), remedy));
            }
        }
    }
    findings
}

/// Each rule is fired somewhere in the model; a test counts how often.
fn never_fired(tree: &Tree, table: &str) -> Vec<Finding> {
    let model: String = tree
        .files
        .iter()
        .filter(|(path, _)| path.starts_with(MODEL) && *path != TABLE)
        .map(|(_, text)| text.as_str())
        .collect();
    let rows = table.lines().filter(|line| line.contains("\"R-"));
    let names = rows.filter_map(|row| row.split_whitespace().next());
    names
        .filter(|name| {
            let call = format!("Rule::{name}");
            !model.match_indices(&call).any(|(at, _)| {
                let next = model[at + call.len()..].chars().next();
                !next.is_some_and(|c| c.is_alphanumeric())
            })
        })
        .map(|name| {
            finding(TABLE, format!("the model never fires {name}"), "fire it, or delete it")
        })
        .collect()
}

fn is_citing(path: &str) -> bool {
    let source = path.ends_with(".rs") && !path.starts_with("xtask/");
    // What the table alone knows is found above.
    (source && path != TABLE) || path == PAGE || path.starts_with("formal/")
}

fn places<'a>(lines: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, usize> {
    let mut found = BTreeMap::new();
    for line in lines {
        if let Some(id) = ids(line).next() {
            *found.entry(id).or_insert(0) += 1;
        }
    }
    found
}

/// Words of the form `R-WORD-WORD`, in capitals.
fn ids(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("R-").filter_map(move |(at, _)| {
        let before = line[..at].chars().next_back();
        let rest = &line[at..];
        let end = rest.find(|c: char| !c.is_ascii_uppercase() && c != '-').unwrap_or(rest.len());
        let id = rest[..end].trim_end_matches('-');
        let stands_alone = !before.is_some_and(|c| c.is_alphanumeric() || c == '-');
        (stands_alone && id.len() >= 6).then_some(id)
    })
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    const FIRED: (&str, &str) = ("conformance/src/model/task.rs", "self.fire(Rule::Spawn)");

    fn facts(files: &[(&str, &str)]) -> Vec<String> {
        check(&tree(files)).into_iter().map(|finding| finding.fact).collect()
    }

    #[test]
    fn a_rule_that_stands_in_one_place_only_is_found() {
        let page = (PAGE, "**`R-SPAWN`** x\n**`R-JOINED`** y");
        let table = (TABLE, "Spawn \"R-SPAWN\" \"x\",\nClosed \"R-CLOSED\" \"x\",");
        let found = facts(&[page, table, FIRED]);
        assert_eq!(
            found,
            [
                "the model has no rule R-JOINED",
                "R-CLOSED is stated nowhere",
                "the model never fires Closed"
            ]
        );
    }

    #[test]
    fn a_citation_of_no_rule_is_found() {
        let files = [
            (PAGE, "**`R-SPAWN`** x"),
            (TABLE, "Spawn \"R-SPAWN\" \"x\","),
            FIRED,
            ("crates/a/src/lib.rs", "// R-SPAWN, ASR-OTHER\n// R-SPAWNED"),
        ];
        assert_eq!(facts(&files), [format!("{PAGE} states no rule R-SPAWNED")]);
    }
}
