//! A scanner that knows Rust's comments, strings and character literals and nothing else: enough
//! to tell code from what only looks like it.

/// What a stretch of source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

/// The source with the inside of comments and of string and character literals turned to blanks.
/// Line breaks and byte offsets stay; the quotes stay too.
pub(super) fn code(source: &str) -> String {
    blank(source, |part| part == Part::Code)
}

/// The source with everything but its comments turned to blanks.
pub(super) fn comments(source: &str) -> String {
    blank(source, |part| part == Part::Comment)
}

/// The text inside each string literal, with the line it starts on.
pub(super) fn strings(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    walk(source, |part, from, to| {
        if part == Part::Literal {
            found.push((source[..from].matches('\n').count() + 1, &source[from..to]));
        }
    });
    found
}

/// The identifiers and single marks of blanked source, each with its byte offset.
pub(super) fn tokens(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let bytes = code.as_bytes();
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80;
    let mut at = 0;
    while at < bytes.len() {
        let start = at;
        if word(bytes[at]) {
            while at < bytes.len() && word(bytes[at]) {
                at += 1;
            }
        } else {
            at += 1;
            if bytes[start].is_ascii_whitespace() {
                continue;
            }
        }
        found.push((start, &code[start..at]));
    }
    found
}

fn blank(source: &str, keep: impl Fn(Part) -> bool) -> String {
    let mut bytes = vec![b' '; source.len()];
    for (at, byte) in source.bytes().enumerate() {
        if byte == b'\n' {
            bytes[at] = byte;
        }
    }
    walk(source, |part, from, to| {
        if keep(part) {
            bytes[from..to].copy_from_slice(&source.as_bytes()[from..to]);
        }
    });
    // Parts begin and end at ASCII marks, so no character is cut.
    String::from_utf8(bytes).unwrap_or_default()
}

fn walk(source: &str, mut tell: impl FnMut(Part, usize, usize)) {
    let bytes = source.as_bytes();
    let find = |from: usize, mark: &str| source[from..].find(mark).map(|at| from + at);
    let (mut at, mut code_from) = (0, 0);
    while at < bytes.len() {
        let rest = &bytes[at..];
        if rest.starts_with(b"//") {
            tell(Part::Code, code_from, at);
            let end = find(at, "\n").unwrap_or(bytes.len());
            tell(Part::Comment, at, end);
            (at, code_from) = (end, end);
        } else if rest.starts_with(b"/*") {
            tell(Part::Code, code_from, at);
            let end = block_comment(bytes, at);
            tell(Part::Comment, at, end);
            (at, code_from) = (end, end);
        } else if let Some(hashes) = raw_string(bytes, at) {
            let open = find(at, "\"").unwrap_or(bytes.len()) + 1;
            let close = format!("\"{}", "#".repeat(hashes));
            let end = find(open.min(bytes.len()), &close).unwrap_or(bytes.len());
            tell(Part::Code, code_from, open.min(bytes.len()));
            tell(Part::Literal, open.min(end), end);
            (at, code_from) = ((end + close.len()).min(bytes.len()), end);
        } else if rest[0] == b'"' {
            tell(Part::Code, code_from, at + 1);
            let mut end = at + 1;
            while end < bytes.len() && bytes[end] != b'"' {
                end += if bytes[end] == b'\\' { 2 } else { 1 };
            }
            let end = end.min(bytes.len());
            tell(Part::Literal, at + 1, end);
            (at, code_from) = ((end + 1).min(bytes.len()), end);
        } else if rest[0] == b'\'' {
            match char_literal(source, at) {
                Some(end) => {
                    tell(Part::Code, code_from, at + 1);
                    (at, code_from) = (end, end - 1);
                }
                // A lifetime or a label.
                None => at += 1,
            }
        } else {
            at += 1;
        }
    }
    tell(Part::Code, code_from, bytes.len());
}

fn block_comment(bytes: &[u8], from: usize) -> usize {
    let (mut depth, mut at) = (0, from);
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

/// How many `#` a raw string that starts here has; `None` when none starts here.
fn raw_string(bytes: &[u8], at: usize) -> Option<usize> {
    let inside_word = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let prefix = [&b"br"[..], b"cr", b"r"].into_iter().find(|p| bytes[at..].starts_with(p))?;
    let after = &bytes[at + prefix.len()..];
    let hashes = after.iter().take_while(|byte| **byte == b'#').count();
    (!inside_word && after.get(hashes) == Some(&b'"')).then_some(hashes)
}

/// The end of a character literal that starts here.
fn char_literal(source: &str, at: usize) -> Option<usize> {
    let mut inside = source[at + 1..].char_indices();
    let (_, first) = inside.next()?;
    if first == '\\' {
        inside.next()?;
        return source[at + 3..].find('\'').map(|end| at + 3 + end + 1);
    }
    let (end, quote) = inside.next()?;
    (quote == '\'').then_some(at + 1 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_strings_and_characters_are_blanked_and_offsets_stay() {
        let source = "a /* b /* c */ d */ \"e\\\"f\" 'g' '\\'' r#\"h\"i\"# 'life // j\nk";
        let kept = code(source);
        assert_eq!(kept.len(), source.len());
        assert_eq!(
            kept.split_whitespace().collect::<Vec<_>>().join(" "),
            "a \" \" ' ' ' ' r#\" \"# 'life k"
        );
        assert_eq!(kept.find('k'), source.find('k'));
    }

    #[test]
    fn what_is_not_ascii_survives() {
        assert_eq!(code("let é = 1; // ü").trim(), "let é = 1;");
        assert_eq!(comments("x // ü").trim(), "// ü");
    }

    #[test]
    fn strings_are_told_with_their_lines() {
        assert_eq!(
            strings("x\n\"one\" r\"two\"\n'c' b\"three\""),
            [(2, "one"), (2, "two"), (3, "three")]
        );
    }

    #[test]
    fn tokens_are_words_and_marks() {
        let words: Vec<&str> = tokens("mod a_b{x!}").into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, ["mod", "a_b", "{", "x", "!", "}"]);
    }
}
