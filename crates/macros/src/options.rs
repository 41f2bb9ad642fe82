//! The words in an attribute's parentheses.

use proc_macro2::{Span, TokenStream, TokenTree};
use syn::parse::{Parse, ParseStream, Parser};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Ident, Lit, LitInt, Result, Token};

/// One `name` or `name = literal`.
struct Word {
    name: Ident,
    value: Option<Value>,
}

/// What follows a name: a literal, or else something that a macro cannot look into.
struct Value {
    literal: Option<Lit>,
    span: Span,
}

impl Parse for Word {
    fn parse(input: ParseStream<'_>) -> Result<Word> {
        let name = input.parse()?;
        let is_literal = input.parse::<Option<Token![=]>>()?.is_some();
        let mut tokens = TokenStream::new();
        while !input.is_empty() && !input.peek(Token![,]) {
            tokens.extend([input.parse::<TokenTree>()?]);
        }
        if !is_literal && tokens.is_empty() {
            return Ok(Word { name, value: None });
        }
        let span = if tokens.is_empty() { name.span() } else { tokens.span() };
        let literal = syn::parse2(tokens).ok().filter(|_| is_literal);
        Ok(Word { name, value: Some(Value { literal, span }) })
    }
}

/// Parses the words, each known to `known` and given once.
fn words(tokens: TokenStream, attribute: &str, known: &[&str]) -> Result<Vec<Word>> {
    let words = Punctuated::<Word, Token![,]>::parse_terminated.parse2(tokens)?;
    let words: Vec<Word> = words.into_iter().collect();
    for (at, word) in words.iter().enumerate() {
        if !known.iter().any(|name| word.name == name) {
            let known = known.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
            let message = format!(
                "`{}` is not an option of `#[asupersync::{attribute}]`; it takes {known}",
                word.name
            );
            return Err(Error::new(word.name.span(), message));
        }
        if words[..at].iter().any(|earlier| earlier.name == word.name) {
            let message = format!("`{}` is given twice", word.name);
            return Err(Error::new(word.name.span(), message));
        }
    }
    Ok(words)
}

impl Word {
    /// The value as a number of at least 1.
    fn count(&self, example: &str) -> Result<LitInt> {
        if let Some(Lit::Int(number)) = self.literal() {
            if number.base10_parse::<u64>().is_ok_and(|number| number > 0) {
                // Whatever type was written to it: it goes where one is known.
                return Ok(LitInt::new(number.base10_digits(), number.span()));
            }
        }
        let written =
            if self.value.is_some() && self.literal().is_none() { ", written out" } else { "" };
        let message =
            format!("`{}` wants a number of at least 1{written}, as in `{example}`", self.name);
        Err(Error::new(self.span(), message))
    }

    fn flag(&self) -> Result<()> {
        match &self.value {
            None => Ok(()),
            Some(value) => {
                let message = format!("`{0}` takes no value; write `{0}` alone", self.name);
                Err(Error::new(value.span, message))
            }
        }
    }

    fn literal(&self) -> Option<&Lit> {
        self.value.as_ref()?.literal.as_ref()
    }

    fn span(&self) -> Span {
        self.value.as_ref().map_or(self.name.span(), |value| value.span)
    }
}

/// What `#[asupersync::main(..)]` was told.
#[derive(Default)]
pub(crate) struct MainOptions {
    pub(crate) current_thread: bool,
    pub(crate) workers: Option<LitInt>,
}

impl MainOptions {
    pub(crate) fn parse(tokens: TokenStream) -> Result<MainOptions> {
        let mut options = MainOptions::default();
        for word in words(tokens, "main", &["flavor", "workers"])? {
            if word.name == "workers" {
                options.workers = Some(word.count("workers = 4")?);
                continue;
            }
            options.current_thread = match word.literal() {
                Some(Lit::Str(text)) if text.value() == "current_thread" => true,
                Some(Lit::Str(text)) if text.value() == "multi_thread" => false,
                _ => {
                    let message =
                        "`flavor` is \"multi_thread\" (the default) or \"current_thread\"";
                    return Err(Error::new(word.span(), message));
                }
            };
        }
        match &options.workers {
            Some(workers) if options.current_thread => {
                let message = "a `current_thread` runtime has no workers; leave out `workers`, or \
                               the flavor";
                Err(Error::new(workers.span(), message))
            }
            _ => Ok(options),
        }
    }
}

/// What `#[asupersync::test(..)]` was told.
#[derive(Default)]
pub(crate) struct TestOptions {
    pub(crate) seeds: Option<LitInt>,
    pub(crate) explore: bool,
    /// At most so many runs of an exploration.
    pub(crate) runs: Option<LitInt>,
    pub(crate) inject_cancel: bool,
    /// Names of faults, each a method of `asupersync::lab::Faults`.
    pub(crate) faults: Vec<Ident>,
    pub(crate) time_races: Option<LitInt>,
}

/// What `faults` can name.
const FAULTS: [&str; 4] = ["network", "files", "rare", "clock"];

impl TestOptions {
    pub(crate) fn parse(tokens: TokenStream) -> Result<TestOptions> {
        let mut options = TestOptions::default();
        let known = ["seeds", "explore", "inject_cancel", "faults", "time_races"];
        for word in words(tokens, "test", &known)? {
            match word.name.to_string().as_str() {
                "seeds" => options.seeds = Some(word.count("seeds = 100")?),
                "explore" => {
                    options.explore = true;
                    if word.value.is_some() {
                        options.runs =
                            Some(word.count("explore = 10_000` (runs at most) or `explore")?);
                    }
                }
                "faults" => options.faults = faults(&word)?,
                "time_races" => options.time_races = Some(word.count("time_races = 16")?),
                _ => {
                    word.flag()?;
                    options.inject_cancel = true;
                }
            }
        }
        Ok(options)
    }
}

/// The names in `faults = "network, files"`; all of them where there is no value.
fn faults(word: &Word) -> Result<Vec<Ident>> {
    let span = word.span();
    let known = || FAULTS.map(|name| format!("\"{name}\"")).join(", ");
    let text = match word.literal() {
        None if word.value.is_none() => FAULTS.join(","),
        Some(Lit::Str(text)) => text.value(),
        _ => {
            let message = format!(
                "`faults` wants names in quotes, as in `faults = \"network, files\"`, or nothing for \
                 all; there are {}",
                known()
            );
            return Err(Error::new(span, message));
        }
    };
    let mut names: Vec<Ident> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if !FAULTS.contains(&name) {
            let message = format!("`{name}` is no sort of faults; there are {}", known());
            return Err(Error::new(span, message));
        }
        if names.iter().any(|earlier| earlier == name) {
            return Err(Error::new(span, format!("`{name}` is given twice")));
        }
        names.push(Ident::new(name, span));
    }
    Ok(names)
}
