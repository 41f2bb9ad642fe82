#[asupersync::test]
async unsafe fn it_works(cx: &asupersync::Cx) {
    let _ = cx;
}

fn main() {}
