//! `spawn!`.

use crate::place::{Home, Place};
use proc_macro2::TokenStream;
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, LitStr, Result, Token};

pub(crate) struct Spawn {
    scope: Place,
    name: Option<LitStr>,
    body: Expr,
}

impl Parse for Spawn {
    fn parse(input: ParseStream<'_>) -> Result<Spawn> {
        input.parse::<Home>()?;
        let scope = Place::parse(input, "scope")?;
        let name: Option<LitStr> = input.parse()?;
        if name.is_some() {
            input.parse::<Token![,]>()?;
        }
        if input.is_empty() {
            let message = "`spawn!` takes a body: `async |cx| { .. }` or an `async fn` of `&Cx`";
            return Err(input.error(message));
        }
        let body: Expr = input.parse()?;
        if let Expr::Async(block) = &body {
            let message =
                "a task's body is a function of its own context: write `async |cx| { .. }`";
            return Err(Error::new_spanned(block.async_token, message));
        }
        input.parse::<Option<Token![,]>>()?;
        if !input.is_empty() {
            let message = "`spawn!` takes one body, with a name before it if you like: \
                           `spawn!(\"name\", body)`";
            return Err(input.error(message));
        }
        Ok(Spawn { scope, name, body })
    }
}

impl Spawn {
    pub(crate) fn expand(self) -> TokenStream {
        let Spawn { scope, name, body } = self;
        match name {
            None => quote!(#scope.spawn(#body)),
            Some(name) => quote!(#scope.spawn_named(#name, #body)),
        }
    }
}
