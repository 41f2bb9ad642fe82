//! Giving way: many tasks to each other, and one to nobody.

use std::time::Instant;

use asupersync_core::{Cx, Error};

use super::{Hosts, each, nanoseconds, size};
use crate::runner::Runner;

pub(super) fn run(runner: &mut Runner, hosts: &Hosts) {
    let (tasks, yields) = (1_000, size(runner, 500));
    nanoseconds(
        runner,
        "yield_1000_tasks",
        &hosts.threads,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                let mut handles = Vec::with_capacity(tasks);
                for _ in 0..tasks {
                    handles.push(cx.spawn(async move |cx: &Cx| {
                        for _ in 0..yields {
                            cx.yield_now().await?;
                        }
                        Ok::<_, Error>(())
                    }));
                }
                for mut handle in handles {
                    handle.join(cx).await?.into_result()?;
                }
                Ok(each(start, tasks * yields))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                let mut handles = Vec::with_capacity(tasks);
                for _ in 0..tasks {
                    handles.push(tokio::spawn(async move {
                        for _ in 0..yields {
                            tokio::task::yield_now().await;
                        }
                    }));
                }
                for handle in handles {
                    handle.await.expect("no panic");
                }
                each(start, tasks * yields)
            })
        },
    );
    let n = size(runner, 200_000);
    nanoseconds(
        runner,
        "yield_one_task",
        &hosts.threads,
        |pair| {
            pair.ours(async move |cx: &Cx| {
                let start = Instant::now();
                for _ in 0..n {
                    cx.yield_now().await?;
                }
                Ok(each(start, n))
            })
        },
        |pair| {
            pair.tokio(async move {
                let start = Instant::now();
                for _ in 0..n {
                    tokio::task::yield_now().await;
                }
                each(start, n)
            })
        },
    );
}
