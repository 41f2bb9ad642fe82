use asupersync::channel::{broadcast, watch};
use asupersync::prelude::*;
use std::rc::Rc;

fn is_send<T: Send>(_: T) {}

// What is handed from task to task must be `Send`.
async fn table(cx: &Cx, scope: &Scope<Error>) {
    let _ = scope.spawn(async |_cx: &Cx| Ok(Rc::new(1)));
    let _ = cx.spawn_blocking(|| Ok::<_, Error>(Rc::new(1)));
    scope.defer({
        let shared = Rc::new(1);
        async move |_cx: &Cx| {
            drop(shared);
            Ok(())
        }
    });
    let _ = scope.group::<Rc<u8>>();
    let _ = scope.alloc(Rc::new(1));
    is_send(mpsc::channel::<Rc<u8>>(1));
    is_send(oneshot::channel::<Rc<u8>>());
    is_send(watch::channel(Rc::new(1)));
    is_send(broadcast::channel::<Rc<u8>>(1));
    is_send(asupersync::sync::Mutex::new(Rc::new(1)));
    is_send(asupersync::sync::RwLock::new(Rc::new(1)));
    let mut fibers = cx.fibers::<(), Error>();
    let shared = Rc::new(1);
    fibers.fiber(async {
        drop(shared);
        Ok(())
    });
}

fn main() {}
