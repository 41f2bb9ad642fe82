use asupersync::prelude::*;

async fn none(cx: &Cx) -> Result<(), Error> {
    join!()?;
    Ok(())
}

fn main() {}
