use asupersync::prelude::*;

#[asupersync::test(seeds = 0)]
async fn nothing_is_tried(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
