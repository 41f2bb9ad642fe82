use asupersync::prelude::*;

#[asupersync::main]
async fn main(cx: Cx) -> Result<(), Error> {
    cx.checkpoint()?;
    Ok(())
}
