//! The expansions that `docs/macro-dsl.md` shows are the real ones.

use crate::expand;
use proc_macro2::{TokenStream, TokenTree};
use quote::quote;
use syn::{Item, ItemFn};

const MACROS: [&str; 6] = ["scope", "spawn", "join", "try_join", "race", "select"];

/// The tokens with every macro of ours expanded, the outer ones first.
fn expanded(tokens: TokenStream) -> TokenStream {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut out = TokenStream::new();
    let mut at = 0;
    while at < tokens.len() {
        if let [TokenTree::Ident(name), TokenTree::Punct(bang), TokenTree::Group(input), ..] =
            &tokens[at..]
        {
            let name = name.to_string();
            if bang.as_char() == '!' && MACROS.contains(&name.as_str()) {
                let input = input.stream();
                let input = quote!([::asupersync::combinator] #input);
                out.extend(expanded(expand(&name, input)));
                at += 3;
                continue;
            }
        }
        out.extend([match &tokens[at] {
            TokenTree::Group(group) => {
                let inner = expanded(group.stream());
                TokenTree::Group(proc_macro2::Group::new(group.delimiter(), inner))
            }
            other => other.clone(),
        }]);
        at += 1;
    }
    out
}

fn functions(source: &str) -> Vec<ItemFn> {
    let file = syn::parse_file(source).expect("the file parses");
    let functions = file.items.into_iter().filter_map(|item| match item {
        Item::Fn(function) => Some(function),
        _ => None,
    });
    functions.collect()
}

/// Paths in full, and how the page shortens them.
const SHORT: [(&str, &str); 7] = [
    ("::core::option::Option::", ""),
    ("::core::result::Result::", ""),
    ("::core::unreachable", "unreachable"),
    ("::asupersync::combinator::expand::Scope", "Scope"),
    ("::asupersync::combinator::expand::Error", "Error"),
    ("::asupersync::combinator::expand::any_arm(cx)", "cx.random_u64() as usize"),
    ("::asupersync::combinator::", ""),
];

/// In one layout, whoever wrote it.
fn printed(mut function: ItemFn, name: &str) -> String {
    function.sig.ident = quote::format_ident!("{name}");
    let items = vec![Item::Fn(function)];
    prettyplease::unparse(&syn::File { shebang: None, attrs: Vec::new(), items })
}

#[test]
fn the_page_shows_what_the_macros_expand_to() {
    let source = include_str!("../tests/page.rs");
    let functions = functions(source);
    let mut compared = 0;
    for used in &functions {
        let name = used.sig.ident.to_string();
        let Some(name) = name.strip_suffix("_used") else { continue };
        let shown = functions.iter().find(|f| f.sig.ident == format!("{name}_expanded"));
        let shown = printed(shown.expect("its expansion is shown").clone(), name);
        let real = syn::parse2(expanded(quote!(#used))).expect("the expansion parses");
        let mut real = printed(real, name);
        for (long, short) in SHORT {
            // The printer breaks no path between its segments.
            real = real.replace(long, short);
        }
        let real = printed(syn::parse_str(&real).expect("it still parses"), name);
        assert!(real == shown, "shown:\n{shown}\nreal:\n{real}");
        compared += 1;
    }
    assert_eq!(compared, 5);
}
