use asupersync::prelude::*;

#[asupersync::test(explore = 0)]
async fn no_order_is_run(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
