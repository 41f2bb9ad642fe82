//! Branches by the tuple, one to eight, each of its own type and without an allocation.

use crate::apart::{Apart, Numbered};
use crate::drive::{Drive, Slots, Visit};
use crate::slot::{AnySlot, Slot};
use asupersync_core::{CancelKind, TaskCx};
use pin_project_lite::pin_project;
use std::ops::ControlFlow;
use std::panic::Location;
use std::pin::Pin;
use std::task::Context;

mod sealed {
    pub trait Sealed {}
}

type Site = &'static Location<'static>;

/// Tuples of futures that [`join`](crate::join()) takes: one to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of one to eight futures",
    note = "for a list of futures there is `join_all`"
)]
pub trait Join: sealed::Sealed {
    /// The tuple of what they return.
    type Output;
    #[doc(hidden)]
    fn join(self, cx: &TaskCx, site: Site) -> impl Future<Output = Option<Self::Output>>;
}

/// Tuples of fallible futures that [`try_join`](crate::try_join()) takes: one to eight with one type
/// of error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of one to eight futures that return `Result` with one error type",
    note = "for a list of futures there is `try_join_all`"
)]
pub trait TryJoin: sealed::Sealed {
    /// The tuple of what they return in success.
    type Output;
    /// Their common error.
    type Error;
    #[doc(hidden)]
    fn try_join(
        self,
        cx: &TaskCx,
        site: Site,
    ) -> impl Future<Output = Option<Result<Self::Output, Self::Error>>>;
}

/// Tuples of futures that [`race`](crate::race()) takes: one to eight with one type of output.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of one to eight futures with one type of output",
    note = "for a list of futures there is `race_all`"
)]
pub trait Race: sealed::Sealed {
    /// What each of them returns.
    type Output;
    #[doc(hidden)]
    fn race(self, cx: &TaskCx, site: Site) -> impl Future<Output = Option<Self::Output>>;
}

/// Tuples of futures that [`race_some`](crate::race_some) takes: one to eight that each return an
/// `Option` of one type.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tuple of one to eight futures that return `Option` of one type"
)]
pub trait RaceSome: sealed::Sealed {
    /// What the winner has.
    type Output;
    #[doc(hidden)]
    fn race_some(
        self,
        cx: &TaskCx,
        site: Site,
        first: usize,
    ) -> impl Future<Output = Option<Option<Self::Output>>>;
}

macro_rules! tuple {
    ($slots:ident: $($F:ident $T:ident $f:ident $index:literal),+) => {
        pin_project! {
            pub(crate) struct $slots<'a, $($F),+>
            where
                $($F: Future),+
            {
                $(#[pin] pub(crate) $f: Slot<'a, $F>,)+
                // The branch that is polled first; the others follow in a circle.
                pub(crate) first: usize,
            }
        }

        impl<$($F: Future),+> Slots for $slots<'_, $($F),+> {
            fn open(&self) -> usize {
                [$(self.$f.is_open()),+].into_iter().filter(|open| *open).count()
            }

            fn woken(self: Pin<&mut Self>, context: &mut Context<'_>, visit: Visit<'_>) {
                let mut this = self.project();
                let first = *this.first;
                for before_first in [false, true] {
                    $(
                        if ($index < first) == before_first && this.$f.is_open() {
                            let slot = this.$f.as_mut();
                            if let ControlFlow::Break(()) = visit($index, slot, context) {
                                return;
                            }
                        }
                    )+
                }
            }

            fn rouse(self: Pin<&mut Self>, visit: &mut dyn FnMut(Pin<&mut dyn AnySlot>)) {
                let this = self.project();
                $(
                    if this.$f.is_open() {
                        visit(this.$f);
                    }
                )+
            }
        }

        impl<$($F: Future),+> Numbered for $slots<'_, $($F),+> {
            fn count(&self) -> usize {
                [$($index),+].len()
            }

            fn open(&self) -> usize {
                Slots::open(self)
            }

            fn nth(self: Pin<&mut Self>, index: usize) -> Option<Pin<&mut dyn AnySlot>> {
                let this = self.project();
                match index {
                    $($index => Some(this.$f),)+
                    _ => None,
                }
            }
        }

        impl<$($F),+> sealed::Sealed for ($($F,)+) {}

        impl<$($F: Future),+> Join for ($($F,)+) {
            type Output = ($($F::Output,)+);

            fn join(self, cx: &TaskCx, site: Site) -> impl Future<Output = Option<Self::Output>> {
                let ($($f,)+) = self;
                let slots = $slots { $($f: Slot::new(cx, |_| false, $f)),+, first: 0 };
                Drive::new(cx, site, CancelKind::FailFast, slots, |slots, _| {
                    let slots = slots.project();
                    Some(($(slots.$f.take()?,)+))
                })
            }
        }

        impl<Error, $($F, $T),+> TryJoin for ($($F,)+)
        where
            $($F: Future<Output = Result<$T, Error>>,)+
        {
            type Output = ($($T,)+);
            type Error = Error;

            fn try_join(
                self,
                cx: &TaskCx,
                site: Site,
            ) -> impl Future<Output = Option<Result<Self::Output, Error>>> {
                let ($($f,)+) = self;
                let slots = $slots { $($f: Slot::new(cx, Result::is_err, $f)),+, first: 0 };
                Drive::new(cx, site, CancelKind::FailFast, slots, |slots, first_error| {
                    let slots = slots.project();
                    $(
                        if first_error == Some($index) {
                            return slots.$f.take()?.err().map(Err);
                        }
                    )+
                    // Without an error to report each value is a success or missing.
                    Some(Ok(($(slots.$f.take()?.ok()?,)+)))
                })
            }
        }

        impl<T, $($F),+> Race for ($($F,)+)
        where
            $($F: Future<Output = T>,)+
        {
            type Output = T;

            fn race(self, cx: &TaskCx, site: Site) -> impl Future<Output = Option<T>> {
                let ($($f,)+) = self;
                let slots = $slots { $($f: Slot::new(cx, |_| true, $f)),+, first: 0 };
                Drive::new(cx, site, CancelKind::RaceLost, slots, |slots, winner| {
                    let slots = slots.project();
                    $(
                        if winner == Some($index) {
                            return slots.$f.take();
                        }
                    )+
                    None
                })
            }
        }

        impl<T, $($F),+> RaceSome for ($($F,)+)
        where
            $($F: Future<Output = Option<T>>,)+
        {
            type Output = T;

            fn race_some(
                self,
                cx: &TaskCx,
                site: Site,
                first: usize,
            ) -> impl Future<Output = Option<Option<T>>> {
                let ($($f,)+) = self;
                let branches = [$($index),+].len();
                let first = first % branches;
                let slots = $slots { $($f: Slot::new(cx, Option::is_some, $f)),+, first };
                Drive::new(cx, site, CancelKind::RaceLost, slots, |slots, winner| {
                    let slots = slots.project();
                    $(
                        if winner == Some($index) {
                            return slots.$f.take();
                        }
                    )+
                    // Nobody won: each has answered `None`, or is missing.
                    $(slots.$f.take()?;)+
                    Some(None)
                })
            }
        }
    };
}

/// `try_join` of two that live long, of which only the woken is polled. None: a value is missing. (Not an `async fn`,
/// which would hold each of the two several times, and nested ones so many times that.)
pub(crate) fn both<T, U, E>(
    cx: &TaskCx,
    site: Site,
    before: impl Future<Output = Result<T, E>>,
    after: impl Future<Output = Result<U, E>>,
) -> impl Future<Output = Option<Result<(T, U), E>>> {
    let a = Slot::new(cx, Result::is_err, before);
    let b = Slot::new(cx, Result::is_err, after);
    let slots = Apart::new(Slots2 { a, b, first: 0 });
    Drive::new(cx, site, CancelKind::FailFast, slots, |slots, first_error| {
        let slots = slots.project().slots.project();
        match first_error {
            Some(0) => slots.a.take()?.err().map(Err),
            Some(_) => slots.b.take()?.err().map(Err),
            None => Some(Ok((slots.a.take()?.ok()?, slots.b.take()?.ok()?))),
        }
    })
}

tuple!(Slots1: A Ta a 0);
tuple!(Slots2: A Ta a 0, B Tb b 1);
tuple!(Slots3: A Ta a 0, B Tb b 1, C Tc c 2);
tuple!(Slots4: A Ta a 0, B Tb b 1, C Tc c 2, D Td d 3);
tuple!(Slots5: A Ta a 0, B Tb b 1, C Tc c 2, D Td d 3, E Te e 4);
tuple!(Slots6: A Ta a 0, B Tb b 1, C Tc c 2, D Td d 3, E Te e 4, F Tf f 5);
tuple!(Slots7: A Ta a 0, B Tb b 1, C Tc c 2, D Td d 3, E Te e 4, F Tf f 5, G Tg g 6);
tuple!(Slots8: A Ta a 0, B Tb b 1, C Tc c 2, D Td d 3, E Te e 4, F Tf f 5, G Tg g 6, H Th h 7);
