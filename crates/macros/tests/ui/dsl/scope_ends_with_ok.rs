use asupersync::prelude::*;

async fn region(cx: &Cx) -> Result<(), Error> {
    let outcome = scope! {
        cx.checkpoint()?;
        Ok(())
    };
    Ok(outcome.into_result()?)
}

fn main() {}
