//! `#[asupersync::test]`.

use crate::function::{self, Function};
use crate::options::TestOptions;
use proc_macro2::TokenStream;
use quote::quote;
use syn::Result;

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    try_expand(options, item.clone()).unwrap_or_else(|error| function::report(&error, item))
}

fn try_expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function = Function::parse(item, "test")?;
    let options = TestOptions::parse(options)?;
    let doubled = "`#[asupersync::test]` makes the function a test by itself; remove `#[test]`";
    function::refuse_attribute(&function, "test", doubled)?;

    let (body, adapter) = function.body();
    let mut inner = function.item;
    let name = inner.sig.ident.clone();
    // What belongs to a test (`ignore`, `should_panic`, `cfg`, docs) goes with the test.
    let attributes = std::mem::take(&mut inner.attrs);
    let seeds = options.seeds.iter();
    let inject_cancel = options.inject_cancel.then(|| quote!(.inject_cancel(true))).into_iter();
    let explore = options.explore.then(|| {
        let runs = options.runs.iter();
        quote! {
            .explore(::asupersync::lab::ExploreOptions::default()#(.max_runs(#runs))*)
        }
    });
    let explore = explore.into_iter();
    let faults = &options.faults;
    let faults = (!faults.is_empty())
        .then(|| quote!(.faults(::asupersync::lab::Faults::default()#(.#faults())*)));
    let faults = faults.into_iter();
    let time_races = options.time_races.iter();
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        fn #name() {
            #inner
            #adapter

            ::asupersync::lab::LabTest::new(::core::concat!(
                ::core::module_path!(),
                "::",
                ::core::stringify!(#name)
            ))
            #(.seeds(0..#seeds))*
            #(#inject_cancel)*
            #(#explore)*
            #(#faults)*
            #(.time_races(#time_races))*
            .run(#body);
        }
    })
}
