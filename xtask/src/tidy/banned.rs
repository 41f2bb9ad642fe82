//! Names and words that say nothing or promise what is not there, each with its remedy.

use super::{Finding, Tree, finding, scan};

/// File names that tell no subject.
const FILES: &[&str] = &["util", "utils", "helper", "helpers", "misc", "common", "stuff"];

/// Ends of type names that say rank, not behaviour.
const ENDINGS: &[&str] = &["Manager", "Helper", "Helpers", "Util", "Utils", "Orchestrator", "V2"];

/// Names whose subject really is called so, each with the reason.
const NAMES: &[(&str, &str)] = &[];

/// Words of code, each with why and what instead.
const CODE: &[(&str, &str, &str)] = &[
    ("todo!", "is not built", "build it, or remove what needs it"),
    ("unimplemented!", "is not built", "build it, or remove what needs it"),
    ("dbg!", "prints for one person", "remove it"),
    ("static mut ", "is shared without a rule", "use an atomic or a lock"),
];

/// Words of comments.
const COMMENTS: &[(&str, &str, &str)] = &[
    ("FIXME", "is a note of what is wrong", "mend it, or say the limit under `# Limitations`"),
    ("TODO", "is a note of what is missing", "do it, or say the limit under `# Limitations`"),
    ("XXX", "is a mark only its author reads", "write the sentence"),
    ("not yet implemented", "promises", "say what is true today"),
    ("in a real implementation", "is a toy's excuse", "write the real one"),
    ("in production this would", "is a toy's excuse", "write the real one"),
];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for path in tree.files.keys().filter(|path| path.ends_with(".rs")) {
        let name = path.rsplit('/').next().unwrap_or(path);
        // Beside the tests `foo.rs` would be a test of its own: there, and only there, it is right.
        if name == "mod.rs" && !path.contains("/tests/") {
            findings.push(finding(path, "is a mod.rs", "call it after its folder: foo.rs + foo/"));
        }
        if FILES.contains(&name.trim_end_matches(".rs")) {
            findings.push(finding(path, "has a name that tells no subject", "name the subject"));
        }
    }
    for (path, text) in tree.judged_sources() {
        let code = scan::code(text);
        let comments = scan::comments(text);
        let lines = code.lines().zip(comments.lines()).enumerate();
        for (at, (code, comment)) in lines {
            let place = || format!("{path}:{}", at + 1);
            for (word, fact, remedy) in CODE.iter().filter(|(word, ..)| starts_word(code, word)) {
                findings.push(finding(place(), format!("`{}` {fact}", word.trim()), *remedy));
            }
            for (word, fact, remedy) in COMMENTS.iter().filter(|(w, ..)| starts_word(comment, w)) {
                findings.push(finding(place(), format!("`{word}` {fact}"), *remedy));
            }
            if let Some(name) = ranked_type(code) {
                let fact = format!("`{name}` says rank, not behaviour");
                findings.push(finding(place(), fact, "name the thing, or write a function"));
            }
        }
        findings.extend(silent_attributes(path, text, &code));
    }
    findings
}

/// `word` stands in the line and does not continue another word.
fn starts_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        !line[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
    })
}

fn ranked_type(code: &str) -> Option<&str> {
    let words: Vec<&str> = scan::tokens(code).into_iter().map(|(_, word)| word).collect();
    let declared = words.windows(2).find(|pair| {
        ["struct", "enum", "trait", "type", "union"].contains(&pair[0])
            && ENDINGS.iter().any(|ending| pair[1].ends_with(ending))
    })?;
    (!NAMES.iter().any(|(name, _)| *name == declared[1])).then_some(declared[1])
}

/// `#[allow(..)]` and `#[expect(..)]` without a reason.
fn silent_attributes(path: &str, text: &str, code: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for lint in ["[allow(", "[expect("] {
        for (at, _) in code.match_indices(lint) {
            let marked = code[..at].trim_end().ends_with(['#', '!']);
            let end = code[at..].find(']').map_or(code.len(), |end| at + end);
            if marked && !code[at..end].contains("reason") {
                let place = format!("{path}:{}", text[..at].matches('\n').count() + 1);
                let fact = "a lint is switched off without a reason";
                findings.push(finding(place, fact, "write #[expect(.., reason = \"..\")]"));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::fabricated::tree;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        check(&tree(&[(path, text)])).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_file_without_a_subject_and_a_mod_rs_are_found() {
        assert_eq!(found("crates/a/src/utils.rs", "").len(), 1);
        assert_eq!(found("crates/a/src/b/mod.rs", "").len(), 1);
        assert!(found("crates/a/src/wheel.rs", "").is_empty());
        assert!(found("crates/a/tests/support/mod.rs", "").is_empty());
    }

    #[test]
    fn what_is_not_built_is_found_in_code_and_in_comments() {
        assert!(found("x.rs", "fn f() {\n    todo!()\n}")[0].starts_with("x.rs:2: `todo!`"));
        assert!(found("x.rs", "// FIXME later")[0].starts_with("x.rs:1: `FIXME`"));
        assert!(found("x.rs", "let s = \"todo!() and FIXME\";").is_empty());
    }

    #[test]
    fn a_title_is_found_and_its_use_is_not() {
        assert!(found("x.rs", "pub struct TaskManager;")[0].contains("TaskManager"));
        assert!(found("x.rs", "let manager = window::Manager::new();").is_empty());
    }

    #[test]
    fn a_lint_switched_off_wants_a_reason() {
        assert_eq!(found("x.rs", "#[allow(dead_code)]\nfn f() {}").len(), 1);
        assert_eq!(found("x.rs", "#![expect(a::b)]").len(), 1);
        assert!(found("x.rs", "#[expect(\n  dead_code,\n  reason = \"x\"\n)]").is_empty());
    }
}
