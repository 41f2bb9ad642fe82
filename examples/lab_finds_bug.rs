//! A lost update, found in the lab within a second, with the line that replays it.

use asupersync::lab::{self, Shared};
use asupersync::prelude::*;
use std::sync::Arc;

/// Two tasks add one to a counter. Each reads it, and writes back what it read plus one.
async fn two_increments(cx: &Cx) -> Result<u32, Error> {
    let counter = Arc::new(Shared::new(0_u32));
    let seen = Arc::clone(&counter);
    let outcome: Outcome<(), Error> = cx
        .region(async |scope| {
            for _ in 0..2 {
                let counter = Arc::clone(&counter);
                drop(scope.spawn(async move |cx| {
                    let before = counter.get(cx).await?;
                    counter.set(cx, before + 1).await?; // the other task may have written meanwhile
                    Ok(())
                }));
            }
            Ok(())
        })
        .await;
    outcome.into_result()?;
    Ok(seen.get(cx).await?)
}

fn main() {
    let seed = std::env::var("ASUPERSYNC_LAB_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = seed.map_or(0..1000, |seed| seed..seed + 1);
    for seed in seeds {
        let report = lab::run(seed, two_increments);
        match report.outcome {
            Outcome::Ok(2) => println!("seed {seed}: 2, as it should be"),
            Outcome::Ok(n) => {
                println!("seed {seed}: the counter is {n} after two increments: one was lost");
                println!("the order of steps that loses it: {:?}", report.choices);
                println!("replay it: ASUPERSYNC_LAB_SEED={seed} cargo run --example lab_finds_bug");
                return;
            }
            _ => println!("seed {seed}: {report}"),
        }
    }
}
