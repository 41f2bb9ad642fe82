use asupersync::prelude::*;

#[asupersync::test]
#[test]
async fn it_runs_twice(_cx: &Cx) -> Result<(), Error> {
    Ok(())
}

fn main() {}
