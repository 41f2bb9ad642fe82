use asupersync::prelude::*;

async fn first(cx: &Cx) -> Result<u32, Error> {
    let n = select! {
        n = async { 1 } if true => n,
        n = async { 2 } => n,
    }?;
    Ok(n)
}

fn main() {}
