//! A trace as text: one line an event, the same bytes for the same trace.

use crate::event::Event;
use crate::reader::Trace;
use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// A name or message as it can stand in a line of text: what would end the line, drive the terminal, turn the
/// direction of writing or not be seen is written as an escape, `\u{202e}` say. Quotes and backslashes stay.
#[must_use]
pub fn plain(text: &str) -> Cow<'_, str> {
    let stays = |c: char| matches!(c, '\'' | '"' | '\\') || c.escape_debug().len() == 1;
    if text.chars().all(stays) {
        return Cow::Borrowed(text);
    }
    let shown = |c: char| if stays(c) { c.to_string() } else { c.escape_debug().to_string() };
    Cow::Owned(text.chars().map(shown).collect())
}

/// A text as a shell reads it as one word.
#[must_use]
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

impl Trace {
    /// Every event on a line of its own, numbered from 0, after a line for the header.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut text = format!("trace of seed {}", self.header().seed);
        for (name, value) in &self.header().options {
            write!(text, ", {} {}", plain(name), plain(value))
                .expect("writing to a string cannot fail");
        }
        text.push('\n');
        for (index, event) in self.events().iter().enumerate() {
            writeln!(text, "{index:>6}  {}", self.line(event))
                .expect("writing to a string cannot fail");
        }
        text
    }

    /// One event in words: its name and its fields.
    #[must_use]
    pub fn line<'a>(&'a self, event: &'a Event) -> impl fmt::Display + 'a {
        Line { trace: self, event }
    }
}

struct Line<'a> {
    trace: &'a Trace,
    event: &'a Event,
}

impl fmt::Display for Line<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.show(self.trace.tables(), f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_for_a_shell_is_one_word_whatever_is_in_it() {
        assert_eq!(shell_word("/tmp/a-b.pack"), "/tmp/a-b.pack");
        assert_eq!(shell_word("/tmp/it's $HOME"), r"'/tmp/it'\''s $HOME'");
        assert_eq!(shell_word(""), "''");
    }

    #[test]
    fn what_stands_in_a_line_neither_ends_it_nor_drives_the_terminal() {
        assert!(matches!(plain("it's a \"näme\" \\ 名"), Cow::Borrowed(_)));
        let hostile = "a\nb\r\u{1b}[2J\u{202e}c\u{2028}\u{200b}\0";
        assert_eq!(plain(hostile), "a\\nb\\r\\u{1b}[2J\\u{202e}c\\u{2028}\\u{200b}\\0");
    }
}
