use asupersync::prelude::*;

async fn region(cx: &Cx) -> Result<(), Error> {
    let outcome = scope! {
        let _ = spawn!(async move { Ok(()) });
    };
    Ok(outcome.into_result()?)
}

fn main() {}
