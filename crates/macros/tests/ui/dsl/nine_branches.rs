use asupersync::prelude::*;

async fn all(cx: &Cx) -> Result<(), Error> {
    let one = async || 1;
    race!(one(), one(), one(), one(), one(), one(), one(), one(), one())?;
    Ok(())
}

fn main() {}
