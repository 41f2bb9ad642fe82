use asupersync::prelude::*;

#[asupersync::main]
async fn serve(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
