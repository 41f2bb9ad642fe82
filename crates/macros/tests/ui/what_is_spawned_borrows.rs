use asupersync::prelude::*;

// What may outlive the function that spawns it must own what it uses.
async fn spawned(cx: &Cx, text: &str) {
    let _ = cx.spawn(async move |_cx: &Cx| Ok::<_, Error>(drop(text)));
}

async fn deferred(scope: &Scope<Error>, text: &str) {
    scope.defer(async move |_cx: &Cx| Ok(drop(text)));
}

async fn blocking(cx: &Cx, text: &str) {
    let _ = cx.spawn_blocking(move || Ok::<_, Error>(text.len()));
}

async fn allocated(scope: &Scope<Error>, text: &str) {
    let _ = scope.alloc(text);
}

async fn grouped(scope: &Scope<Error>, text: &str) {
    let mut group = scope.group::<()>();
    group.spawn(async move |_cx: &Cx| Ok(drop(text)));
}

// A fiber borrows, but not what ends before it does.
async fn fiber(cx: &Cx) {
    let mut fibers = cx.fibers::<usize, Error>();
    {
        let text = String::from("short-lived");
        fibers.fiber(async { Ok(text.len()) });
    }
    let _ = fibers.run().await;
}

// A value on a region's heap is seen, not kept.
fn kept<'a>(cx: &Cx, text: &'a asupersync::RRef<String>) -> &'a str {
    text.with(cx, |text| text.as_str()).unwrap()
}

fn main() {}
