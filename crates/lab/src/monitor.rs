//! What a program tells its oracles.

use crate::host::LabHost;
use crate::oracle::Fact;
use asupersync_core::Cx;
use asupersync_core::cap::HasIo;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn tell(host: Option<&Arc<LabHost>>, fact: Fact<'_>) {
    if let Some(host) = host {
        host.fact(fact);
    }
}

/// A value on its way from one task to another: sent, it must arrive, or be handed back, once. Whoever ends
/// its way [opens](Parcel::open) it; dropped unopened it was lost. Clones are the same parcel.
///
/// [`Invariant::Delivery`](crate::Invariant::Delivery) is broken when a parcel is lost or opened twice.
/// Outside the lab it is a plain box.
///
/// ```
/// use asupersync_core::{Cx, Error};
/// use asupersync_lab::{Invariant, Parcel, run};
///
/// let report = run(0, async |cx: &Cx| {
///     let parcel = Parcel::new(cx, "a letter", 7);
///     drop(parcel);
///     Ok::<_, Error>(())
/// });
/// assert!(!report.is_sound());
/// ```
pub struct Parcel<T> {
    value: T,
    slip: Arc<Slip>,
}

struct Slip {
    name: String,
    host: Option<Arc<LabHost>>,
    opened: AtomicBool,
}

impl<T> Parcel<T> {
    /// Sends a value on its way; `name` is for the report.
    #[must_use]
    pub fn new<C: HasIo>(cx: &Cx<C>, name: impl Into<String>, value: T) -> Parcel<T> {
        let host = cx.service::<LabHost>();
        tell(host.as_ref(), Fact::Issued);
        let slip = Slip { name: name.into(), host, opened: AtomicBool::new(false) };
        Parcel { value, slip: Arc::new(slip) }
    }

    /// The value has arrived, or has come back.
    pub fn open(self) -> T {
        let before = self.slip.opened.swap(true, Ordering::Relaxed);
        let Slip { name, host, .. } = &*self.slip;
        tell(host.as_ref(), Fact::Arrived { name: name.into(), before });
        self.value
    }
}

impl<T: Clone> Clone for Parcel<T> {
    fn clone(&self) -> Parcel<T> {
        Parcel { value: self.value.clone(), slip: self.slip.clone() }
    }
}

impl Drop for Slip {
    fn drop(&mut self) {
        if !self.opened.load(Ordering::Relaxed) {
            tell(self.host.as_ref(), Fact::Lost { name: (&self.name).into() });
        }
    }
}

impl<T> fmt::Debug for Parcel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Parcel").field(&self.slip.name).finish()
    }
}

/// Says that an effect happens which may happen once in a run.
/// [`Invariant::Effects`](crate::Invariant::Effects) is broken at the second time.
pub fn effect<C: HasIo>(cx: &Cx<C>, name: &str) {
    tell(cx.service::<LabHost>().as_ref(), Fact::Effect { name: name.into() });
}

/// A stream of frames, as its reader sees it.
/// [`Invariant::Framing`](crate::Invariant::Framing) is broken when a frame is begun after one that was
/// given up in the middle: the bytes read are the rest of that one.
#[derive(Clone)]
pub struct Stream {
    name: String,
    host: Option<Arc<LabHost>>,
}

impl Stream {
    /// A stream; `name` is for the report, and tells it from others.
    #[must_use]
    pub fn new<C: HasIo>(cx: &Cx<C>, name: impl Into<String>) -> Stream {
        Stream { name: name.into(), host: cx.service::<LabHost>() }
    }

    /// The first byte of a frame is about to be read.
    pub fn frame(&self) -> Frame {
        tell(self.host.as_ref(), Fact::FrameBegun { stream: (&self.name).into() });
        Frame { stream: self.clone(), at: None, ended: false }
    }
}

/// A frame being read, given up when dropped before its [end](Frame::end).
#[must_use = "a frame that is dropped after a part of it was read is given up"]
pub struct Frame {
    stream: Stream,
    at: Option<String>,
    ended: bool,
}

impl Frame {
    /// A part of it has been taken off the stream; `what` is for the report.
    pub fn took(&mut self, what: impl Into<String>) {
        self.at = Some(what.into());
    }

    /// Its last byte has been taken.
    pub fn end(mut self) {
        self.ended = true;
        tell(self.stream.host.as_ref(), Fact::FrameEnded);
    }
}

impl Drop for Frame {
    fn drop(&mut self) {
        if let (false, Some(at)) = (self.ended, &self.at) {
            let at = format!("after {at}");
            let stream = (&self.stream.name).into();
            tell(self.stream.host.as_ref(), Fact::FrameCut { stream, at: at.into() });
        }
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stream").field(&self.name).finish()
    }
}

impl fmt::Debug for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("stream", &self.stream.name).finish_non_exhaustive()
    }
}
