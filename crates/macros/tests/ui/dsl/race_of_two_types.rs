use asupersync::prelude::*;

async fn first(cx: &Cx) -> Result<(), Error> {
    race!(async { 1 }, async { "two" })?;
    Ok(())
}

fn main() {}
