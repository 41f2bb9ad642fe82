//! Public asynchronous functions and kernel waits, from the text of a crate.

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens;
use std::collections::{BTreeMap, BTreeSet};
use syn::{Attribute, ImplItem, Item, ReturnType, Signature, TraitItem, Visibility};

/// What was found in the files read so far.
#[derive(Debug, Default)]
pub(super) struct Source {
    found: Vec<Found>,
    /// Types that are public somewhere in a crate: `crate::Type`.
    public: BTreeSet<(String, String)>,
    /// Types with `impl Future`, each with its module: a function that returns one is asynchronous.
    futures: BTreeSet<(String, String)>,
    /// How often each name is declared.
    declared: BTreeMap<String, usize>,
    /// `poll` functions of public types: they may be listed, and need not be.
    polled: Vec<Found>,
    waits: BTreeSet<String>,
}

/// A function, and what decides whether it counts.
#[derive(Debug)]
struct Found {
    name: String,
    /// Whose crate, and the type it belongs to, if any.
    of: Option<(String, String)>,
    /// The type it returns by name; none when it is asynchronous by its signature.
    returns: Option<String>,
    /// Its documentation says what a cancelled call loses.
    says: bool,
}

/// The heading under which documentation says it.
const HEADING: &str = "# Cancel safety";

impl Source {
    /// Reads the file at `path` (without `.rs`, below `src/`) of a crate.
    pub(super) fn read(&mut self, krate: &str, path: &str, text: &str) -> Result<(), String> {
        let file = syn::parse_file(text).map_err(|error| error.to_string())?;
        let path = path.strip_suffix("/main").unwrap_or(path);
        let mut module = krate.to_owned();
        if path != "lib" {
            module = format!("{krate}::{}", path.replace('/', "::"));
        }
        self.items(krate, &module, &file.items);
        Ok(())
    }

    /// The asynchronous ones, without repetition.
    pub(super) fn functions(&self) -> impl Iterator<Item = String> {
        let counts = |found: &&Found| {
            self.is_public(found)
                && found.returns.as_ref().is_none_or(|name| self.is_future(found, name))
        };
        let names: BTreeSet<String> =
            self.found.iter().filter(counts).map(|found| found.name.clone()).collect();
        names.into_iter()
    }

    /// Those that are asynchronous by their signature and whose documentation does not say what a cancelled
    /// call loses. (Those that return a future by name say it there.)
    pub(super) fn silent(&self) -> impl Iterator<Item = &str> {
        let silent = |found: &&Found| !found.says && found.returns.is_none();
        let silent = self.found.iter().filter(silent);
        silent.filter(|found| self.is_public(found)).map(|found| &*found.name)
    }

    /// The `poll` functions of public types.
    pub(super) fn polled(&self) -> impl Iterator<Item = &str> {
        self.polled.iter().filter(|found| self.is_public(found)).map(|found| &*found.name)
    }

    /// The labels of kernel waits.
    pub(super) fn waits(&self) -> impl Iterator<Item = &str> {
        self.waits.iter().map(|label| &**label)
    }

    /// Whether the function returns a future by name. A name that is declared in several places means the
    /// one of the function's own module.
    fn is_future(&self, found: &Found, name: &str) -> bool {
        let several = self.declared.get(name).is_some_and(|times| *times > 1);
        let own = |module: &str| found.name.starts_with(&format!("{module}::"));
        self.futures.iter().any(|(module, other)| other == name && (!several || own(module)))
    }

    fn is_public(&self, found: &Found) -> bool {
        found.of.as_ref().is_none_or(|of| self.public.contains(of))
    }

    fn items(&mut self, krate: &str, module: &str, items: &[Item]) {
        for item in items {
            if is_test(item) {
                continue;
            }
            match item {
                Item::Mod(inner) => {
                    if let Some((_, items)) = &inner.content {
                        self.items(krate, &format!("{module}::{}", inner.ident), items);
                    }
                    continue;
                }
                Item::Struct(item) => self.publish(krate, &item.vis, item.ident.to_string()),
                Item::Enum(item) => self.publish(krate, &item.vis, item.ident.to_string()),
                Item::Fn(item) if is_pub(&item.vis) => {
                    let name = format!("{module}::{}", item.sig.ident);
                    self.function(name, None, &item.sig, &item.attrs);
                }
                Item::Trait(item) if is_pub(&item.vis) => {
                    for inner in &item.items {
                        // Without a body it is for others to write.
                        if let TraitItem::Fn(method) = inner {
                            if method.default.is_some() && !is_hook(&item.ident.to_string()) {
                                let name =
                                    format!("{module}::{}::{}", item.ident, method.sig.ident);
                                self.function(name, None, &method.sig, &method.attrs);
                            }
                        }
                    }
                }
                Item::Impl(item) => self.implementation(krate, module, item),
                Item::Macro(item) => {
                    if let Some(name) = &item.ident {
                        let module = format!("{module}::{name}");
                        self.tokens(&module, item.mac.tokens.clone());
                    }
                    // `pin_project! { pub struct .. }` and the like.
                    self.published_tokens(krate, item.mac.tokens.clone());
                }
                _ => {}
            }
            self.labels(item.to_token_stream());
        }
    }

    fn implementation(&mut self, krate: &str, module: &str, item: &syn::ItemImpl) {
        let Some(name) = type_name(&item.self_ty) else { return };
        let of = Some((krate.to_owned(), name.clone()));
        if let Some((_, path, _)) = &item.trait_ {
            let of_trait = path.segments.last().map(|segment| segment.ident.to_string());
            let poll = match of_trait.as_deref() {
                Some("Future") => {
                    self.futures.insert((module.to_owned(), name.clone()));
                    "poll"
                }
                Some("Stream") => "poll_next",
                Some("Sink") => "poll_ready",
                _ => return,
            };
            let name = format!("{module}::{name}::{poll}");
            self.polled.push(Found { name, of, returns: None, says: true });
            return;
        }
        for inner in &item.items {
            if let ImplItem::Fn(method) = inner {
                if is_pub(&method.vis) {
                    let name = format!("{module}::{name}::{}", method.sig.ident);
                    self.function(name, of.clone(), &method.sig, &method.attrs);
                }
            }
        }
    }

    fn function(
        &mut self,
        name: String,
        of: Option<(String, String)>,
        sig: &Signature,
        attributes: &[Attribute],
    ) {
        let says = attributes.iter().any(|attribute| {
            attribute.path().is_ident("doc")
                && attribute.to_token_stream().to_string().contains(HEADING)
        });
        if sig.asyncness.is_some() {
            self.found.push(Found { name, of, returns: None, says });
            return;
        }
        let ReturnType::Type(_, returned) = &sig.output else { return };
        let text = returned.to_token_stream().to_string();
        if text.starts_with("impl") && has_word(&text, "Future") {
            self.found.push(Found { name, of, returns: None, says });
        } else if let Some(returns) = type_name(returned) {
            // A constructor is no operation.
            if of.as_ref().is_none_or(|(_, own)| *own != returns) && returns != "Self" {
                self.found.push(Found { name, of, returns: Some(returns), says });
            }
        }
    }

    /// Functions in a macro's body: `pub fn NAME .. -> impl Future ..` before the body's braces.
    fn tokens(&mut self, module: &str, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for (at, token) in tokens.iter().enumerate() {
            if let TokenTree::Group(group) = token {
                self.tokens(module, group.stream());
            }
            let [
                TokenTree::Ident(vis),
                TokenTree::Ident(keyword),
                TokenTree::Ident(name),
                rest @ ..,
            ] = &tokens[at..]
            else {
                continue;
            };
            if vis != "pub" || keyword != "fn" {
                continue;
            }
            let brace = |token: &&TokenTree| !matches!(token, TokenTree::Group(group) if group.delimiter() == Delimiter::Brace);
            let head: TokenStream = rest.iter().take_while(brace).cloned().collect();
            let head = head.to_string();
            if has_word(&head, "impl") && has_word(&head, "Future") {
                let name = format!("{module}::{name}");
                let says = tokens[..at].iter().any(|token| token.to_string().contains(HEADING));
                self.found.push(Found { name, of: None, returns: None, says });
            }
        }
    }

    fn published_tokens(&mut self, krate: &str, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        for window in tokens.windows(3) {
            if let [TokenTree::Ident(vis), TokenTree::Ident(kind), TokenTree::Ident(name)] = window
            {
                if vis == "pub" && (kind == "struct" || kind == "enum") {
                    self.public.insert((krate.to_owned(), name.to_string()));
                }
            }
        }
    }

    fn publish(&mut self, krate: &str, vis: &Visibility, name: String) {
        *self.declared.entry(name.clone()).or_default() += 1;
        if is_pub(vis) {
            self.public.insert((krate.to_owned(), name));
        }
    }

    /// The literals among the arguments of calls that wait.
    fn labels(&mut self, tokens: TokenStream) {
        let mut waits = false;
        for token in tokens {
            if let TokenTree::Group(group) = &token {
                if waits && group.delimiter() == Delimiter::Parenthesis {
                    let literals = group.stream().into_iter().filter_map(|token| match token {
                        TokenTree::Literal(literal) => {
                            syn::parse_str::<syn::LitStr>(&literal.to_string()).ok()
                        }
                        _ => None,
                    });
                    self.waits.extend(literals.take(1).map(|literal| literal.value()));
                }
                self.labels(group.stream());
            }
            waits = matches!(&token, TokenTree::Ident(name)
                if ["wait", "wait_at", "take_in_turn"].iter().any(|call| name == call));
        }
    }
}

/// Traits whose methods users write, with bodies that only stand in.
fn is_hook(name: &str) -> bool {
    name == "Maker"
}

fn is_pub(vis: &Visibility) -> bool {
    matches!(vis, Visibility::Public(_))
}

fn is_test(item: &Item) -> bool {
    let attributes = match item {
        Item::Mod(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        _ => return false,
    };
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && has_word(&attribute.to_token_stream().to_string(), "test")
    })
}

fn type_name(of: &syn::Type) -> Option<String> {
    match of {
        syn::Type::Path(path) => path.path.segments.last().map(|segment| segment.ident.to_string()),
        _ => None,
    }
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|other| other == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, functions: &[&str], waits: &[&str]) {
        let mut source = Source::default();
        source.read("a", "b/c", text).unwrap();
        assert_eq!(source.functions().collect::<Vec<_>>(), functions);
        assert_eq!(source.waits().collect::<Vec<_>>(), waits);
    }

    #[test]
    fn asynchronous_by_keyword_by_impl_and_by_the_named_future_they_return() {
        let text = "
            pub struct Nap;
            impl Future for Nap { type Output = (); fn poll() {} }
            pub async fn one() {}
            pub fn two(f: impl FnOnce()) -> impl Future<Output = ()> { f() }
            pub fn three() -> Nap { Nap }
            pub fn plain(f: impl Future) -> usize { 1 }
            async fn private() {}
            pub(crate) async fn ours() {}";
        check(text, &["a::b::c::one", "a::b::c::three", "a::b::c::two"], &[]);
    }

    #[test]
    fn documentation_that_does_not_say_what_a_cancelled_call_loses_is_found() {
        let text = "
            /// Told.\n///\n/// # Cancel safety\n/// Nothing is lost.
            pub async fn told() {}
            /// Not told.
            pub async fn silent() {}
            /// Does not wait.
            pub fn plain() {}";
        let mut source = Source::default();
        source.read("a", "b", text).unwrap();
        assert_eq!(source.silent().collect::<Vec<_>>(), ["a::b::silent"]);
    }

    #[test]
    fn methods_of_public_types_and_bodies_of_public_traits() {
        let text = "
            pub struct Open; struct Shut;
            impl Open { pub async fn go(&self) {} pub fn new() -> Open { Open } }
            impl Shut { pub async fn go(&self) {} }
            pub trait Ext { fn read(&self) -> impl Future<Output = ()> { async {} } async fn theirs(); }";
        check(text, &["a::b::c::Ext::read", "a::b::c::Open::go"], &[]);
    }

    #[test]
    fn functions_in_macros_and_waits_wherever_they_stand() {
        let text = r#"
            macro_rules! reading { ($n:ident) => { impl $n {
                pub fn next<'a>(&'a self) -> impl Future<Output = ()> { cx.wait_at("in macro", s, f) }
            } } }
            fn inside() { self.slots.take_in_turn(cx, 1, "third", site); let _ = cx.wait("first", f); }
            #[cfg(test)] mod tests { fn t() { cx.wait("of a test", f); } }"#;
        check(text, &["a::b::c::reading::next"], &["first", "in macro", "third"]);
    }
}
