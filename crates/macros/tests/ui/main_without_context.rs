use asupersync::prelude::*;

#[asupersync::main]
async fn main() -> Result<(), Error> {
    Ok(())
}
