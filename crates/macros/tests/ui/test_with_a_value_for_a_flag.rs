use asupersync::prelude::*;

#[asupersync::test(inject_cancel = true)]
async fn cancelled_everywhere(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
