use asupersync::prelude::*;

#[asupersync::test(faults = 3)]
async fn three_faults(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
