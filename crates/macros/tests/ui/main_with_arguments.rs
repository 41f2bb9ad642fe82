use asupersync::prelude::*;

#[asupersync::main]
async fn main(cx: &Cx, arguments: Vec<String>) -> Result<(), Error> {
    cx.checkpoint()?;
    Ok(())
}
