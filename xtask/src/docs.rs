//! Documentation: rustdoc without a warning, and every relative link in a Markdown file leads
//! somewhere.

use std::collections::BTreeMap;

use crate::context::Context;
use crate::step::{Failure, Outcome, Step, passed};
use crate::workspace::files;

pub(crate) static LINKS: Step = Step {
    name: "links",
    about: "relative links between the pages resolve",
    rerun: "links",
    run: |context, _| {
        let names = files(&context.root)?;
        let pages = names.iter().filter(|name| name.ends_with(".md"));
        let pages: BTreeMap<String, String> = pages
            .map(|name| Ok((name.clone(), std::fs::read_to_string(context.root.join(name))?)))
            .collect::<Result<_, Failure>>()?;
        let exists = |path: &str| context.root.join(path).exists();
        let findings = judge(&pages, &exists);
        if findings.is_empty() {
            return passed(format!("{} pages", pages.len()));
        }
        Err(Failure(findings.join("\n")))
    },
};

pub(crate) static RUSTDOC: Step = Step {
    name: "rustdoc",
    about: "the API documentation builds without a warning",
    rerun: "rustdoc",
    run: rustdoc,
};

pub(crate) static STEPS: &[&Step] = &[&LINKS, &RUSTDOC];

fn rustdoc(context: &Context, _: &[String]) -> Outcome {
    let call = ["doc", "--workspace", "--no-deps", "--lib", "--quiet"];
    context.cargo(&call).env("RUSTDOCFLAGS", "-D warnings").check()?;
    let crates = context.workspace.packages.iter().filter(|package| package.library().is_some());
    passed(format!("{} crates", crates.count()))
}

fn judge(pages: &BTreeMap<String, String>, exists: &dyn Fn(&str) -> bool) -> Vec<String> {
    let mut findings = Vec::new();
    for (page, text) in pages {
        for (line, link) in links(text) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { page.clone() } else { join(page, path) };
            if !exists(&target) {
                findings.push(format!(
                    "{page}:{line}: the link `{link}` leads nowhere; correct it or write the page"
                ));
            } else if !anchor.is_empty()
                && pages
                    .get(&target)
                    .is_some_and(|text| !anchors(text).contains(&anchor.to_owned()))
            {
                findings.push(format!(
                    "{page}:{line}: `{target}` has no heading `#{anchor}`; correct the link"
                ));
            }
        }
    }
    findings
}

/// Lines outside code fences, with their numbers from 1.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut inside = false;
    text.lines().enumerate().filter_map(move |(at, line)| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        (!inside && !fence).then_some((at + 1, line))
    })
}

/// The targets of `[text](target)` and `[name]: target`.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose(text) {
        // Code in backquotes is no link: every other part is inside them.
        let outside: String = line.split('`').step_by(2).collect::<Vec<_>>().join("`");
        let mut rest = outside.as_str();
        while let Some(at) = rest.find("](") {
            rest = &rest[at + 2..];
            let Some(end) = rest.find(')') else { break };
            let target = rest[..end].split_whitespace().next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>']).to_owned()));
        }
        if let Some((_, target)) = outside.split_once("]: ")
            && outside.starts_with('[')
        {
            found.push((number, target.trim().to_owned()));
        }
    }
    found
}

/// The anchors of a page's headings, spelled as the usual renderers spell them.
fn anchors(text: &str) -> Vec<String> {
    let mut made: Vec<String> = Vec::new();
    for (_, line) in prose(text) {
        let Some(heading) = line.strip_prefix('#') else { continue };
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        let slug: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
        let earlier = made.iter().filter(|other| **other == slug).count();
        made.push(if earlier == 0 { slug } else { format!("{slug}-{earlier}") });
    }
    made
}

/// The path of a link, relative to the root, from the page it stands on.
fn join(page: &str, path: &str) -> String {
    let mut parts: Vec<&str> = page.split('/').collect();
    parts.pop();
    if let Some(absolute) = path.strip_prefix('/') {
        return absolute.to_owned();
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(pages: &[(&str, &str)]) -> Vec<String> {
        let pages: BTreeMap<String, String> =
            pages.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
        judge(&pages, &|path| pages.contains_key(path) || path == "docs")
    }

    #[test]
    fn a_link_to_a_page_that_is_there_is_fine() {
        let pages = [
            ("README.md", "[a](docs/a.md#the-second) and [folder](docs) and [web](https://x.y)"),
            ("docs/a.md", "# First\n## The `second`\n[up](../README.md) [here](#first)"),
        ];
        assert!(findings(&pages).is_empty(), "{:?}", findings(&pages));
    }

    #[test]
    fn a_link_to_a_missing_page_and_to_a_missing_heading_are_found() {
        let pages = [("README.md", "\n[a](b.md)\n[c](#none)\n[d]: e.md")];
        let found = findings(&pages);
        assert_eq!(found.len(), 3);
        assert!(found[0].starts_with("README.md:2: the link `b.md` leads nowhere"));
        assert!(found[1].starts_with("README.md:3: `README.md` has no heading `#none`"));
        assert!(found[2].starts_with("README.md:4"));
    }

    #[test]
    fn code_is_not_read_as_a_link() {
        let pages = [("README.md", "`x[0](y)`\n```text\n[a](b.md)\n```\n")];
        assert!(findings(&pages).is_empty());
    }
}
