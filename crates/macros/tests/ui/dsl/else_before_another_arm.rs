use asupersync::prelude::*;

async fn first(cx: &Cx) -> Result<u32, Error> {
    let n = select! {
        else => 0,
        n = async { 1 } => n,
    }?;
    Ok(n)
}

fn main() {}
