use asupersync::prelude::*;

#[asupersync::main]
fn main(cx: &Cx) -> Result<(), Error> {
    cx.checkpoint()?;
    Ok(())
}
