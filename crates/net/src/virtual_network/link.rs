//! A virtual connection without I/O, tasks or a clock: instants and bytes in, answers out.
//!
//! ```text
//!            write               due                 read
//!   end 0 ────────▶ [segment]..[segment] ──▶ .. ──▶ end 1      directions[0]
//!   end 1 ────────▶ ..                              end 0      directions[1]
//! ```
//!
//! A segment can be read once its due time has come; due times of a direction never fall. The end of
//! a direction (`fin`) and a reset travel behind the segments that were sent before them.

use super::options::VirtualOptions;
use super::rng::Rng;
use asupersync_core::Time;
use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;

/// What an operation answers.
#[derive(Debug)]
pub(crate) enum Answer<T> {
    /// It happened.
    Done(T),
    /// Not now. At the given time, if there is one, something changes by itself; before that only the
    /// other end, or the network, can change it.
    Wait(Option<Time>),
}

/// Something that will never happen by itself.
const NEVER: Time = Time::MAX;

#[derive(Debug)]
pub(crate) struct Link {
    options: Arc<VirtualOptions>,
    /// `directions[i]` carries what end `i` writes.
    directions: [Direction; 2],
    ends: [End; 2],
}

#[derive(Debug)]
struct Direction {
    rng: Rng,
    segments: VecDeque<Segment>,
    /// Bytes written and not read.
    buffered: usize,
    last_due: Time,
    /// Until then the line is busy with what was sent.
    busy_until: Time,
    fin: Option<Time>,
    /// Nothing arrives while the path is cut; it waits for `heal`.
    cut: bool,
}

#[derive(Debug)]
struct Segment {
    due: Time,
    bytes: Box<[u8]>,
    start: usize,
}

#[derive(Debug, Default)]
struct End {
    /// Nobody owns this end any more.
    gone: bool,
    read_shut: bool,
    /// When this end learns that the connection was reset.
    reset: Option<Time>,
}

impl Link {
    pub(crate) fn new(options: Arc<VirtualOptions>, rngs: [Rng; 2]) -> Link {
        let directions = rngs.map(|rng| Direction {
            rng,
            segments: VecDeque::new(),
            buffered: 0,
            last_due: Time::ZERO,
            busy_until: Time::ZERO,
            fin: None,
            cut: false,
        });
        Link { options, directions, ends: [End::default(), End::default()] }
    }

    /// Reads what has arrived at `end`; 0 is the end of the stream.
    pub(crate) fn read(
        &mut self,
        end: usize,
        now: Time,
        buf: &mut [u8],
    ) -> Answer<io::Result<usize>> {
        let direction = &mut self.directions[1 - end];
        if buf.is_empty() || self.ends[end].read_shut {
            return Answer::Done(Ok(0));
        }
        let n = direction.take_arrived(now, buf, self.options.short_read);
        if n > 0 {
            return Answer::Done(Ok(n));
        }
        let reset = self.ends[end].reset;
        if reset.is_some_and(|at| at <= now) {
            return Answer::Done(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if direction.segments.is_empty() && direction.fin.is_some_and(|at| at <= now) {
            return Answer::Done(Ok(0));
        }
        Answer::Wait(self.next_at(end))
    }

    /// When something comes to this end that its reader waits for, by what is on the way now.
    pub(crate) fn next_at(&self, end: usize) -> Option<Time> {
        let direction = &self.directions[1 - end];
        let next = direction.segments.front().map(|segment| segment.due);
        earliest([next.or(direction.fin), self.ends[end].reset])
    }

    /// When the last of what `end` sent arrives.
    pub(crate) fn last_due(&self, end: usize) -> Time {
        self.directions[end].last_due
    }

    /// When segments that `end` sent arrive, those later than that.
    pub(crate) fn sent_after(&self, end: usize, time: Time) -> impl Iterator<Item = Time> {
        let mut last = time;
        let dues = self.directions[end].segments.iter().map(|segment| segment.due);
        dues.filter(move |due| *due != NEVER && std::mem::replace(&mut last, *due) < *due)
    }

    /// When anything that is under way arrives.
    pub(crate) fn instants(&self) -> impl Iterator<Item = Time> {
        let sent = [0, 1].into_iter().flat_map(|end| self.sent_after(end, Time::ZERO));
        let fins = self.directions.iter().filter_map(|direction| direction.fin);
        let resets = self.ends.iter().filter_map(|end| end.reset);
        sent.chain(fins.chain(resets).filter(|at| *at != NEVER))
    }

    /// Writes at `end` as much as the window takes.
    pub(crate) fn write(
        &mut self,
        end: usize,
        now: Time,
        bufs: &[IoSlice<'_>],
    ) -> Answer<io::Result<usize>> {
        let reset = self.ends[end].reset;
        if reset.is_some_and(|at| at <= now) {
            return Answer::Done(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if self.directions[end].fin.is_some() {
            return Answer::Done(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let total: usize = bufs.iter().map(|buf| buf.len()).sum();
        if self.ends[1 - end].gone {
            // The bytes travel there, and a reset travels back.
            let there = self.directions[end].next_due(now, &self.options);
            let back = self.directions[1 - end].next_due(there, &self.options);
            self.reset_end(end, back);
            return Answer::Done(Ok(total));
        }
        if self.ends[1 - end].reset.is_some() {
            // What is sent behind a reset arrives at nobody: the reset took the place of bytes, and
            // what comes after them may not be read in their stead.
            return Answer::Done(Ok(total));
        }
        let room = self.options.window.max(1).saturating_sub(self.directions[end].buffered);
        if room == 0 && total > 0 {
            return Answer::Wait(earliest([reset, None]));
        }
        let mut left = room;
        for buf in bufs {
            let n = buf.len().min(left);
            left -= n;
            if !self.send(end, now, &buf[..n]) {
                break;
            }
        }
        Answer::Done(Ok(total.min(room)))
    }

    /// Sends bytes as segments; false when the network reset the connection instead.
    fn send(&mut self, end: usize, now: Time, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let options = &self.options;
            let direction = &mut self.directions[end];
            let longest = bytes.len().min(options.segment.max(1));
            let length = if direction.rng.chance(options.split) {
                direction.rng.within(&(1..=longest as u64)) as usize
            } else {
                longest
            };
            let sent = direction.transmit(now, length, options);
            let due = direction.next_due(sent, options);
            if direction.rng.chance(options.reset) {
                self.reset_end(end, due);
                self.reset_end(1 - end, due);
                return false;
            }
            let (segment, rest) = bytes.split_at(length);
            direction.buffered += length;
            direction.segments.push_back(Segment { due, bytes: segment.into(), start: 0 });
            bytes = rest;
        }
        true
    }

    /// The end says that it will write no more.
    pub(crate) fn shut_write(&mut self, end: usize, now: Time) {
        let direction = &mut self.directions[end];
        if direction.fin.is_none() {
            direction.fin = Some(direction.next_due(now, &self.options));
        }
    }

    /// The end says that it will read no more; what arrives is thrown away.
    pub(crate) fn shut_read(&mut self, end: usize) {
        self.ends[end].read_shut = true;
        self.directions[1 - end].discard();
    }

    /// Nobody owns the end any more. With bytes for it on the way or unread, or if `abort`, the peer
    /// gets a reset behind what was sent; otherwise the ordinary end of the stream.
    pub(crate) fn close(&mut self, end: usize, now: Time, abort: bool) {
        if self.ends[end].gone {
            return;
        }
        self.ends[end].gone = true;
        let unread = self.directions[1 - end].buffered > 0;
        self.directions[1 - end].discard();
        if abort || unread {
            let at = self.directions[end].next_due(now, &self.options);
            self.reset_end(1 - end, at);
        } else {
            self.shut_write(end, now);
        }
    }

    /// The network resets the connection: both ends learn it now, and what has not arrived is lost.
    pub(crate) fn reset(&mut self, now: Time) {
        self.reset_end(0, now);
        self.reset_end(1, now);
    }

    fn reset_end(&mut self, end: usize, at: Time) {
        let at = self.ends[end].reset.map_or(at, |earlier| earlier.min(at));
        self.ends[end].reset = Some(at);
        let direction = &mut self.directions[1 - end];
        while let Some(last) = direction.segments.pop_back() {
            if last.due <= at {
                direction.segments.push_back(last);
                break;
            }
            direction.buffered -= last.bytes.len() - last.start;
        }
    }

    /// The machine of this end is gone without a word, and comes back knowing of no connection: its owner
    /// learns at once, the peer when it next writes.
    pub(crate) fn crash(&mut self, end: usize, now: Time) {
        self.ends[end].gone = true;
        self.ends[end].reset = Some(now);
        self.directions[1 - end].discard();
    }

    /// Behaves like this from now on.
    pub(crate) fn set_options(&mut self, options: Arc<VirtualOptions>) {
        self.options = options;
    }

    /// Cuts the path in the direction away from `end`: what has not arrived waits.
    pub(crate) fn cut(&mut self, end: usize, now: Time) {
        let direction = &mut self.directions[end];
        direction.cut = true;
        for segment in direction.segments.iter_mut().filter(|segment| segment.due > now) {
            segment.due = NEVER;
        }
        for at in [&mut direction.fin, &mut self.ends[1 - end].reset].into_iter().flatten() {
            if *at > now {
                *at = NEVER;
            }
        }
    }

    /// Mends the path in the direction away from `end`: what waited is sent again, in order.
    pub(crate) fn heal(&mut self, end: usize, now: Time) {
        let direction = &mut self.directions[end];
        if !std::mem::take(&mut direction.cut) {
            return;
        }
        direction.last_due = now;
        let due = direction.next_due(now, &self.options);
        for segment in &mut direction.segments {
            if segment.due == NEVER {
                segment.due = due;
            }
        }
        for at in [&mut direction.fin, &mut self.ends[1 - end].reset].into_iter().flatten() {
            if *at == NEVER {
                *at = due;
            }
        }
    }

    /// When each end learns of a reset.
    pub(crate) fn resets(&self) -> [Option<Time>; 2] {
        [self.ends[0].reset, self.ends[1].reset]
    }

    /// Bytes written by `end` and not yet read by the other.
    #[cfg(test)]
    pub(crate) fn buffered(&self, end: usize) -> usize {
        self.directions[end].buffered
    }
}

impl Direction {
    /// Puts bytes on the line after those before them; answers when the last is on it.
    fn transmit(&mut self, now: Time, bytes: usize, options: &VirtualOptions) -> Time {
        let Some(bandwidth) = options.bandwidth else { return now };
        let nanos = u128::from(bytes as u64) * 1_000_000_000 / u128::from(bandwidth.get());
        let took = std::time::Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.busy_until = self.busy_until.max(now) + took;
        self.busy_until
    }

    /// When something sent now arrives: after everything sent before it.
    fn next_due(&mut self, now: Time, options: &VirtualOptions) -> Time {
        let latency = options.draw_latency(&mut self.rng);
        let due = if self.cut { NEVER } else { now + latency };
        self.last_due = self.last_due.max(due);
        self.last_due
    }

    fn take_arrived(&mut self, now: Time, buf: &mut [u8], short_read: u32) -> usize {
        let mut n = 0;
        while n < buf.len() {
            let Some(segment) = self.segments.front_mut().filter(|segment| segment.due <= now)
            else {
                break;
            };
            if n > 0 && segment.start == 0 && self.rng.chance(short_read) {
                break;
            }
            let bytes = &segment.bytes[segment.start..];
            let part = bytes.len().min(buf.len() - n);
            buf[n..n + part].copy_from_slice(&bytes[..part]);
            segment.start += part;
            n += part;
            if segment.start == segment.bytes.len() {
                self.segments.pop_front();
            }
        }
        self.buffered -= n;
        n
    }

    fn discard(&mut self) {
        self.segments.clear();
        self.buffered = 0;
    }
}

fn earliest(times: [Option<Time>; 2]) -> Option<Time> {
    times.into_iter().flatten().min().filter(|&at| at != NEVER)
}

#[cfg(test)]
mod tests;
