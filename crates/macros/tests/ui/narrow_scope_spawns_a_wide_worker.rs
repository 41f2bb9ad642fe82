use asupersync::cap::SpawnOnly;
use asupersync::prelude::*;

async fn worker(cx: &Cx) -> Result<(), Error> {
    Ok(cx.sleep(std::time::Duration::ZERO).await?)
}

async fn narrow(cx: &Cx<SpawnOnly>) {
    let _: Outcome<(), Error> = cx
        .region(async |scope: &Scope<Error, SpawnOnly>| {
            let _ = scope.spawn(worker);
            Ok(())
        })
        .await;
}

fn main() {}
