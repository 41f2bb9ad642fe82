use asupersync::prelude::*;

async fn worker(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

async fn start(_cx: &Cx) {
    let _ = spawn!(worker);
}

fn main() {}
