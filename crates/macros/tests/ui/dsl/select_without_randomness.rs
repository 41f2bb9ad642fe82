use asupersync::prelude::*;

async fn first(cx: &TaskCx) -> Result<u32, Error> {
    let n = select! {
        n = async { 1 } => n,
        n = async { 2 } => n,
    }?;
    Ok(n)
}

fn main() {}
