use asupersync::prelude::*;

#[asupersync::test(faults = "network, disk")]
async fn the_disk_breaks(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
