//! `scope!`.

use crate::place::{Home, Place};
use proc_macro2::{Ident, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Block, Error, Expr, Result, Stmt};

pub(crate) struct Scope {
    home: Home,
    context: Place,
    name: Ident,
    body: Vec<Stmt>,
}

impl Parse for Scope {
    fn parse(input: ParseStream<'_>) -> Result<Scope> {
        let home = input.parse()?;
        let context = Place::parse(input, "cx")?;
        let name = Place::name(input, "scope");
        let body = Block::parse_within(input)?;
        if let Some(Stmt::Expr(value, None)) = body.last() {
            refuse_result(value)?;
        }
        Ok(Scope { home, context, name, body })
    }
}

fn refuse_result(value: &Expr) -> Result<()> {
    let Expr::Call(call) = value else { return Ok(()) };
    let Expr::Path(function) = &*call.func else { return Ok(()) };
    let is = |name| function.path.segments.last().is_some_and(|last| last.ident == name);
    if is("Ok") {
        let message = "the value of `scope!` is its last expression, without `Ok(..)`";
        return Err(Error::new(value.span(), message));
    }
    if is("Err") {
        let message =
            "the value of `scope!` is its last expression; to fail write `return Err(..)`";
        return Err(Error::new(value.span(), message));
    }
    Ok(())
}

impl Scope {
    pub(crate) fn expand(self) -> TokenStream {
        let Scope { home, context, name, body } = self;
        quote! {
            #context
                .region(async |#name: &#home::expand::Scope<#home::expand::Error, _>| {
                    let _ = #name;
                    ::core::result::Result::Ok::<_, #home::expand::Error>({ #(#body)* })
                })
                .await
        }
    }
}
