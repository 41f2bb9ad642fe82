use asupersync::prelude::*;

async fn both(_context: &Cx) -> Result<(), Error> {
    race!(async { 1 }, async { 2 })?;
    Ok(())
}

fn main() {}
