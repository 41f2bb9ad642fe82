//! Memory in chunks: handed out from one end, and given back all at once.
//!
//! A value that needs to be dropped stands behind a link to the one put before it, so the arena keeps no list
//! beside its chunks, and what needs no drop takes its own size and nothing else.

use crate::wake::drop_quietly;
use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;

/// Bytes of the first chunk; each is twice as large as the one before.
const FIRST: usize = 512;
/// How often a chunk doubles: up to 64 KiB.
const DOUBLINGS: usize = 7;
/// What a chunk is aligned to at least, so that few values need a gap before them.
const ALIGN: usize = 16;

pub(super) struct Arena {
    chunks: Vec<Chunk>,
    /// Where the unused part of the newest shared chunk begins, and how long it is.
    free: NonNull<u8>,
    left: usize,
    /// The newest value that needs to be dropped.
    last: Option<NonNull<Link>>,
}

struct Chunk {
    start: NonNull<u8>,
    layout: Layout,
}

/// Stands before a value that needs to be dropped.
#[derive(Clone, Copy)]
struct Link {
    before: Option<NonNull<Link>>,
    drop: unsafe fn(NonNull<Link>),
}

/// `repr(C)`: the link is first, so that a pointer to the whole is one to the link.
#[repr(C)]
struct Linked<T> {
    link: Link,
    value: T,
}

// SAFETY: its pointers are to memory that it alone owns, and `put` takes only values that are `Send`.
unsafe impl Send for Arena {}

impl Arena {
    pub(super) const fn new() -> Arena {
        Arena { chunks: Vec::new(), free: NonNull::dangling(), left: 0, last: None }
    }

    /// Puts the value where it stays until the arena is dropped.
    pub(super) fn put<T: Send + Sync + 'static>(&mut self, value: T) -> NonNull<T> {
        if !std::mem::needs_drop::<T>() {
            let place = self.place::<T>();
            // SAFETY: `place` is room for a `T` that nobody else has.
            unsafe { place.write(value) };
            return place;
        }
        let place = self.place::<Linked<T>>();
        let link = Link { before: self.last, drop: drop_linked::<T> };
        // SAFETY: `place` is room for a `Linked<T>` that nobody else has.
        unsafe { place.write(Linked { link, value }) };
        self.last = Some(place.cast());
        // SAFETY: a field of what was just written; only its address is taken.
        unsafe { NonNull::new_unchecked(&raw mut (*place.as_ptr()).value) }
    }

    /// Room for a `T`.
    fn place<T>(&mut self) -> NonNull<T> {
        let layout = Layout::new::<T>();
        if layout.size() == 0 {
            return NonNull::dangling();
        }
        self.take(layout).unwrap_or_else(|| self.grow(layout)).cast()
    }

    /// Room in the newest chunk.
    #[inline]
    fn take(&mut self, layout: Layout) -> Option<NonNull<u8>> {
        let gap = self.free.align_offset(layout.align());
        let needed = gap.checked_add(layout.size()).filter(|needed| *needed <= self.left)?;
        // SAFETY: behind `free` are `left` bytes of one allocation, which are no fewer than the gap and what
        // is asked for.
        let (place, free) = unsafe { (self.free.add(gap), self.free.add(needed)) };
        (self.free, self.left) = (free, self.left - needed);
        Some(place)
    }

    /// Room in a new chunk. What would fill the better half of it gets one of its own, and the newest stays in use.
    #[cold]
    fn grow(&mut self, wanted: Layout) -> NonNull<u8> {
        let size = FIRST << self.chunks.len().min(DOUBLINGS);
        let own = wanted.size() > size / 2;
        let size = if own { wanted.size() } else { size };
        let layout = Layout::from_size_align(size, wanted.align().max(ALIGN));
        let layout = layout.expect("a value that exists has a size that can be asked for");
        self.chunks.reserve(1);
        // SAFETY: `wanted` is of a value with a size, and `size` is no smaller.
        let start = unsafe { alloc(layout) };
        let Some(start) = NonNull::new(start) else { handle_alloc_error(layout) };
        self.chunks.push(Chunk { start, layout });
        if !own {
            // SAFETY: the chunk is larger than what is wanted.
            self.free = unsafe { start.add(wanted.size()) };
            self.left = size - wanted.size();
        }
        start
    }
}

impl Drop for Arena {
    /// Drops what needs it, the newest first, and gives the memory back. A value's panic harms no other.
    fn drop(&mut self) {
        while let Some(link) = self.last {
            // SAFETY: links stand in chunks, which are still there, and are written before they are linked.
            let Link { before, drop } = unsafe { link.read() };
            self.last = before;
            // SAFETY: `drop` was made for the value behind this link; as the link is no longer in the list it
            // is not dropped again.
            unsafe { drop(link) };
        }
        for Chunk { start, layout } in self.chunks.drain(..) {
            // SAFETY: allocated with this layout, and no longer in the list.
            unsafe { dealloc(start.as_ptr(), layout) };
        }
    }
}

/// Drops the value behind the link.
///
/// # Safety
/// The link is that of a `Linked<T>` whose value was not dropped and is not used again.
unsafe fn drop_linked<T>(link: NonNull<Link>) {
    struct InPlace<T>(NonNull<Linked<T>>);
    impl<T> Drop for InPlace<T> {
        fn drop(&mut self) {
            // SAFETY: `drop_linked`'s caller answers for it, and this drop runs once.
            unsafe { std::ptr::drop_in_place(&raw mut (*self.0.as_ptr()).value) }
        }
    }
    drop_quietly(InPlace::<T>(link.cast()));
}
