//! The function that an attribute stands on.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{Error, FnArg, Ident, ItemFn, Result, ReturnType, Type};

/// An `async fn name(cx: &Cx) -> Result<..>`, checked.
pub(crate) struct Function {
    pub(crate) item: ItemFn,
}

impl Function {
    pub(crate) fn parse(tokens: TokenStream, attribute: &str) -> Result<Function> {
        let item: ItemFn = syn::parse2(tokens).map_err(|error| {
            let message = format!(
                "`#[asupersync::{attribute}]` stands on a function: `async fn name(cx: &Cx) -> \
                 Result<(), Error>`"
            );
            Error::new(error.span(), message)
        })?;
        let signature = &item.sig;
        if signature.asyncness.is_none() {
            let message = format!("`{}` must be async: write `async fn`", signature.ident);
            return Err(Error::new(signature.fn_token.span(), message));
        }
        if let Some(keyword) = &signature.unsafety {
            let message =
                "the function is called by the runtime, which can promise nothing: remove `unsafe`";
            return Err(Error::new(keyword.span(), message));
        }
        if !signature.generics.params.is_empty() {
            let message = "the function is called by the runtime and cannot be generic";
            return Err(Error::new(signature.generics.span(), message));
        }
        check_parameters(&item)?;
        Ok(Function { item })
    }

    /// Whether it returns nothing, which stands for `Ok(())`.
    pub(crate) fn returns_nothing(&self) -> bool {
        match &self.item.sig.output {
            ReturnType::Default => true,
            ReturnType::Type(_, ty) => {
                matches!(&**ty, Type::Tuple(tuple) if tuple.elems.is_empty())
            }
        }
    }

    /// The name of the task body to hand to the host, and the function that makes one of a
    /// function that returns nothing.
    pub(crate) fn body(&self) -> (Ident, TokenStream) {
        let name = &self.item.sig.ident;
        if !self.returns_nothing() {
            return (name.clone(), TokenStream::new());
        }
        // Another name than the function's, whatever that is.
        let adapter_name = quote::format_ident!("{name}_returning_ok");
        let adapter = quote! {
            async fn #adapter_name(
                cx: &::asupersync::Cx,
            ) -> ::core::result::Result<(), ::asupersync::Error> {
                #name(cx).await;
                ::core::result::Result::Ok(())
            }
        };
        (adapter_name, adapter)
    }
}

fn check_parameters(item: &ItemFn) -> Result<()> {
    let wanted = "the function takes one parameter, the context: `cx: &Cx`";
    let inputs = &item.sig.inputs;
    let Some(first) = inputs.first() else {
        return Err(Error::new(item.sig.paren_token.span.join(), wanted));
    };
    if let Some(second) = inputs.iter().nth(1) {
        return Err(Error::new(second.span(), wanted));
    }
    match first {
        FnArg::Receiver(receiver) => {
            Err(Error::new(receiver.span(), format!("a method cannot be run by itself: {wanted}")))
        }
        FnArg::Typed(parameter) => match &*parameter.ty {
            Type::Reference(reference) if reference.mutability.is_none() => Ok(()),
            other => {
                let message = "the context is borrowed, not owned: write `cx: &Cx`";
                Err(Error::new(other.span(), message))
            }
        },
    }
}

/// An attribute that makes no sense beside ours.
pub(crate) fn refuse_attribute(function: &Function, name: &str, message: &str) -> Result<()> {
    let found = function.item.attrs.iter().find(|attribute| attribute.path().is_ident(name));
    found.map_or(Ok(()), |attribute| Err(Error::new(attribute.span(), message)))
}

/// The error as `compile_error!`, beside a function of the same name that holds what was written: no
/// second error about a missing `main`, and no warning about imports that only the body uses.
pub(crate) fn report(error: &Error, item: TokenStream) -> TokenStream {
    let error = error.to_compile_error();
    let item = syn::parse2::<ItemFn>(item).map_or_else(
        |_| TokenStream::new(),
        |mut item| {
            item.attrs.clear();
            let name = &item.sig.ident;
            quote! {
                #[allow(unused, reason = "kept only so that its imports are used")]
                fn #name() { #item }
            }
        },
    );
    quote!(#error #item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_cannot_promise_is_not_asked_of_it() {
        let tokens = "async unsafe fn f(cx: &Cx) {}".parse().expect("these are tokens");
        let refused = Function::parse(tokens, "test").err().expect("it is refused");
        assert!(refused.to_string().contains("remove `unsafe`"), "{refused}");
    }
}
