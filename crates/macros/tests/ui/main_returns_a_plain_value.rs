use asupersync::prelude::*;

#[asupersync::main]
async fn main(_cx: &Cx) -> u32 {
    7
}
