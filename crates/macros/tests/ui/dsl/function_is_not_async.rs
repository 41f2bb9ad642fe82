use asupersync::prelude::*;

fn both(cx: &Cx) -> Result<(u32, u32), Error> {
    Ok(join!(async { 1 }, async { 2 })?)
}

fn main() {}
