//! Work spread over tasks, results gathered, the first failure stopping the rest.

use asupersync::prelude::*;
use std::time::Duration;

/// Counts primes below `limit`, the slow way; stops when it is cancelled.
async fn primes(cx: &Cx, limit: u64) -> Result<usize, Error> {
    let mut found = 0;
    for n in 2..limit {
        if n % 1000 == 0 {
            cx.checkpoint()?; // a loop that does not wait asks now and then
            cx.yield_now().await?;
        }
        if (2..n).take_while(|d| d * d <= n).all(|d| n % d != 0) {
            found += 1;
        }
    }
    Ok(found)
}

#[asupersync::main]
async fn main(cx: &Cx) -> Result<(), Error> {
    let counts = cx
        .region(async |scope| {
            let parts: Vec<_> =
                (1..=8).map(|n| scope.spawn(async move |cx| primes(cx, n * 5_000).await)).collect();
            let mut counts = Vec::new();
            for mut part in parts {
                counts.push(part.join(cx).await?.into_result()?);
            }
            Ok::<_, Error>(counts)
        })
        .await
        .into_result()?;
    println!("primes below 5,000 to 40,000: {counts:?}");

    // One task fails: its siblings are cancelled, drained, and the error is what the region yields.
    let outcome: Outcome<(), Error> = cx
        .region(async |scope| {
            for n in 0..4 {
                drop(scope.spawn_named(format!("sleeper {n}"), async |cx| {
                    Ok(cx.sleep(Duration::from_secs(3600)).await?)
                }));
            }
            drop(scope.spawn(async |_cx| Err::<(), _>(Error::msg("the disk is on fire"))));
            Ok(())
        })
        .await;
    match outcome {
        Outcome::Err(error) => println!("as expected: {error}"),
        other => println!("not expected: {other:?}"),
    }
    Ok(())
}
