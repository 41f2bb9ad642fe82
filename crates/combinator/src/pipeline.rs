//! Stage after stage, each with its own number of hands and no heaps in between.

use crate::{drive, try_join_list, tuple};
use asupersync_channel::mpsc;
use asupersync_channel::{RecvError, SendError};
use asupersync_core::{Cancelled, TaskCx};
use asupersync_sync::Mutex;
use std::fmt;
use std::panic::Location;

/// Stages that values run through, made by [`pipeline`]; nothing runs before
/// [`for_each`](Pipeline::for_each) or [`collect`](Pipeline::collect) is awaited.
#[must_use = "a pipeline does nothing until its end is awaited"]
pub struct Pipeline<'a, T, D> {
    cx: &'a TaskCx,
    site: &'static Location<'static>,
    /// Everything before `output`.
    driver: D,
    output: mpsc::Receiver<T>,
}

/// Begins a pipeline with the items of `source`.
///
/// Behind each stage there is room for as many values as may be in it at once, and for one behind the
/// source; whoever is ahead waits (backpressure), and the source is asked for no more than can be taken.
/// All stages run at once, in turns on the calling task. Give it owned items, as the compiler cannot
/// yet tell that a future which holds an iterator over references is `Send`.
///
/// ```
/// use asupersync_combinator::pipeline;
/// use asupersync_core::{Cx, Error};
///
/// async fn squares(cx: &Cx) -> Result<(), Error> {
///     let squares = pipeline(cx, 1..=3)
///         .stage(1, async |n: u32| Ok::<_, Error>(n * n))
///         .stage(1, async |n| Ok(format!("<{n}>")))
///         .collect();
///     assert_eq!(squares.await?, ["<1>", "<4>", "<9>"]);
///     Ok(())
/// }
/// # let lab = asupersync_lab::LabRuntime::new(asupersync_lab::LabConfig::default());
/// # assert!(lab.run(squares).is_ok());
/// ```
///
/// # Cancel safety
/// Awaited, every stage's futures that were begun end by themselves, and are told; after a cancel
/// request or a failure none is begun. Values between the stages are dropped then. A cancel request is
/// answered when the last of the futures has ended.
#[track_caller]
pub fn pipeline<'a, I, E>(
    cx: &'a TaskCx,
    source: I,
) -> Pipeline<'a, I::Item, impl Future<Output = Result<(), E>> + use<'a, I, E>>
where
    I: IntoIterator,
    E: From<Cancelled>,
{
    let (sender, output) = mpsc::channel(1);
    let driver = async move {
        for item in source {
            if !put(cx, &sender, item).await? {
                break;
            }
        }
        Ok(())
    };
    Pipeline { cx, site: Location::caller(), driver: Box::pin(driver), output }
}

/// Of one stage.
const MOST_HANDS: usize = 1 << 14;

impl<'a, T, D, E> Pipeline<'a, T, D>
where
    D: Future<Output = Result<(), E>>,
    E: From<Cancelled>,
{
    /// Adds a stage: each value goes through a future that `work` makes, at most `concurrency` of them
    /// at once (zero counts as one). With one, values keep their order; with more, they leave in the
    /// order in which they are done.
    ///
    /// Each of so many hands is set up at the beginning, some hundred bytes, so there are 16,384 at most.
    pub fn stage<U, W, F>(
        self,
        concurrency: usize,
        work: W,
    ) -> Pipeline<'a, U, impl Future<Output = Result<(), E>> + use<'a, T, D, E, U, W, F>>
    where
        W: Fn(T) -> F,
        F: Future<Output = Result<U, E>>,
    {
        let Pipeline { cx, site, driver: before, output: input } = self;
        let concurrency = concurrency.clamp(1, MOST_HANDS);
        let (sender, output) = mpsc::channel(concurrency);
        let driver = async move {
            let input = Mutex::new(input);
            let stage = async {
                // Dropped with this block, so that the next stage sees the end.
                let sender = sender;
                let hand = async |_| {
                    while let Some(value) = take(cx, &input).await? {
                        if !put(cx, &sender, work(value).await?).await? {
                            break;
                        }
                    }
                    Ok::<(), E>(())
                };
                let hands = (0..concurrency).map(hand).collect();
                try_join_list(cx, "pipeline", site, hands).await?;
                Ok(())
            };
            both(cx, site, before, stage).await
        };
        // Of what is held by value, `async` keeps several copies: nested, that many times as many.
        Pipeline { cx, site, driver: Box::pin(driver), output }
    }

    /// Runs the pipeline and gives each value that comes out to `sink`.
    ///
    /// # Errors
    /// The first error of a stage in time. All other futures are cancelled with
    /// [`CancelKind::FailFast`](asupersync_core::CancelKind::FailFast) and have ended when it is
    /// returned. `Cancelled`, turned into the error type, when the enclosing scope was cancelled.
    ///
    /// # Panics
    /// Passes on the first panic of a stage or of `sink` once the rest is cancelled and drained.
    ///
    /// # Cancel safety
    /// See [`pipeline`].
    pub async fn for_each(self, mut sink: impl FnMut(T)) -> Result<(), E> {
        let Pipeline { cx, site, driver, mut output } = self;
        let end = async {
            loop {
                match output.recv(cx).await {
                    Ok(value) => sink(value),
                    Err(RecvError::Closed) => return Ok(()),
                    Err(RecvError::Cancelled(cancelled)) => return Err(cancelled.into()),
                }
            }
        };
        both(cx, site, driver, end).await
    }

    /// Runs the pipeline and returns what comes out.
    ///
    /// # Errors
    /// As [`for_each`](Pipeline::for_each).
    ///
    /// # Panics
    /// As [`for_each`](Pipeline::for_each).
    ///
    /// # Cancel safety
    /// See [`pipeline`].
    pub async fn collect(self) -> Result<Vec<T>, E> {
        let mut values = Vec::new();
        self.for_each(|value| values.push(value)).await?;
        Ok(values)
    }
}

impl<T, D> fmt::Debug for Pipeline<'_, T, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pipeline").field("site", &self.site).finish_non_exhaustive()
    }
}

async fn both<E: From<Cancelled>>(
    cx: &TaskCx,
    site: &'static Location<'static>,
    before: impl Future<Output = Result<(), E>>,
    after: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    match tuple::both(cx, site, before, after).await {
        Some(result) => result.map(|((), ())| ()),
        None => Err(drive::cancelled(cx, "pipeline", site).await.into()),
    }
}

/// False: nobody takes values any more. The later stage has failed, and its error is the answer.
async fn put<T>(cx: &TaskCx, sender: &mpsc::Sender<T>, value: T) -> Result<bool, Cancelled> {
    match sender.send(cx, value).await.map_err(|unsent| unsent.error) {
        Ok(()) => Ok(true),
        Err(SendError::Closed) => Ok(false),
        Err(SendError::Cancelled(cancelled)) => Err(cancelled),
        Err(SendError::TooMany { .. }) => unreachable!("the channel has room for one"),
    }
}

/// The next value, for whichever hand is first; `None` when there are no more.
async fn take<T>(cx: &TaskCx, input: &Mutex<mpsc::Receiver<T>>) -> Result<Option<T>, Cancelled> {
    match input.lock(cx).await?.recv(cx).await {
        Ok(value) => Ok(Some(value)),
        Err(RecvError::Closed) => Ok(None),
        Err(RecvError::Cancelled(cancelled)) => Err(cancelled),
    }
}
