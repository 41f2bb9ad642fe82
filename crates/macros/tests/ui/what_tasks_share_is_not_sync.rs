use asupersync::prelude::*;
use std::cell::Cell;
use std::sync::Arc;

fn is_sync<T: Sync>(_: T) {}

// What several tasks see at once must be `Sync`.
async fn table(scope: &Scope<Error>) {
    let shared = Arc::new(Cell::new(1));
    let _ = scope.spawn(async move |_cx: &Cx| {
        shared.set(2);
        Ok(())
    });
    let _ = scope.alloc(Cell::new(1));
    is_sync(asupersync::sync::RwLock::new(Cell::new(1)));
}

fn main() {}
