//! The one adaptor behind `map`, `filter`, `take_while` and all others that look at an item at a time.

use crate::run::IN_A_ROW;
use futures_core::Stream;
use pin_project_lite::pin_project;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

/// What becomes of an item.
pub(crate) enum Step<T> {
    Emit(T),
    Skip,
    /// The last item; the stream beneath is not asked again.
    Last(T),
    End,
}

pin_project! {
    pub(crate) struct Steps<S, F> {
        #[pin]
        stream: S,
        step: F,
        // Whether each item becomes one item.
        one_to_one: bool,
        over: bool,
    }
}

impl<S, F> Steps<S, F> {
    pub(crate) fn new(stream: S, step: F) -> Steps<S, F> {
        Steps { stream, step, one_to_one: false, over: false }
    }

    pub(crate) fn one_to_one(mut self) -> Steps<S, F> {
        self.one_to_one = true;
        self
    }

    /// Over before it began.
    pub(crate) fn over_if(mut self, over: bool) -> Steps<S, F> {
        self.over = over;
        self
    }
}

impl<S, F, T> Stream for Steps<S, F>
where
    S: Stream,
    F: FnMut(S::Item) -> Step<T>,
{
    type Item = T;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let mut this = self.project();
        for _ in 0..IN_A_ROW {
            if *this.over {
                return Poll::Ready(None);
            }
            let step = match ready!(this.stream.as_mut().poll_next(context)) {
                Some(item) => (this.step)(item),
                None => Step::End,
            };
            match step {
                Step::Emit(item) => return Poll::Ready(Some(item)),
                Step::Skip => {}
                Step::Last(item) => {
                    *this.over = true;
                    return Poll::Ready(Some(item));
                }
                Step::End => *this.over = true,
            }
        }
        // Nothing to show for so many items: others have their turn.
        context.waker().wake_by_ref();
        Poll::Pending
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        if self.over {
            return (0, Some(0));
        }
        let (lower, upper) = self.stream.size_hint();
        if self.one_to_one { (lower, upper) } else { (0, upper) }
    }
}
