use asupersync::prelude::*;

#[asupersync::main(threads = 4)]
async fn main(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}
