use asupersync::prelude::*;

async fn worker(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

async fn region(cx: &Cx) -> Result<(), Error> {
    let outcome = scope! {
        let _ = spawn!(worker(cx));
    };
    Ok(outcome.into_result()?)
}

fn main() {}
