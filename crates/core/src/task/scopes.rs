//! The cancel scopes inside one task, and the waits that belong to them.
//!
//! The task's own scope is the base. Timeouts, race branches, masks and the bodies of regions that the
//! task opened are nodes beneath it. A node is entered while its future is polled, so a wait belongs to
//! the innermost node being polled, whichever `&Cx` it was given. Everything here is plain data under
//! the task's lock; what must happen outside of it is collected in [`Effects`].
//!
//! A scope is *effectively* cancelled when it or an ancestor is, up to the nearest mask. That is
//! computed by walking up when asked, so nothing has to be kept in step downwards but the regions and
//! the word that `checkpoint` reads.

mod deadlines;

pub(crate) use deadlines::earlier;

use super::Header;
use crate::cancel::{CancelKind, CancelReason, Cancelled};
use crate::host::TimerKey;
use crate::mutant::mutant;
use crate::primitive::Ordering;
use crate::region::Region;
use crate::time::Time;
use crate::wake::WakeList;
use slab::Slab;
use smallvec::SmallVec;
use std::panic::Location;
use std::sync::Arc;
use std::task::Waker;

/// Names a node of one task's scope tree. The serial number keeps a stale key from naming its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ScopeKey {
    index: u32,
    pub(crate) serial: u32,
}

impl ScopeKey {
    pub(crate) const BASE: ScopeKey = ScopeKey { index: u32::MAX, serial: 0 };

    pub(crate) fn serial(self) -> u32 {
        self.serial
    }
}

/// What every scope has.
#[derive(Debug, Default)]
pub(crate) struct Node {
    pub(crate) cancel: Option<CancelReason>,
    /// A wait or checkpoint inside has answered `Cancelled`.
    pub(crate) told: bool,
    /// While above zero, neither this node's cancellation nor its ancestors' is seen inside.
    pub(crate) masks: u32,
    /// Asked to finish, softly.
    pub(crate) soft: bool,
}

/// A scope beneath the base.
pub(crate) struct Child {
    pub(crate) node: Node,
    pub(crate) parent: ScopeKey,
    pub(crate) serial: u32,
    /// How many scopes hang from this one directly.
    scopes: u32,
    /// How many waits do, and which of them came last.
    waits: u32,
    wait: WaitId,
    pub(crate) deadline: Option<Time>,
    /// The line to name when it passes.
    pub(crate) site: Option<&'static Location<'static>>,
    /// None where a deadline around it comes first.
    pub(crate) deadline_timer: Option<TimerKey>,
    pub(crate) cleanup_timer: Option<TimerKey>,
    /// Cleanup is over: the wrapper drops its future.
    pub(crate) escalated: bool,
    /// Wakes the wrapper around the scope's future.
    pub(crate) waker: Option<Waker>,
    /// The region whose body this scope is.
    pub(crate) region: Option<Arc<Region>>,
}

impl Child {
    pub(crate) fn new(parent: ScopeKey, deadline: Option<Time>) -> Child {
        Child {
            node: Node::default(),
            parent,
            serial: 0,
            scopes: 0,
            waits: 0,
            wait: INLINE_WAIT,
            deadline,
            site: None,
            deadline_timer: None,
            cleanup_timer: None,
            escalated: false,
            waker: None,
            region: None,
        }
    }

    /// Whether a cancellation of this scope would wake nobody who has it polled again, but for the waker kept
    /// here. (Where a wait hangs from it, that one is woken.) A region's body and what is being cleaned up are
    /// escalated by this waker besides.
    pub(crate) fn needs_waker(&self) -> bool {
        self.waits == 0 || self.region.is_some() || self.node.cancel.is_some()
    }

    /// Disarms the timers of a scope that has been taken away.
    #[inline]
    pub(crate) fn disarm(self, header: &Header) {
        for timer in [self.deadline_timer, self.cleanup_timer].into_iter().flatten() {
            header.region.host.disarm_timer(timer);
        }
    }
}

/// A parked wait.
pub(crate) struct WaitEntry {
    pub(crate) waker: Option<Waker>,
    pub(crate) scope: ScopeKey,
    pub(crate) label: &'static str,
    pub(crate) site: &'static Location<'static>,
}

impl WaitEntry {
    pub(crate) const SOFT_CANCEL: &'static str = "soft_cancelled";

    fn is_for_soft_cancel(&self) -> bool {
        self.label == Self::SOFT_CANCEL
    }
}

/// Names a parked wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WaitId(u32);

#[derive(Default)]
struct More {
    children: Slab<Child>,
    waits: Slab<WaitEntry>,
    pub(crate) serial: u32,
}

pub(crate) struct Scopes {
    pub(crate) base: Node,
    pub(crate) current: ScopeKey,
    /// How many scopes have a reason to be cancelled. Where none has, most questions are answered.
    cancelled: u32,
    /// Since everything was passed on last, a scope kept a waker while some scope was cancelled: it may be one
    /// that the next cancellation has to wake, wherever that is.
    kept: bool,
    /// How many scopes have a deadline without a timer.
    unarmed: u32,
    /// Most tasks wait for one thing at a time; it lives here and costs no allocation.
    wait: Option<WaitEntry>,
    more: Option<Box<More>>,
}

const INLINE_WAIT: WaitId = WaitId(u32::MAX);

impl Scopes {
    pub(crate) fn new() -> Scopes {
        Scopes {
            base: Node::default(),
            current: ScopeKey::BASE,
            cancelled: 0,
            kept: false,
            unarmed: 0,
            wait: None,
            more: None,
        }
    }

    /// Whether any scope of this task is cancelled.
    #[inline]
    pub(crate) fn any_cancelled(&self) -> bool {
        self.cancelled > 0
    }

    /// Sets why a scope is cancelled. False when it has gone, or had a reason as severe.
    pub(crate) fn cancel(&mut self, key: ScopeKey, reason: &CancelReason) -> bool {
        let Some(node) = self.node_mut(key) else { return false };
        if !crate::cancel_strengthens(reason, node.cancel.as_ref()) {
            return false;
        }
        let first = node.cancel.replace(reason.clone()).is_none();
        self.cancelled += u32::from(first);
        true
    }

    pub(crate) fn child(&self, key: ScopeKey) -> Option<&Child> {
        let child = self.more.as_ref()?.children.get(key.index as usize)?;
        (child.serial == key.serial).then_some(child)
    }

    pub(crate) fn child_mut(&mut self, key: ScopeKey) -> Option<&mut Child> {
        let child = self.more.as_mut()?.children.get_mut(key.index as usize)?;
        (child.serial == key.serial).then_some(child)
    }

    pub(crate) fn node_mut(&mut self, key: ScopeKey) -> Option<&mut Node> {
        if key == ScopeKey::BASE {
            return Some(&mut self.base);
        }
        self.child_mut(key).map(|child| &mut child.node)
    }

    /// A key whose scope is gone stands for the base.
    fn node(&self, key: ScopeKey) -> (&Node, Option<ScopeKey>) {
        match self.child(key) {
            Some(child) => (&child.node, Some(child.parent)),
            None => (&self.base, None),
        }
    }

    /// The node and its ancestors, innermost first, each with its key.
    fn upward(&self, key: ScopeKey) -> impl Iterator<Item = (ScopeKey, &Node)> {
        let mut next = Some(key);
        std::iter::from_fn(move || {
            let key = next?;
            let (node, parent) = self.node(key);
            next = parent;
            Some((key, node))
        })
    }

    /// The scope and its ancestors up to the nearest mask.
    fn unmasked(&self, key: ScopeKey) -> impl Iterator<Item = (ScopeKey, &Node)> {
        self.upward(key).take_while(|(_, node)| node.masks == 0 || mutant!(MaskIgnored))
    }

    /// Why the scope counts as cancelled, if it does.
    #[inline]
    pub(crate) fn effective(&self, key: ScopeKey) -> Option<&CancelReason> {
        if self.cancelled == 0 {
            return None;
        }
        self.unmasked(key).find_map(|(_, node)| node.cancel.as_ref())
    }

    /// Why the scope or an ancestor is cancelled, masks or not.
    pub(crate) fn reason_behind_masks(&self, key: ScopeKey) -> Option<CancelReason> {
        self.upward(key).find_map(|(_, node)| node.cancel.clone())
    }

    /// The reason that a wait in the scope has already been given, if any.
    pub(crate) fn told_reason(&self, key: ScopeKey) -> Option<CancelReason> {
        self.unmasked(key).find_map(|(_, node)| node.told.then(|| node.cancel.clone()).flatten())
    }

    /// Whether the scope or an ancestor was asked to finish. Masks do not matter: it is only a wish.
    pub(crate) fn is_soft(&self, key: ScopeKey) -> bool {
        self.upward(key).any(|(_, node)| node.soft)
    }

    /// Wakes the waits for a soft cancellation.
    pub(crate) fn wake_soft(&mut self, effects: &mut Effects) {
        let more = self.more.iter_mut().flat_map(|more| more.waits.iter_mut().map(|(_, w)| w));
        for wait in self.wait.iter_mut().chain(more).filter(|wait| wait.is_for_soft_cancel()) {
            effects.wake(wait.waker.take());
        }
    }

    fn is_within(&self, key: ScopeKey, ancestor: ScopeKey) -> bool {
        self.upward(key).any(|(key, _)| key == ancestor)
    }

    /// The region whose body the scope is part of, if this task opened it.
    pub(crate) fn enclosing_region(&self, key: ScopeKey) -> Option<Arc<Region>> {
        let mut next = Some(key);
        while let Some(child) = next.and_then(|key| self.child(key)) {
            if let Some(region) = &child.region {
                return Some(Arc::clone(region));
            }
            next = Some(child.parent);
        }
        None
    }

    /// Adds a scope beneath `child.parent`.
    pub(crate) fn insert(&mut self, mut child: Child) -> ScopeKey {
        self.count_scopes(child.parent, 1);
        let more = self.more.get_or_insert_default();
        more.serial += 1;
        let serial = more.serial;
        child.serial = serial;
        let unarmed = u32::from(child.is_unarmed());
        let index = more.children.insert(child) as u32;
        self.unarmed += unarmed;
        ScopeKey { index, serial }
    }

    /// Takes a scope away. What was beneath it now hangs from its parent.
    pub(crate) fn remove(&mut self, key: ScopeKey) -> Option<Child> {
        self.child(key)?;
        let more = self.more.as_mut()?;
        let removed = more.children.remove(key.index as usize);
        if removed.scopes > 0 {
            for (_, child) in &mut more.children {
                if child.parent == key {
                    child.parent = removed.parent;
                }
            }
        }
        if removed.waits > 0 {
            for wait in self.wait.iter_mut().chain(more.waits.iter_mut().map(|(_, wait)| wait)) {
                if wait.scope == key {
                    wait.scope = removed.parent;
                }
            }
        }
        self.cancelled -= u32::from(removed.node.cancel.is_some());
        self.unarmed -= u32::from(removed.is_unarmed());
        if let Some(parent) = self.child_mut(removed.parent) {
            parent.scopes += removed.scopes;
            parent.scopes -= 1;
            parent.waits += removed.waits;
        }
        if self.current == key {
            self.current = removed.parent;
        }
        Some(removed)
    }

    /// Hangs a scope from another parent.
    pub(crate) fn move_to(&mut self, key: ScopeKey, parent: ScopeKey) {
        let Some(child) = self.child_mut(key) else { return };
        let before = std::mem::replace(&mut child.parent, parent);
        self.count_scopes(before, 1_u32.wrapping_neg());
        self.count_scopes(parent, 1);
    }

    /// Adds to the scopes that hang from one; the base does not count.
    fn count_scopes(&mut self, key: ScopeKey, more: u32) {
        if let Some(child) = self.child_mut(key) {
            child.scopes = child.scopes.wrapping_add(more);
        }
    }

    /// A wait hangs from the scope from now on.
    fn hang(&mut self, id: WaitId, scope: ScopeKey) {
        if let Some(child) = self.child_mut(scope) {
            child.waits += 1;
            child.wait = id;
        }
    }

    /// A wait no longer hangs from the scope. Its waker stays with a scope that has no other, if this is another
    /// one's doing: the branch is not being polled, and is still to be told of its cancellation. Otherwise it
    /// is answered, for it is not to be dropped under the lock.
    fn unhang(&mut self, scope: ScopeKey, waker: Option<Waker>) -> Option<Waker> {
        let elsewhere = self.current != scope;
        let Some(child) = self.child_mut(scope) else { return waker };
        child.waits -= 1;
        if elsewhere && child.waits == 0 && child.waker.is_none() {
            child.waker = waker;
            self.keeps();
            return None;
        }
        waker
    }

    /// A scope keeps a waker from now on.
    pub(crate) fn keeps(&mut self) {
        self.kept |= self.cancelled > 0;
    }

    pub(crate) fn park(&mut self, entry: WaitEntry) -> WaitId {
        let scope = entry.scope;
        let id = if self.wait.is_none() {
            self.wait = Some(entry);
            INLINE_WAIT
        } else {
            WaitId(self.more.get_or_insert_default().waits.insert(entry) as u32)
        };
        self.hang(id, scope);
        id
    }

    /// The wait, which belongs to this scope from now on.
    pub(crate) fn wait_in(&mut self, id: WaitId, scope: ScopeKey) -> Option<&mut WaitEntry> {
        let wait = self.wait_mut(id)?;
        let before = std::mem::replace(&mut wait.scope, scope);
        if before != scope {
            let waker = wait.waker.take();
            let waker = self.unhang(before, waker);
            self.hang(id, scope);
            self.wait_mut(id)?.waker = waker;
        }
        self.wait_mut(id)
    }

    fn wait_mut(&mut self, id: WaitId) -> Option<&mut WaitEntry> {
        if id == INLINE_WAIT {
            return self.wait.as_mut();
        }
        self.more.as_mut()?.waits.get_mut(id.0 as usize)
    }

    pub(crate) fn unpark(&mut self, id: WaitId) -> Option<WaitEntry> {
        let mut entry = if id == INLINE_WAIT {
            self.wait.take()
        } else {
            self.more.as_mut()?.waits.try_remove(id.0 as usize)
        }?;
        let waker = entry.waker.take();
        entry.waker = self.unhang(entry.scope, waker);
        Some(entry)
    }

    pub(crate) fn waits(&self) -> impl Iterator<Item = &WaitEntry> {
        let more = self.more.iter().flat_map(|more| more.waits.iter().map(|(_, wait)| wait));
        self.wait.iter().chain(more)
    }

    /// Regions opened here whose futures are still alive, with the scopes that are their bodies.
    pub(crate) fn regions(&self) -> impl Iterator<Item = &Arc<Region>> {
        let children = self.more.iter().flat_map(|more| more.children.iter());
        children.filter_map(|(_, child)| child.region.as_ref())
    }

    /// Those of them whose bodies are scopes beneath this one.
    pub(crate) fn regions_within(&self, key: ScopeKey) -> Vec<Arc<Region>> {
        let beneath = self.keys().filter(|inner| *inner != key && self.is_within(*inner, key));
        beneath.filter_map(|inner| self.child(inner)?.region.clone()).collect()
    }

    /// Whether a future polled in the cancelled scope `key` can no longer be reached by its cancellation:
    /// it is pending, but not in a kernel wait, a mask or a region of its own.
    pub(crate) fn is_stuck(&self, key: ScopeKey) -> bool {
        if mutant!(ForeignNotDropped) || self.effective(key).is_none() {
            return false;
        }
        if self.waits().any(|wait| self.is_within(wait.scope, key)) {
            return false;
        }
        let Some(more) = &self.more else { return self.base.masks == 0 };
        let inside = |(index, child): (usize, &Child)| {
            let inner = ScopeKey { index: index as u32, serial: child.serial };
            inner != key
                && (child.node.masks > 0 || child.region.is_some())
                && self.is_within(inner, key)
        };
        !more.children.iter().any(inside)
    }

    /// Brings everything in step after a cancellation or mask has changed: the word that `checkpoint`
    /// reads, the waits to be woken, the regions to be cancelled. Answers whether anything was woken.
    #[inline]
    pub(crate) fn propagate(&mut self, header: &Header, effects: &mut Effects) -> bool {
        self.publish(header);
        // A task nothing of which is cancelled has nothing to pass on.
        self.cancelled > 0 && !mutant!(CancelWakesNobody) && self.pass_on(effects)
    }

    /// The same after the cancellation of one scope, without a look at what does not hang from it.
    pub(crate) fn propagate_from(
        &mut self,
        key: ScopeKey,
        header: &Header,
        effects: &mut Effects,
    ) -> bool {
        let only = if self.kept { None } else { self.only_wait(key) };
        let Some(wait) = only else { return self.propagate(header, effects) };
        self.publish(header);
        if self.effective(key).is_none() || mutant!(CancelWakesNobody) {
            return false;
        }
        let before = effects.woken;
        if let Some(wait) = wait.and_then(|id| self.wait_mut(id)) {
            effects.wake(wait.waker.take());
        }
        if let Some(child) = self.child_mut(key) {
            effects.wake(child.waker.take());
        }
        effects.woken > before
    }

    /// All that hangs from the scope, if that is at most one wait and the wait is at hand.
    fn only_wait(&mut self, key: ScopeKey) -> Option<Option<WaitId>> {
        let child = self.child(key)?;
        match (child.scopes, child.waits, &child.region) {
            (0, 0, None) => Some(None),
            (0, 1, None) => {
                let wait = child.wait;
                // The last to come may have gone before the others.
                self.wait_mut(wait).is_some_and(|found| found.scope == key).then_some(Some(wait))
            }
            _ => None,
        }
    }

    fn pass_on(&mut self, effects: &mut Effects) -> bool {
        self.kept = false;
        let before = effects.woken;
        if let Some(mut wait) = self.wait.take() {
            if self.effective(wait.scope).is_some() {
                effects.wake(wait.waker.take());
            }
            self.wait = Some(wait);
        }
        // The slabs are set aside so that the tree can be read while they are written.
        let Some(mut more) = self.more.take() else { return effects.woken > before };
        let mut waits = std::mem::take(&mut more.waits);
        self.more = Some(more);
        for (_, wait) in &mut waits {
            if self.effective(wait.scope).is_some() {
                effects.wake(wait.waker.take());
            }
        }
        let keys: SmallVec<[ScopeKey; 8]> = self.keys().collect();
        for key in keys {
            let reason = self.effective(key).cloned();
            let inherited = self.child(key).and_then(|child| self.effective(child.parent)).cloned();
            let Some(child) = self.child_mut(key) else { continue };
            if reason.is_some() {
                effects.wake(child.waker.take());
            }
            if let (Some(region), Some(reason)) = (&child.region, inherited) {
                if reason.strengthens(child.node.cancel.as_ref()) {
                    effects.regions.push((region.clone(), reason));
                    effects.woken += 1;
                }
            }
        }
        if let Some(more) = &mut self.more {
            more.waits = waits;
        }
        effects.woken > before
    }

    /// Writes the word that `checkpoint` reads.
    #[inline]
    pub(crate) fn publish(&self, header: &Header) {
        // Otherwise it is 0, and stays so. Relaxed: written under this lock only.
        if self.cancelled > 0 || header.eff.load(Ordering::Relaxed) != 0 {
            let word = self.effective(self.current).map_or(0, |reason| encode(reason.cancelled()));
            // Release pairs with the Acquire of `checkpoint`; the reason itself is read under the lock.
            header.eff.store(word, Ordering::Release);
        }
        // Relaxed: read only by the thread that polls the task, which is the one that enters scopes.
        header.nested.store(self.current != ScopeKey::BASE, Ordering::Relaxed);
    }

    fn keys(&self) -> impl Iterator<Item = ScopeKey> {
        let children = self.more.iter().flat_map(|more| more.children.iter());
        children.map(|(index, child)| ScopeKey { index: index as u32, serial: child.serial })
    }
}

/// Marks every cancelled scope between `key` and the nearest mask as told. Answers with the innermost
/// cancellation, and whether the task's own scope was told for the first time.
pub(crate) fn told(scopes: &mut Scopes, key: ScopeKey) -> Option<(Cancelled, bool)> {
    let cancelled = scopes.effective(key)?.cancelled();
    let keys: SmallVec<[ScopeKey; 8]> = scopes
        .unmasked(key)
        .filter(|(_, node)| node.cancel.is_some())
        .map(|(key, _)| key)
        .collect();
    let mut first_time = false;
    for key in keys {
        if let Some(node) = scopes.node_mut(key) {
            first_time |= key == ScopeKey::BASE && !node.told;
            node.told = true;
        }
    }
    Some((cancelled, first_time))
}

/// What a change under a task's lock entails outside of it.
#[derive(Default)]
pub(crate) struct Effects {
    wakers: WakeList,
    pub(crate) regions: Vec<(Arc<Region>, CancelReason)>,
    woken: usize,
}

impl Effects {
    pub(crate) fn wake(&mut self, waker: Option<Waker>) {
        if let Some(waker) = waker {
            self.wakers.push(waker);
            self.woken += 1;
        }
    }

    /// Wakes what was collected so far and leaves the regions.
    pub(crate) fn wake_now(&mut self) {
        if !self.wakers.is_empty() {
            std::mem::take(&mut self.wakers).wake();
        }
    }

    /// Wakes the waits, then cancels the regions. Called with no lock held.
    pub(crate) fn run(mut self) {
        self.wake_now();
        if !self.regions.is_empty() {
            crate::region::cancel_all(self.regions);
        }
    }
}

/// Packs a cancellation into the word that `checkpoint` reads; never 0.
pub(crate) fn encode(cancelled: Cancelled) -> u32 {
    1 | (cancelled.kind() as u32) << 8 | (cancelled.severity() as u32) << 16
}

/// Unpacks what [`encode`] packed.
pub(crate) fn decode(word: u32) -> Cancelled {
    let kind = CancelKind::from_rank((word >> 8) as u8);
    let severity = CancelKind::from_rank((word >> 16) as u8);
    Cancelled::new(kind, severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beneath(scopes: &mut Scopes, parent: ScopeKey) -> ScopeKey {
        scopes.insert(Child::new(parent, None))
    }

    #[test]
    fn a_mask_hides_its_own_and_outer_cancellations_but_not_inner_ones() {
        let mut scopes = Scopes::new();
        let mask = beneath(&mut scopes, ScopeKey::BASE);
        let inner = beneath(&mut scopes, mask);
        assert!(scopes.cancel(ScopeKey::BASE, &CancelReason::user("outer")));
        scopes.node_mut(mask).unwrap().masks = 1;
        assert!(scopes.effective(inner).is_none());
        assert!(scopes.effective(ScopeKey::BASE).is_some());
        assert!(scopes.cancel(inner, &CancelReason::user("inner")));
        assert_eq!(scopes.effective(inner).unwrap().message(), Some("inner"));
    }

    #[test]
    fn removing_a_scope_hangs_its_children_from_its_parent() {
        let mut scopes = Scopes::new();
        let outer = beneath(&mut scopes, ScopeKey::BASE);
        let middle = beneath(&mut scopes, outer);
        let inner = beneath(&mut scopes, middle);
        scopes.remove(middle);
        assert!(scopes.is_within(inner, outer));
        assert!(scopes.child(middle).is_none());
    }

    #[test]
    fn every_cancellation_survives_the_packed_word() {
        for kind in CancelKind::ALL {
            for severity in CancelKind::ALL {
                let cancelled = Cancelled::new(kind, severity);
                assert_eq!(decode(encode(cancelled)), cancelled);
                assert_ne!(encode(cancelled), 0);
            }
        }
    }
}
