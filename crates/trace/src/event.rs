//! The owned event: what a trace holds of a kernel event, and what hosts add to it.

use crate::coding::{Decoder, Encoder, Field};
use crate::error::TraceError;
use crate::tables::{BlobId, Interner, SiteId, StrId, Tables};
use asupersync_core as kernel;
use asupersync_core::event::{Access, Resolution};
use asupersync_core::{CancelKind, ObjectId, ObligationId, RegionId, Severity, TaskId, Time};
use std::fmt;
use std::panic::Location;

/// Turns a kernel event's field into the owned one.
trait Own<T> {
    fn own(self, interner: &mut Interner) -> T;
}

impl<T> Own<T> for T {
    fn own(self, _: &mut Interner) -> T {
        self
    }
}

impl Own<StrId> for &str {
    fn own(self, interner: &mut Interner) -> StrId {
        interner.text(self)
    }
}

impl Own<Option<StrId>> for Option<&str> {
    fn own(self, interner: &mut Interner) -> Option<StrId> {
        self.map(|text| interner.text(text))
    }
}

impl Own<SiteId> for &'static Location<'static> {
    fn own(self, interner: &mut Interner) -> SiteId {
        interner.site(self)
    }
}

/// One table gives the enum, its tags in the file, and every conversion. A tag is never reused:
/// changing a row means a new tag or a new format version.
macro_rules! events {
    (
        kernel { $($tag:literal $name:ident { $($field:ident: $ty:ty),* $(,)? })* }
        host { $($(#[$host_doc:meta])* $host_tag:literal $host_name:ident { $($host_field:ident: $host_ty:ty),* $(,)? })* }
    ) => {
        /// One event of a recorded run: a kernel event with its text interned, or one of the
        /// host's own (choices, timers, injections).
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        #[allow(missing_docs, reason = "fields are named as in the kernel's events")]
        pub enum Event {
            $(
                #[doc = concat!("As `asupersync_core::Event::", stringify!($name), "`.")]
                $name { $($field: $ty),* },
            )*
            $( $(#[$host_doc])* $host_name { $($host_field: $host_ty),* }, )*
            /// A kernel event that this version of the format has no row for.
            Unknown,
        }

        impl Event {
            #[cfg_attr(not(debug_assertions), inline(always))]
            pub(crate) fn from_kernel(event: &kernel::Event<'_>, interner: &mut Interner) -> Event {
                match *event {
                    $( kernel::Event::$name { $($field),* } => {
                        $( let $field: $ty = Own::own($field, interner); )*
                        Event::$name { $($field),* }
                    } )*
                    _ => Event::Unknown,
                }
            }

            #[cfg_attr(not(debug_assertions), inline(always))]
            pub(crate) fn put(&self, out: &mut Encoder) {
                match self {
                    $( Event::$name { $($field),* } => {
                        out.byte($tag);
                        $( $field.put(out); )*
                    } )*
                    $( Event::$host_name { $($host_field),* } => {
                        out.byte($host_tag);
                        $( $host_field.put(out); )*
                    } )*
                    Event::Unknown => out.byte(UNKNOWN),
                }
            }

            /// Reads the fields of the event with this tag.
            pub(crate) fn take(tag: u8, input: &mut Decoder<'_>) -> Result<Event, TraceError> {
                Ok(match tag {
                    $( $tag => {
                        $( let $field = <$ty as Field>::take(input)?; )*
                        Event::$name { $($field),* }
                    } )*
                    $( $host_tag => {
                        $( let $host_field = <$host_ty as Field>::take(input)?; )*
                        Event::$host_name { $($host_field),* }
                    } )*
                    UNKNOWN => Event::Unknown,
                    _ => return Err(input.corrupt("no event has this tag")),
                })
            }

            /// The event's name and fields on one line.
            pub(crate) fn show(&self, tables: &Tables, out: &mut dyn fmt::Write) -> fmt::Result {
                match self {
                    $( Event::$name { $($field),* } => {
                        out.write_str(stringify!($name))?;
                        $( show_field(stringify!($field), $field, tables, out)?; )*
                    } )*
                    $( Event::$host_name { $($host_field),* } => {
                        out.write_str(stringify!($host_name))?;
                        $( show_field(stringify!($host_field), $host_field, tables, out)?; )*
                    } )*
                    Event::Unknown => out.write_str("Unknown")?,
                }
                Ok(())
            }
        }
    };
}

/// Ends the records of a file.
pub(crate) const END: u8 = 0;
const UNKNOWN: u8 = 255;

events! {
    kernel {
        1 TaskSpawned { task: TaskId, region: RegionId, by: Option<TaskId>, name: Option<StrId>, site: SiteId, finalizer: bool }
        2 SpawnRefused { region: RegionId, by: Option<TaskId> }
        3 PollBegin { task: TaskId, at: Time }
        4 PollEnd { task: TaskId, ready: bool }
        5 TaskWoken { task: TaskId, by: Option<TaskId> }
        6 WaitParked { task: TaskId, label: StrId, site: SiteId }
        7 WaitEnded { task: TaskId, label: StrId, cancelled: bool }
        8 TaskCancelRequested { task: TaskId, kind: CancelKind, severity: CancelKind }
        9 TaskCancelTold { task: TaskId }
        10 TaskEscalated { task: TaskId }
        11 TaskCompleted { task: TaskId, region: RegionId, severity: Severity }
        12 BranchOpened { task: TaskId, branch: u32 }
        13 BranchClosed { task: TaskId, branch: u32, dropped: bool }
        14 BranchesLeft { task: TaskId, open: u32 }
        15 RegionOpened { region: RegionId, parent: Option<RegionId>, by: Option<TaskId>, name: Option<StrId>, site: SiteId }
        16 RegionCancelRequested { region: RegionId, kind: CancelKind, severity: CancelKind }
        17 RegionClosing { region: RegionId }
        18 RegionFinalizing { region: RegionId }
        19 FinalizerDeferred { region: RegionId, ordinal: u32 }
        20 FinalizerStarted { region: RegionId, ordinal: u32, task: TaskId }
        21 RegionClosed { region: RegionId, live: u32, unresolved: u32 }
        22 ObligationReserved { obligation: ObligationId, task: TaskId, kind: StrId, site: SiteId }
        23 ObligationResolved { obligation: ObligationId, by: Option<TaskId>, how: Resolution }
        24 Access { task: Option<TaskId>, object: ObjectId, access: Access, label: StrId }
        25 TimerArmed { at: Time }
        26 User { task: TaskId, message: StrId }
        27 TaskSoftCancelled { task: TaskId, until: Option<Time> }
        28 RegionSoftCancelled { region: RegionId, until: Option<Time> }
        29 RegionAbandoned { region: RegionId }
        30 TaskCancelIgnored { task: TaskId }
        31 RegionCancelIgnored { region: RegionId }
        32 RegionEscalated { region: RegionId }
    }
    host {
        /// More than one transition was possible: the `index`-th of `of` was taken.
        64 Chosen { index: u32, of: u32 }
        /// Nothing could run, so the clock jumped.
        65 ClockAdvanced { to: Time }
        /// A timer armed for this time fired; the wakes that follow are its doing.
        66 TimerFired { at: Time }
        /// The host cancelled the root region before this step.
        67 CancelInjected { step: u64 }
        /// The host gave the run up after this many steps and tore its tree down.
        68 Abandoned { step: u64 }
        /// The fault of this number in the run's plan struck, or was mended.
        69 FaultInjected { number: u32 }
        /// In a recording of a production run: the clock was read, and said this.
        70 ClockRead { at: Time }
        /// In a recording: timers due by then fired; the wakes that follow are their doing.
        71 TimersDue { at: Time }
        /// In a recording: a source of bytes became ready, to be written to or else to be read from.
        72 SourceReady { source: u32, write: bool }
        /// In a recording: the machine was called, with an input of this hash, and answered.
        73 Called { label: StrId, source: u32, input: u32, answer: BlobId }
        /// In a recording: a closure on the blocking pool had ended, the one submitted as the `job`-th.
        74 BlockingEnded { job: u32 }
        /// The recording ends here, before the run: what came next cannot be replayed.
        75 RecordingStopped { why: StrId }
        /// In a run in which time races with steps: it passes, as a step of its own, and what is due by then
        /// fires; all that follows until it has passed is its doing.
        76 TimePasses { to: Time }
        /// Everything that was due has fired.
        77 TimePassed { }
        /// In such a run: the poll in progress read the clock, or set or unset a timer. Told once in a poll.
        78 ClockUsed { }
    }
}

fn show_field(
    name: &str,
    field: &impl Field,
    tables: &Tables,
    out: &mut dyn fmt::Write,
) -> fmt::Result {
    write!(out, " {name}=")?;
    field.show(tables, out)
}
