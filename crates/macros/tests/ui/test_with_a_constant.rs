const SEEDS: u64 = 5;

#[asupersync::test(seeds = SEEDS)]
async fn it_works(cx: &asupersync::Cx) {
    let _ = cx;
}

fn main() {}
