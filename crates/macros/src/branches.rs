//! `join!`, `try_join!` and `race!`: a tuple of branches.

use crate::place::{Home, Place};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::{Error, Expr, Result, Token};

/// The combinators' tuples hold so many.
pub(crate) const MOST: usize = 8;

pub(crate) struct Branches {
    home: Home,
    context: Place,
    branches: Vec<Expr>,
}

impl Parse for Branches {
    fn parse(input: ParseStream<'_>) -> Result<Branches> {
        let home = input.parse()?;
        let context = Place::parse(input, "cx")?;
        let branches = Punctuated::<Expr, Token![,]>::parse_terminated(input)?;
        for branch in &branches {
            if let Expr::Closure(closure) = branch {
                let message = "a branch is a future, not a closure: write `async { .. }`";
                return Err(Error::new_spanned(closure.or1_token, message));
            }
        }
        Ok(Branches { home, context, branches: branches.into_iter().collect() })
    }
}

impl Branches {
    /// `function` is the macro's name and the function's.
    pub(crate) fn expand(self, function: &str) -> Result<TokenStream> {
        let Branches { home, context, branches } = self;
        if branches.is_empty() {
            let message = format!("`{function}!` takes one to eight futures");
            return Err(Error::new(Span::call_site(), message));
        }
        if let Some(ninth) = branches.get(MOST) {
            let message = format!(
                "`{function}!` takes at most eight futures; for a list of one type there is `{function}_all`"
            );
            return Err(Error::new_spanned(ninth, message));
        }
        let name = Ident::new(function, Span::call_site());
        if function == "join" {
            return Ok(quote! {
                #home::join(#context, (#(#home::into_branch(#context, #branches),)*)).await
            });
        }
        Ok(quote!(#home::#name(#context, (#(#branches,)*)).await))
    }
}
