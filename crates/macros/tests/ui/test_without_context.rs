#[asupersync::test]
async fn it_works() {}

fn main() {}
