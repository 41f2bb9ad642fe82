#[asupersync::test]
async fn it_works(cx: &mut asupersync::Cx) {
    let _ = cx;
}

fn main() {}
