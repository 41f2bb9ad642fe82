//! What only the program knows, told through [`Parcel`](crate::Parcel), [`Stream`](crate::Stream) and
//! [`effect`](crate::effect).

use super::tree::Tree;
use super::{Findings, Invariant, Oracle};
use asupersync_core::{DetHashMap, Event};
use std::borrow::Cow;

/// I9: what was sent arrives or is handed back, once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delivery;

/// An effect that is to happen once happens at most once.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effects {
    counts: DetHashMap<String, u64>,
}

/// A stream is read frame by frame.
#[derive(Clone, Debug, Default)]
pub(crate) struct Framing {
    /// Streams on which a frame was begun and given up, with how much of it had been read.
    cut: DetHashMap<String, String>,
}

impl Oracle for Delivery {
    const INVARIANT: Invariant = Invariant::Delivery;
    const WANTS: u32 = 0;

    fn observe(&mut self, _: &Event<'_>, _: &Tree, _: &mut Findings) {}
}

impl Oracle for Effects {
    const INVARIANT: Invariant = Invariant::Effects;
    const WANTS: u32 = 0;

    fn observe(&mut self, _: &Event<'_>, _: &Tree, _: &mut Findings) {}

    fn clear(&mut self) {
        self.counts.clear();
    }
}

impl Oracle for Framing {
    const INVARIANT: Invariant = Invariant::Framing;
    const WANTS: u32 = 0;

    fn observe(&mut self, _: &Event<'_>, _: &Tree, _: &mut Findings) {}

    fn clear(&mut self) {
        self.cut.clear();
    }
}

/// Something that a program says.
#[derive(Clone, Debug)]
pub(crate) enum Fact<'a> {
    Issued,
    Arrived { name: Cow<'a, str>, before: bool },
    Lost { name: Cow<'a, str> },
    Effect { name: Cow<'a, str> },
    FrameBegun { stream: Cow<'a, str> },
    FrameEnded,
    FrameCut { stream: Cow<'a, str>, at: Cow<'a, str> },
}

impl Fact<'_> {
    /// With copies of its texts.
    pub(crate) fn kept(self) -> Fact<'static> {
        fn own(text: Cow<'_, str>) -> Cow<'static, str> {
            Cow::Owned(text.into_owned())
        }
        match self {
            Fact::Issued => Fact::Issued,
            Fact::Arrived { name, before } => Fact::Arrived { name: own(name), before },
            Fact::Lost { name } => Fact::Lost { name: own(name) },
            Fact::Effect { name } => Fact::Effect { name: own(name) },
            Fact::FrameBegun { stream } => Fact::FrameBegun { stream: own(stream) },
            Fact::FrameEnded => Fact::FrameEnded,
            Fact::FrameCut { stream, at } => Fact::FrameCut { stream: own(stream), at: own(at) },
        }
    }
}

impl super::Oracles {
    /// Judges what a program says.
    pub(crate) fn fact(&mut self, fact: Fact<'_>) {
        let event = self.events;
        for findings in [&mut self.delivery.1, &mut self.effects.1, &mut self.framing.1] {
            findings.event = event;
        }
        match fact {
            Fact::Issued => self.delivery.1.saw(),
            Fact::Arrived { name, before } => {
                self.delivery.1.saw();
                if before {
                    self.delivery.1.broken(|| format!("{name} arrived twice"));
                }
            }
            Fact::Lost { name } => {
                self.delivery.1.saw();
                self.delivery.1.broken(|| {
                    format!("{name} neither arrived nor was handed back: it was dropped on the way")
                });
            }
            Fact::Effect { name } => {
                let (effects, findings) = &mut self.effects;
                findings.saw();
                let count = effects.counts.entry(name.clone().into_owned()).or_default();
                *count += 1;
                let count = *count;
                if count > 1 {
                    findings.broken(|| format!("{name} happened {count} times"));
                }
            }
            Fact::FrameBegun { stream } => {
                let (framing, findings) = &mut self.framing;
                findings.saw();
                if let Some(at) = framing.cut.get(&*stream) {
                    findings.broken(|| {
                        format!("{stream}: a frame is read from the middle of one given up {at}")
                    });
                }
            }
            Fact::FrameEnded => {
                self.framing.1.saw();
            }
            Fact::FrameCut { stream, at } => {
                self.framing.0.cut.insert(stream.into_owned(), at.into_owned());
            }
        }
    }
}
