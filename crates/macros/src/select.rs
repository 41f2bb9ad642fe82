//! `select!`.

mod pattern;

use crate::branches::MOST;
use crate::place::{Home, Place};
use pattern::{is_irrefutable, without_bindings};
use proc_macro2::{Ident, Span, TokenStream};
use quote::quote;
use syn::parse::{Parse, ParseStream};
use syn::{Error, Expr, Pat, Result, Token};

mod word {
    syn::custom_keyword!(biased);
}

pub(crate) struct Select {
    home: Home,
    context: Place,
    biased: bool,
    arms: Vec<Arm>,
    otherwise: Option<Expr>,
}

struct Arm {
    pattern: Pat,
    future: Expr,
    condition: Option<Expr>,
    handler: Expr,
}

impl Parse for Select {
    fn parse(input: ParseStream<'_>) -> Result<Select> {
        let home = input.parse()?;
        let context = Place::parse(input, "cx")?;
        let biased = input.peek(word::biased) && input.peek2(Token![;]);
        if biased {
            input.parse::<word::biased>()?;
            input.parse::<Token![;]>()?;
        }
        let mut arms = Vec::new();
        let mut otherwise = None;
        while !input.is_empty() {
            if otherwise.is_some() {
                return Err(input.error("`else` is the last arm of `select!`, and there is one"));
            }
            if input.parse::<Option<Token![else]>>()?.is_some() {
                otherwise = Some(handler(input)?);
                continue;
            }
            if arms.len() == MOST {
                let message = "`select!` takes at most eight futures";
                return Err(input.error(message));
            }
            arms.push(input.parse::<Arm>()?);
        }
        if arms.is_empty() {
            let message = "`select!` takes one to eight arms: `pattern = future => value`";
            return Err(Error::new(Span::call_site(), message));
        }
        if otherwise.is_none() && !arms.iter().any(Arm::always_wins) {
            let message = "each arm of this `select!` can be ruled out, by its pattern or its `if`; \
                           say what happens then: `else => value`";
            return Err(Error::new(Span::call_site(), message));
        }
        Ok(Select { home, context, biased, arms, otherwise })
    }
}

impl Parse for Arm {
    fn parse(input: ParseStream<'_>) -> Result<Arm> {
        let start = input.span();
        let wanted = "an arm is `pattern = future => value`; a future whose value is not needed is \
                      `_ = future => value`";
        let pattern = match Pat::parse_multi_with_leading_vert(input) {
            Ok(pattern) if input.peek(Token![=]) && !input.peek(Token![=>]) => pattern,
            _ => return Err(Error::new(start, wanted)),
        };
        input.parse::<Token![=]>()?;
        let future = input.parse()?;
        let condition = if input.peek(Token![,]) && input.peek2(Token![if]) {
            input.parse::<Token![,]>()?;
            input.parse::<Token![if]>()?;
            Some(input.parse()?)
        } else if input.peek(Token![if]) {
            return Err(input
                .error("a condition follows a comma: `pattern = future, if condition => value`"));
        } else {
            None
        };
        if !input.peek(Token![=>]) {
            return Err(input.error("the arm has no value: `pattern = future => value`"));
        }
        Ok(Arm { pattern, future, condition, handler: handler(input)? })
    }
}

/// `=> expression`, and the comma behind it, which a block can do without.
fn handler(input: ParseStream<'_>) -> Result<Expr> {
    input.parse::<Token![=>]>()?;
    let handler = Expr::parse_with_earlier_boundary_rule(input)?;
    let is_block = matches!(
        handler,
        Expr::Block(_)
            | Expr::ForLoop(_)
            | Expr::If(_)
            | Expr::Loop(_)
            | Expr::Match(_)
            | Expr::Unsafe(_)
            | Expr::While(_)
    );
    let comma: Option<Token![,]> = input.parse()?;
    if comma.is_none() && !is_block && !input.is_empty() {
        return Err(input.error("a comma goes between the arms of `select!`"));
    }
    Ok(handler)
}

impl Arm {
    fn always_wins(&self) -> bool {
        self.condition.is_none() && is_irrefutable(&self.pattern)
    }

    /// The arm's future, which answers `Some` when the arm wins. `open` is the name of its condition.
    fn branch(&self, variant: &Ident, open: &Ident) -> TokenStream {
        let future = Ident::new("future", Span::mixed_site());
        let value = Ident::new("value", Span::mixed_site());
        let some = quote!(::core::option::Option::Some);
        let none = quote!(::core::option::Option::None);
        let answer = if is_irrefutable(&self.pattern) {
            quote!(#some(__Winner::#variant(#future.await)))
        } else {
            let shape = without_bindings(&self.pattern);
            quote!({
                let #value = #future.await;
                match #value {
                    #shape => #some(__Winner::#variant(#value)),
                    _ => #none,
                }
            })
        };
        let expression = &self.future;
        // A `match` and not a `let`, so that what the expression borrows lives as long as the race.
        match self.condition {
            None => quote!(match #expression {
                #future => async move { #answer }
            }),
            Some(_) => quote!(match if #open { #some(#expression) } else { #none } {
                #future => async move {
                    match #future {
                        #some(#future) => #answer,
                        #none => #none,
                    }
                }
            }),
        }
    }
}

impl Select {
    pub(crate) fn expand(self) -> TokenStream {
        let Select { home, context, biased, arms, otherwise } = self;
        let variants: Vec<Ident> = ('A'..)
            .take(arms.len())
            .map(|letter| Ident::new(&letter.to_string(), Span::mixed_site()))
            .collect();
        let name = |text: &str| Ident::new(text, Span::mixed_site());
        let opens: Vec<Ident> = (0..arms.len()).map(|at| name(&format!("open_{at}"))).collect();
        let winner = name("winner");
        let value = name("value");
        let cancelled = name("cancelled");
        let (ok, err) = (quote!(::core::result::Result::Ok), quote!(::core::result::Result::Err));
        let some = quote!(::core::option::Option::Some);
        let none = quote!(::core::option::Option::None);

        let conditions = arms.iter().zip(&opens).filter_map(|(arm, open)| {
            let condition = arm.condition.as_ref()?;
            Some(quote!(let #open: bool = #condition;))
        });
        // An expression for the context is evaluated once.
        let own = name("context");
        let (bound, context) = match &context.given {
            Some(given) => (quote!(let #own = #given;), quote!(#own)),
            None => (TokenStream::new(), quote!(#context)),
        };
        let first = if biased { quote!(0) } else { quote!(#home::expand::any_arm(#context)) };
        let branches = arms
            .iter()
            .zip(variants.iter().zip(&opens))
            .map(|(arm, (variant, open))| arm.branch(variant, open));
        let wins = arms.iter().zip(&variants).map(|(arm, variant)| {
            let Arm { pattern, handler, .. } = arm;
            let other = (!is_irrefutable(pattern)).then(|| quote! {
                #some(__Winner::#variant(_)) => ::core::unreachable!("what won has the pattern's shape"),
            });
            quote! {
                #some(__Winner::#variant(#pattern)) => #handler,
                #other
            }
        });
        let otherwise = match otherwise {
            Some(otherwise) => quote!(#otherwise),
            None => quote!(::core::unreachable!("an arm without a condition is never ruled out")),
        };
        quote!({
            enum __Winner<#(#variants),*> {
                #(#variants(#variants)),*
            }
            #bound
            #(#conditions)*
            let #winner = #home::race_some(#context, #first, (#(#branches,)*)).await;
            match #winner {
                #ok(#winner) => {
                    let #value = match #winner {
                        #(#wins)*
                        #none => #otherwise,
                    };
                    #[allow(unreachable_code, reason = "every arm may leave")]
                    let #value = #ok(#value);
                    #value
                }
                #err(#cancelled) => #err(#cancelled),
            }
        })
    }
}
