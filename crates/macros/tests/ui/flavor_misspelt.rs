use asupersync::prelude::*;

#[asupersync::main(flavor = "single_thread")]
async fn main(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}
