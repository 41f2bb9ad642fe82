#[asupersync::test(seeds(100))]
async fn it_works(cx: &asupersync::Cx) {
    let _ = cx;
}

fn main() {}
