#![deny(unused_must_use)]
use asupersync::prelude::*;

async fn first(cx: &Cx) {
    select! {
        _ = async { 1 } => {}
    };
}

fn main() {}
