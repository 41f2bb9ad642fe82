use asupersync::prelude::*;

async fn both(cx: &Cx) -> Result<(), Error> {
    let (_one, _two) = join!(async { 1 }, 2)?;
    Ok(())
}

fn main() {}
