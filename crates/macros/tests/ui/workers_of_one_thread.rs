use asupersync::prelude::*;

#[asupersync::main(flavor = "current_thread", workers = 4)]
async fn main(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}
