//! What every expansion needs to know: the crate it names, and the context it uses.

use proc_macro2::{Delimiter, Group, Ident, TokenStream};
use quote::{ToTokens, quote};
use syn::parse::{Parse, ParseStream};
use syn::{Expr, Result, Token};

/// The first tokens of an input, `[crate path]`, which `macro_rules!` in `combinator` put in front of
/// what the user wrote: only `$crate` there always finds the crate.
pub(crate) struct Home(TokenStream);

impl Parse for Home {
    fn parse(input: ParseStream<'_>) -> Result<Home> {
        let group: Group = input.parse()?;
        if group.delimiter() != Delimiter::Bracket {
            return Err(syn::Error::new(group.span(), "call this macro by its public name"));
        }
        Ok(Home(group.stream()))
    }
}

impl ToTokens for Home {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        self.0.to_tokens(tokens);
    }
}

/// The variable that an expansion uses: what `in expression;` says, or else the one of the usual name.
pub(crate) struct Place {
    pub(crate) given: Option<Expr>,
    usual: Ident,
}

impl Place {
    /// `usual` stands for the user's variable, so it resolves where the first token of the input does,
    /// and a complaint that there is none points there: the call's own span lies in `macro_rules!`.
    pub(crate) fn parse(input: ParseStream<'_>, usual: &str) -> Result<Place> {
        let usual = Ident::new(usual, input.span());
        if input.parse::<Option<Token![in]>>()?.is_none() {
            return Ok(Place { given: None, usual });
        }
        let given = input.parse()?;
        input.parse::<Token![;]>()?;
        Ok(Place { given: Some(given), usual })
    }

    /// A name of the macro's own choosing that the user's code can see.
    pub(crate) fn name(input: ParseStream<'_>, name: &str) -> Ident {
        Ident::new(name, input.span())
    }
}

impl ToTokens for Place {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match &self.given {
            None => self.usual.to_tokens(tokens),
            Some(Expr::Path(path)) => path.to_tokens(tokens),
            Some(given) => tokens.extend(quote!((#given))),
        }
    }
}
