//! Seeking.

use asupersync_core::TaskCx;
use futures_io::{AsyncSeek, SeekFrom};
use std::future::Future;
use std::io;
use std::panic::Location;
use std::pin::Pin;

/// Seeking in any [`AsyncSeek`] through the wait door.
pub trait AsyncSeekExt: AsyncSeek {
    /// Moves to `position` and answers the new offset from the start, in bytes.
    ///
    /// # Cancel safety
    /// After a cancelled call the offset is the old or the new one; seek again.
    #[track_caller]
    fn seek<'a>(
        &'a mut self,
        cx: &'a TaskCx,
        position: SeekFrom,
    ) -> impl Future<Output = io::Result<u64>> + 'a
    where
        Self: Unpin,
    {
        let site = Location::caller();
        async move {
            cx.wait_at("io::seek", site, |context| {
                Pin::new(&mut *self).poll_seek(context, position)
            })
            .await?
        }
    }

    /// The offset from the start, in bytes.
    ///
    /// # Cancel safety
    /// A cancelled call changes nothing.
    #[track_caller]
    fn stream_position<'a>(
        &'a mut self,
        cx: &'a TaskCx,
    ) -> impl Future<Output = io::Result<u64>> + 'a
    where
        Self: Unpin,
    {
        self.seek(cx, SeekFrom::Current(0))
    }
}

impl<S: AsyncSeek + ?Sized> AsyncSeekExt for S {}
