// SPDX-License-Identifier: GPL-2.0

//! The sessions that a device has for us.

use crate::{
    support::read_once::read_once,
    wire::{
        algorithm::Service,
        control::Destroy, //
    },
};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode,
        RBTreeNodeReservation, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        SpinLockIrq, //
    },
    types::ScopeGuard, //
};

/// What is known of a session.
#[derive(Clone, Copy)]
pub(in crate::transport) struct Entry {
    service: Service,
    /// The device has said that it does not know the session. The ID may be that of another session
    /// by the time the device gets a request.
    lost: bool,
}

/// Memory for the id of a session.
pub(in crate::transport) type IdNode = RBTreeNodeReservation<u64, Entry>;

/// The ids of sessions, and what is known of them.
struct Ids {
    tree: RBTree<u64, Entry>,
    count: usize,
}

impl Ids {
    fn new() -> Self {
        Self {
            tree: RBTree::new(),
            count: 0,
        }
    }

    /// Returns true if `id` is there already: the device has assigned it twice. Clears `lost`,
    /// because the device now knows a session with this ID.
    fn find_again(&mut self, id: u64) -> bool {
        let Some(entry) = self.tree.get_mut(&id) else {
            return false;
        };
        entry.lost = false;
        true
    }

    fn first(&self) -> Option<(u64, Entry)> {
        let cursor = self.tree.cursor_front()?;
        let (id, entry) = cursor.current();
        Some((*id, *entry))
    }

    /// Inserts an id. Returns the node that was there.
    fn insert(&mut self, node: RBTreeNode<u64, Entry>) -> Option<RBTreeNode<u64, Entry>> {
        let replaced = self.tree.insert(node);
        if replaced.is_none() {
            self.count += 1;
        }
        replaced
    }

    /// Removes an id. The caller drops the node when the book is not locked.
    fn remove(&mut self, id: u64) -> Option<RBTreeNode<u64, Entry>> {
        let node = self.tree.remove_node(&id)?;
        self.count -= 1;
        Some(node)
    }
}

/// The sessions that a device has for us, by the ids it gave them.
#[pin_data]
pub(super) struct SessionTable {
    #[pin]
    book: SpinLockIrq<SessionTableInner>,
    /// How often what the device knew became void; changed under the lock.
    epoch: Atomic<u32>,
    /// The epoch after the last one in which the device has given two sessions the same number; 0 if
    /// it never has.
    mixed: Atomic<u32>,
}

struct SessionTableInner {
    /// SessionTable may be created.
    open: bool,
    /// How many are being created or destroyed just now.
    busy: u32,
    ids: Ids,
    /// Those of earlier epochs, which the device may have forgotten, or not.
    old: Ids,
}

/// A session that was taken out of the book.
pub(super) struct Taken {
    id: u64,
    service: Service,
    node: RBTreeNode<u64, Entry>,
}

impl Taken {
    /// Returns the request that destroys it.
    pub(super) fn destroy(&self) -> Destroy {
        Destroy::new(self.service, self.id)
    }
}

impl SessionTable {
    /// Begins without any.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            book <- new_spinlock_irq!(SessionTableInner {
                open: true,
                busy: 0,
                ids: Ids::new(),
                old: Ids::new(),
            }),
            epoch: Atomic::new(0),
            mixed: Atomic::new(0),
        })
    }

    /// Returns the present epoch.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    /// Says that a session is being created, until the returned value is dropped; returns the
    /// epoch with it.
    ///
    /// # Errors
    ///
    /// `ENODEV`: the device is about to forget all sessions.
    pub(super) fn begin_create(&self) -> Result<(u32, impl Drop + use<'_>)> {
        let epoch = {
            let mut book = self.book.lock();
            if !book.open {
                return Err(ENODEV);
            }
            book.busy += 1;
            self.epoch()
        };
        Ok((epoch, ScopeGuard::new(|| self.book.lock().busy -= 1)))
    }

    /// Says that the device has given two sessions of an epoch the same number: it may have done
    /// requests for the one with the key of the other.
    pub(super) fn mark_untrusted(&self, epoch: u32) {
        let _book = self.book.lock();
        let after = epoch.saturating_add(1);
        if self.mixed.load(Relaxed) < after {
            self.mixed.store(after, Relaxed);
        }
    }

    /// Marks a session as lost: the device does not know it.
    pub(super) fn lose(&self, epoch: u32, id: u64) {
        let mut book = self.book.lock();
        let now = self.epoch();
        let ids = if epoch == now {
            &mut book.ids
        } else if epoch.wrapping_add(1) == now {
            // Requests of the last epoch come back after it has ended.
            &mut book.old
        } else {
            return;
        };
        if let Some(entry) = ids.tree.get_mut(&id) {
            entry.lost = true;
        }
    }

    /// Returns true if the device has given two sessions of an epoch the same number, or of a later
    /// one.
    #[inline]
    pub(super) fn is_untrusted(&self, epoch: u32) -> bool {
        epoch < read_once(&self.mixed)
    }

    /// Enters a session in the book.
    ///
    /// # Errors
    ///
    /// `EEXIST`: it is there already. `EAGAIN`: it is of an earlier epoch; the device may still have it
    /// and is asked to destroy it when it is next. `ENODEV`: the device is about to forget all sessions.
    pub(super) fn add(&self, epoch: u32, service: Service, id: u64, node: IdNode) -> Result {
        let entry = Entry {
            service,
            lost: false,
        };
        let mut book = self.book.lock();
        if epoch != self.epoch() {
            if book.old.find_again(id) {
                return Err(EEXIST);
            }
            book.old.insert(node.into_node(id, entry));
            return Err(EAGAIN);
        }
        if !book.open {
            return Err(ENODEV);
        }
        if book.ids.find_again(id) {
            return Err(EEXIST);
        }
        book.ids.insert(node.into_node(id, entry));
        Ok(())
    }

    /// Strikes a session off the book. Returns nothing if it is not there; else the device is not
    /// closed before the returned value is dropped, so that it can be told.
    pub(super) fn remove(&self, epoch: u32, id: u64) -> Option<impl Drop + use<'_>> {
        let removed = {
            let mut book = self.book.lock();
            if epoch != self.epoch() {
                return None;
            }
            let removed = book.ids.remove(id)?;
            book.busy += 1;
            removed
        };
        drop(removed);
        Some(ScopeGuard::new(|| self.book.lock().busy -= 1))
    }

    /// Begins another epoch: what the device knew is void, though it may still know it.
    ///
    /// Context: process.
    pub(super) fn start_epoch(&self) {
        let mut ids = {
            let mut book = self.book.lock();
            self.epoch.fetch_add(1, Relaxed);
            let ids = core::mem::replace(&mut book.ids, Ids::new());
            if book.old.count == 0 {
                book.old = ids;
                return;
            }
            ids
        };
        // One at a time: there may be many, and interrupts are disabled under the lock. An ID that
        // is in `old` already was never destroyed, and one DESTROY suffices. While an ID is being
        // moved, a late response to a CREATE of the last epoch with the same ID is not detected as
        // a duplicate.
        while let Some(node) = ids.first().and_then(|(id, _)| ids.remove(id)) {
            let replaced = self.book.lock().old.insert(node);
            drop(replaced);
        }
    }

    /// Takes a session of an earlier epoch that the device may know.
    pub(super) fn pop_stale(&self) -> Option<Taken> {
        self.take_first(|book| &mut book.old)
    }

    /// Puts back what [`pop_stale`](Self::pop_stale) has returned: the device was not told.
    pub(super) fn put_back(&self, taken: Taken) {
        let replaced = self.book.lock().old.insert(taken.node);
        drop(replaced);
    }

    /// Drops those of earlier epochs: the device has forgotten them.
    pub(super) fn clear_stale(&self) {
        while self.pop_stale().is_some() {}
    }

    /// Takes one of the sessions that the device may know.
    pub(super) fn pop(&self) -> Option<Taken> {
        self.take_first(|book| &mut book.ids)
    }

    /// Takes the first session that is not lost, and drops those before it.
    fn take_first(&self, ids: impl Fn(&mut SessionTableInner) -> &mut Ids) -> Option<Taken> {
        loop {
            let node = {
                let mut book = self.book.lock();
                let ids = ids(&mut book);
                let (id, entry) = ids.first()?;
                let node = ids.remove(id)?;
                if !entry.lost {
                    let service = entry.service;
                    return Some(Taken { id, service, node });
                }
                node
            };
            drop(node);
        }
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.book.lock().ids.count
    }

    /// Allows sessions to be created, or not.
    pub(super) fn set_accepting(&self, open: bool) {
        self.book.lock().open = open;
    }

    /// Returns true if none is being created or destroyed.
    pub(super) fn is_idle(&self) -> bool {
        self.book.lock().busy == 0
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_session_table)]
mod tests {
    use super::*;

    const SERVICE: Service = Service::Cipher;

    fn sessions() -> Pin<KBox<SessionTable>> {
        KBox::pin_init(SessionTable::new(), GFP_KERNEL).unwrap()
    }

    fn add(sessions: &SessionTable, epoch: u32, id: u64) -> Result {
        sessions.add(
            epoch,
            SERVICE,
            id,
            RBTreeNodeReservation::new(GFP_KERNEL).unwrap(),
        )
    }

    fn pop_stale(sessions: &SessionTable) -> Option<u64> {
        sessions.pop_stale().map(|taken| taken.id)
    }

    #[test]
    fn a_number_is_in_the_book_once() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 7), Ok(()));
        assert_eq!(add(&sessions, 0, 7), Err(EEXIST));
        assert!(sessions.remove(0, 7).is_some());
        assert!(sessions.remove(0, 7).is_none());
        assert_eq!(add(&sessions, 0, 7), Ok(()));
        assert_eq!(sessions.count(), 1);
    }

    #[test]
    fn what_comes_too_late_is_kept_to_be_destroyed() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 1), Ok(()));
        sessions.start_epoch();
        assert_eq!(add(&sessions, 0, 2), Err(EAGAIN));
        // A number that another one of that epoch has is noticed still.
        assert_eq!(add(&sessions, 0, 1), Err(EEXIST));
        // Nobody of the old epoch destroys anything of the new one.
        assert_eq!(add(&sessions, 1, 1), Ok(()));
        assert!(sessions.remove(0, 1).is_none());
        assert_eq!(pop_stale(&sessions), Some(1));
        assert_eq!(pop_stale(&sessions), Some(2));
        assert!(pop_stale(&sessions).is_none());
        assert_eq!(sessions.count(), 1);
    }

    #[test]
    fn a_lost_session_is_not_destroyed() {
        let sessions = sessions();
        for id in [1, 2, 3] {
            assert_eq!(add(&sessions, 0, id), Ok(()));
        }
        sessions.lose(0, 1);
        // Of another epoch, and one that is not there.
        sessions.lose(1, 2);
        sessions.lose(0, 7);
        sessions.start_epoch();
        assert_eq!(pop_stale(&sessions), Some(2));
        assert_eq!(pop_stale(&sessions), Some(3));
        assert!(pop_stale(&sessions).is_none());

        assert_eq!(add(&sessions, 1, 1), Ok(()));
        sessions.lose(1, 1);
        assert!(sessions.pop().is_none());
        assert_eq!(sessions.count(), 0);
    }

    #[test]
    fn a_session_may_be_lost_after_its_epoch_and_found_again() {
        let sessions = sessions();
        for id in [1, 2, 3] {
            assert_eq!(add(&sessions, 0, id), Ok(()));
        }
        sessions.lose(0, 3);
        // The device has given it out again, so it knows it.
        assert_eq!(add(&sessions, 0, 3), Err(EEXIST));
        sessions.start_epoch();
        sessions.lose(0, 1);
        assert_eq!(pop_stale(&sessions), Some(2));
        assert_eq!(pop_stale(&sessions), Some(3));
        assert!(pop_stale(&sessions).is_none());
    }

    #[test]
    fn what_the_device_was_not_told_is_put_back() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 1), Ok(()));
        sessions.start_epoch();
        let taken = sessions.pop_stale().unwrap();
        assert!(sessions.pop_stale().is_none());
        sessions.put_back(taken);
        assert_eq!(pop_stale(&sessions), Some(1));
    }

    #[test]
    fn what_was_not_destroyed_in_one_epoch_is_in_the_next() {
        let sessions = sessions();
        for (epoch, ids) in [(0, [1, 3]), (1, [1, 2])] {
            for id in ids {
                assert_eq!(add(&sessions, epoch, id), Ok(()));
            }
            assert_eq!(sessions.count(), 2);
            sessions.start_epoch();
            assert_eq!(sessions.count(), 0);
        }
        for id in [1, 2, 3] {
            assert_eq!(pop_stale(&sessions), Some(id));
        }
        assert!(pop_stale(&sessions).is_none());
    }

    #[test]
    fn what_is_made_while_the_device_is_closed_is_not_taken() {
        let sessions = sessions();
        let (epoch, busy) = sessions.begin_create().unwrap();
        sessions.set_accepting(false);
        assert!(!sessions.is_idle());
        assert_eq!(add(&sessions, epoch, 1), Err(ENODEV));
        drop(busy);
        assert!(sessions.is_idle());
        assert!(sessions.begin_create().is_err());
    }

    #[test]
    fn the_device_is_busy_until_the_destroy_request_is_sent() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 1), Ok(()));
        assert!(sessions.is_idle());
        let busy = sessions.remove(0, 1);
        assert!(busy.is_some() && !sessions.is_idle());
        // A session that is not in the book has no DESTROY request.
        assert!(sessions.remove(0, 1).is_none());
        assert!(!sessions.is_idle());
        drop(busy);
        assert!(sessions.is_idle());
    }

    #[test]
    fn the_epochs_up_to_one_with_two_of_a_number_are_mixed_up() {
        let sessions = sessions();
        assert!(!sessions.is_untrusted(0));
        sessions.mark_untrusted(0);
        assert!(sessions.is_untrusted(0) && !sessions.is_untrusted(1));
        sessions.mark_untrusted(5);
        assert!(sessions.is_untrusted(0) && sessions.is_untrusted(5) && !sessions.is_untrusted(6));
        // An earlier epoch does not lower the mark.
        sessions.mark_untrusted(2);
        assert!(sessions.is_untrusted(5) && !sessions.is_untrusted(6));
    }
}
