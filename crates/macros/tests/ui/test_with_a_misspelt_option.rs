use asupersync::prelude::*;

#[asupersync::test(seeds = 3, explores)]
async fn every_order(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
