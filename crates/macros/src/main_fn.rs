//! `#[asupersync::main]`.

use crate::function::{self, Function};
use crate::options::MainOptions;
use proc_macro2::TokenStream;
use quote::quote;
use syn::{Error, Result};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    try_expand(options, item.clone()).unwrap_or_else(|error| function::report(&error, item))
}

fn try_expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function = Function::parse(item, "main")?;
    let options = MainOptions::parse(options)?;
    if function.item.sig.ident != "main" {
        let message = "`#[asupersync::main]` is for the program's `main`; elsewhere call \
                       `Runtime::block_on`";
        return Err(Error::new(function.item.sig.ident.span(), message));
    }
    let builder = if options.current_thread {
        quote!(::asupersync::runtime::RuntimeBuilder::current_thread())
    } else {
        let workers = options.workers.iter();
        quote!(::asupersync::runtime::RuntimeBuilder::multi_thread() #(.worker_threads(#workers))*)
    };
    let (body, adapter) = function.body();
    let item = &function.item;
    let visibility = &item.vis;
    Ok(quote! {
        #visibility fn main() -> ::std::process::ExitCode {
            #item
            #adapter

            let runtime = match #builder.build() {
                ::core::result::Result::Ok(runtime) => runtime,
                ::core::result::Result::Err(error) => {
                    ::std::eprintln!("Error: {error}");
                    return ::std::process::ExitCode::FAILURE;
                }
            };
            let options = ::asupersync::RegionOptions::new().name("main");
            let outcome = match runtime.block_on_reported(options, #body) {
                ::core::result::Result::Ok((outcome, _)) => outcome,
                ::core::result::Result::Err(error) => {
                    ::std::eprintln!("Error: {error}");
                    return ::std::process::ExitCode::FAILURE;
                }
            };
            match outcome.into_result() {
                ::core::result::Result::Ok(_) => ::std::process::ExitCode::SUCCESS,
                ::core::result::Result::Err(error) => {
                    ::std::eprintln!("Error: {error}");
                    ::std::process::ExitCode::FAILURE
                }
            }
        }
    })
}
