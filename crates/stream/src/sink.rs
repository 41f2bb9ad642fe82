//! What a terminal operation makes of the items.

use std::ops::ControlFlow;

/// Takes items until it breaks, and has a result.
pub(crate) trait Sink<T> {
    type Output;

    fn take(&mut self, item: T) -> ControlFlow<()>;

    fn finish(self) -> Self::Output;
}

/// Nothing: what matters has happened when the item comes.
pub(crate) struct Ignore;

impl Sink<()> for Ignore {
    type Output = ();

    fn take(&mut self, (): ()) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn finish(self) {}
}

pub(crate) struct Fold<A, F> {
    pub(crate) folded: Option<A>,
    pub(crate) f: F,
}

impl<T, A, F: FnMut(A, T) -> A> Sink<T> for Fold<A, F> {
    type Output = A;

    fn take(&mut self, item: T) -> ControlFlow<()> {
        self.folded = self.folded.take().map(|before| (self.f)(before, item));
        ControlFlow::Continue(())
    }

    fn finish(self) -> A {
        let Some(folded) = self.folded else { unreachable!("a panic of the function passes on") };
        folded
    }
}

pub(crate) struct Collect<B>(pub(crate) B);

impl<T, B: Extend<T>> Sink<T> for Collect<B> {
    type Output = B;

    fn take(&mut self, item: T) -> ControlFlow<()> {
        self.0.extend([item]);
        ControlFlow::Continue(())
    }

    fn finish(self) -> B {
        self.0
    }
}

/// The first item for which the predicate holds.
pub(crate) struct Find<T, F> {
    pub(crate) found: Option<T>,
    pub(crate) predicate: F,
}

impl<T, F: FnMut(&T) -> bool> Sink<T> for Find<T, F> {
    type Output = Option<T>;

    fn take(&mut self, item: T) -> ControlFlow<()> {
        if !(self.predicate)(&item) {
            return ControlFlow::Continue(());
        }
        self.found = Some(item);
        ControlFlow::Break(())
    }

    fn finish(self) -> Option<T> {
        self.found
    }
}

/// Whether there is an item for which the predicate answers `wanted`.
pub(crate) struct Exists<F> {
    pub(crate) wanted: bool,
    pub(crate) found: bool,
    pub(crate) predicate: F,
}

impl<T, F: FnMut(T) -> bool> Sink<T> for Exists<F> {
    type Output = bool;

    fn take(&mut self, item: T) -> ControlFlow<()> {
        self.found = (self.predicate)(item) == self.wanted;
        if self.found { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(self) -> bool {
        self.found == self.wanted
    }
}

pub(crate) struct Partition<B, F> {
    pub(crate) yes: B,
    pub(crate) no: B,
    pub(crate) predicate: F,
}

impl<T, B: Extend<T>, F: FnMut(&T) -> bool> Sink<T> for Partition<B, F> {
    type Output = (B, B);

    fn take(&mut self, item: T) -> ControlFlow<()> {
        let side = if (self.predicate)(&item) { &mut self.yes } else { &mut self.no };
        side.extend([item]);
        ControlFlow::Continue(())
    }

    fn finish(self) -> (B, B) {
        (self.yes, self.no)
    }
}

pub(crate) struct Unzip<A, B>(pub(crate) A, pub(crate) B);

impl<L, R, A: Extend<L>, B: Extend<R>> Sink<(L, R)> for Unzip<A, B> {
    type Output = (A, B);

    fn take(&mut self, (left, right): (L, R)) -> ControlFlow<()> {
        self.0.extend([left]);
        self.1.extend([right]);
        ControlFlow::Continue(())
    }

    fn finish(self) -> (A, B) {
        (self.0, self.1)
    }
}

/// Another sink, for successes, until the first error.
pub(crate) struct Try<K, E> {
    pub(crate) sink: K,
    pub(crate) failed: Option<E>,
}

impl<K, E> Try<K, E> {
    pub(crate) fn new(sink: K) -> Try<K, E> {
        Try { sink, failed: None }
    }
}

impl<T, E, K: Sink<T>> Sink<Result<T, E>> for Try<K, E> {
    type Output = Result<K::Output, E>;

    fn take(&mut self, item: Result<T, E>) -> ControlFlow<()> {
        match item {
            Ok(item) => self.sink.take(item),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    fn finish(self) -> Result<K::Output, E> {
        match self.failed {
            None => Ok(self.sink.finish()),
            Some(error) => Err(error),
        }
    }
}

/// [`Fold`] with a function that may fail.
pub(crate) struct TryFold<A, F, E> {
    pub(crate) folded: Option<Result<A, E>>,
    pub(crate) f: F,
}

impl<T, E, A, F: FnMut(A, T) -> Result<A, E>> Sink<Result<T, E>> for TryFold<A, F, E> {
    type Output = Result<A, E>;

    fn take(&mut self, item: Result<T, E>) -> ControlFlow<()> {
        let Some(Ok(before)) = self.folded.take() else { return ControlFlow::Break(()) };
        let folded = item.and_then(|item| (self.f)(before, item));
        let failed = folded.is_err();
        self.folded = Some(folded);
        if failed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn finish(self) -> Result<A, E> {
        let Some(folded) = self.folded else { unreachable!("a panic of the function passes on") };
        folded
    }
}
