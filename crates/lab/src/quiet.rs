//! Panics that are findings, and not for the terminal.

use std::cell::{Cell, RefCell};
use std::sync::Once;

thread_local! {
    static QUIET: Cell<bool> = const { Cell::new(false) };
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// While it lives, panics on this thread print nothing: exploring and shrinking panic as often as they
/// succeed. Where the last one happened is remembered.
pub(crate) struct Quiet(());

impl Quiet {
    pub(crate) fn begin() -> Quiet {
        static HOOK: Once = Once::new();
        HOOK.call_once(|| {
            let before = std::panic::take_hook();
            std::panic::set_hook(Box::new(move |info| {
                if QUIET.get() {
                    let place = info.location().map(ToString::to_string);
                    LAST.set(place);
                } else {
                    before(info);
                }
            }));
        });
        QUIET.set(true);
        LAST.set(None);
        Quiet(())
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        QUIET.set(false);
    }
}

/// Where the last quiet panic on this thread happened.
pub(crate) fn last_panic() -> Option<String> {
    LAST.with_borrow(Clone::clone)
}
