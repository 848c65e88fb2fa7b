// SPDX-License-Identifier: GPL-2.0

//! The sessions of a device.

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

/// A session in the table.
#[derive(Clone, Copy)]
pub(in crate::transport) struct Entry {
    service: Service,
    /// True if the device does not know the session any more. The driver then sends no DESTROY, because the
    /// device may assign the ID to another session before it gets the DESTROY.
    lost: bool,
}

/// Memory for a session in the table.
pub(in crate::transport) type IdNode = RBTreeNodeReservation<u64, Entry>;

/// Sessions by their IDs.
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

    /// Returns true if a session has the new ID `id`, that is, if the device has assigned the ID twice. Then
    /// clears `lost`, because the device now knows a session with the ID.
    fn find_duplicate(&mut self, id: u64) -> bool {
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

    /// Inserts a session. Returns the node that was replaced.
    fn insert(&mut self, node: RBTreeNode<u64, Entry>) -> Option<RBTreeNode<u64, Entry>> {
        let replaced = self.tree.insert(node);
        if replaced.is_none() {
            self.count += 1;
        }
        replaced
    }

    /// Removes a session. The caller drops the node when the table is not locked.
    fn remove(&mut self, id: u64) -> Option<RBTreeNode<u64, Entry>> {
        let node = self.tree.remove_node(&id)?;
        self.count -= 1;
        Some(node)
    }
}

/// The sessions of a device, by the IDs that the device assigned.
#[pin_data]
pub(super) struct SessionTable {
    #[pin]
    inner: SpinLockIrq<SessionTableInner>,
    /// The current epoch, in which the IDs of `live` are valid. The epoch only changes under the lock.
    epoch: Atomic<u32>,
    /// All epochs before this one are untrusted, because the device has assigned an ID twice.
    untrusted_before: Atomic<u32>,
}

struct SessionTableInner {
    /// True if sessions may be created.
    accepting: bool,
    /// The number of sessions that are being created or destroyed.
    pending: u32,
    /// The sessions of the current epoch.
    live: Ids,
    /// The sessions of earlier epochs. The device may still know them.
    stale: Ids,
}

/// A session that was removed from the table.
pub(super) struct PoppedSession {
    id: u64,
    service: Service,
    node: RBTreeNode<u64, Entry>,
}

impl PoppedSession {
    /// Returns the request that destroys the session.
    pub(super) fn destroy(&self) -> Destroy {
        Destroy::new(self.service, self.id)
    }
}

impl SessionTable {
    /// Creates an empty table.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            inner <- new_spinlock_irq!(SessionTableInner {
                accepting: true,
                pending: 0,
                live: Ids::new(),
                stale: Ids::new(),
            }),
            epoch: Atomic::new(0),
            untrusted_before: Atomic::new(0),
        })
    }

    /// Returns the current epoch.
    ///
    /// Relaxed: without the lock, the result may be outdated at once. This does no harm, because the queue
    /// checks the epoch of a request under its own lock.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Relaxed)
    }

    /// Begins the creation of a session, which ends when the returned value is dropped. Also returns the
    /// epoch.
    ///
    /// # Errors
    ///
    /// `ENODEV` if no sessions may be created, because the device is about to be unbound or frozen.
    pub(super) fn begin_create(&self) -> Result<(u32, impl Drop + use<'_>)> {
        let epoch = {
            let mut inner = self.inner.lock();
            if !inner.accepting {
                return Err(ENODEV);
            }
            inner.pending += 1;
            self.epoch()
        };
        Ok((epoch, ScopeGuard::new(|| self.inner.lock().pending -= 1)))
    }

    /// Marks an epoch and all earlier epochs as untrusted. The device has assigned an ID twice, and may have
    /// run requests of one session with the key of another session.
    pub(super) fn mark_untrusted(&self, epoch: u32) {
        let _guard = self.inner.lock();
        let after = epoch.saturating_add(1);
        if self.untrusted_before.load(Relaxed) < after {
            self.untrusted_before.store(after, Relaxed);
        }
    }

    /// Marks a session as lost: the device does not know it any more.
    pub(super) fn lose(&self, epoch: u32, id: u64) {
        let mut inner = self.inner.lock();
        let now = self.epoch();
        let ids = if epoch == now {
            &mut inner.live
        } else if epoch.wrapping_add(1) == now {
            // Requests of the previous epoch return after its end.
            &mut inner.stale
        } else {
            return;
        };
        if let Some(entry) = ids.tree.get_mut(&id) {
            entry.lost = true;
        }
    }

    /// Returns true if an epoch is untrusted.
    ///
    /// Relaxed: the driver detects a duplicate ID on the control queue, and gets results on the data queues.
    /// The memory order does not determine which of them comes first. The requests that the device has not
    /// returned before the reset are evaluated after it, and so after the epoch was marked.
    #[inline]
    pub(super) fn is_untrusted(&self, epoch: u32) -> bool {
        epoch < read_once(&self.untrusted_before)
    }

    /// Adds a session.
    ///
    /// # Errors
    ///
    /// - `EEXIST` if the table has a session with the ID;
    /// - `EAGAIN` if the session is of an earlier epoch. It is added as a stale session, because the device may
    ///   still know it and must get a DESTROY;
    /// - `ENODEV` if no sessions may be created.
    pub(super) fn add(&self, epoch: u32, service: Service, id: u64, node: IdNode) -> Result {
        let entry = Entry {
            service,
            lost: false,
        };
        let mut inner = self.inner.lock();
        if epoch != self.epoch() {
            if inner.stale.find_duplicate(id) {
                return Err(EEXIST);
            }
            inner.stale.insert(node.into_node(id, entry));
            return Err(EAGAIN);
        }
        if !inner.accepting {
            return Err(ENODEV);
        }
        if inner.live.find_duplicate(id) {
            return Err(EEXIST);
        }
        inner.live.insert(node.into_node(id, entry));
        Ok(())
    }

    /// Removes a session. Returns `None` if the current epoch has no session with the ID, or if `epoch` is not
    /// the current epoch. The device is not unbound before the returned value is dropped, so that the caller
    /// can send the DESTROY.
    pub(super) fn remove(&self, epoch: u32, id: u64) -> Option<impl Drop + use<'_>> {
        let removed = {
            let mut inner = self.inner.lock();
            if epoch != self.epoch() {
                return None;
            }
            let removed = inner.live.remove(id)?;
            inner.pending += 1;
            removed
        };
        drop(removed);
        Some(ScopeGuard::new(|| self.inner.lock().pending -= 1))
    }

    /// Starts an epoch. All sessions become stale; the device may still know them.
    ///
    /// Context: process.
    pub(super) fn start_epoch(&self) {
        let mut ids = {
            let mut inner = self.inner.lock();
            self.epoch.fetch_add(1, Relaxed);
            let ids = core::mem::replace(&mut inner.live, Ids::new());
            if inner.stale.count == 0 {
                inner.stale = ids;
                return;
            }
            ids
        };
        // Move the sessions one at a time, because interrupts are disabled under the lock. If an ID is already
        // stale, its session was not destroyed, and one DESTROY suffices. While a session is being moved, a
        // late response to a CREATE of the previous epoch with the same ID is not detected as a duplicate.
        while let Some(node) = ids.first().and_then(|(id, _)| ids.remove(id)) {
            let replaced = self.inner.lock().stale.insert(node);
            drop(replaced);
        }
    }

    /// Removes and returns a stale session that is not lost.
    pub(super) fn pop_stale(&self) -> Option<PoppedSession> {
        self.take_first(|inner| &mut inner.stale)
    }

    /// Puts back a session that [`pop_stale`](Self::pop_stale) has returned, if no DESTROY was sent.
    pub(super) fn put_back(&self, session: PoppedSession) {
        let replaced = self.inner.lock().stale.insert(session.node);
        drop(replaced);
    }

    /// Removes all stale sessions, because the device does not know them any more.
    pub(super) fn clear_stale(&self) {
        while self.pop_stale().is_some() {}
    }

    /// Removes and returns a session of the current epoch that is not lost.
    pub(super) fn pop(&self) -> Option<PoppedSession> {
        self.take_first(|inner| &mut inner.live)
    }

    /// Removes and returns the first session that is not lost. Drops the lost sessions before it. `select`
    /// returns the live or the stale sessions.
    fn take_first(
        &self,
        select: impl Fn(&mut SessionTableInner) -> &mut Ids,
    ) -> Option<PoppedSession> {
        loop {
            let node = {
                let mut inner = self.inner.lock();
                let ids = select(&mut inner);
                let (id, entry) = ids.first()?;
                let node = ids.remove(id)?;
                if !entry.lost {
                    let service = entry.service;
                    return Some(PoppedSession { id, service, node });
                }
                node
            };
            drop(node);
        }
    }

    /// Returns the number of sessions of the current epoch.
    pub(super) fn count(&self) -> usize {
        self.inner.lock().live.count
    }

    /// Sets whether sessions may be created.
    pub(super) fn set_accepting(&self, accepting: bool) {
        self.inner.lock().accepting = accepting;
    }

    /// Returns true if no session is being created or destroyed.
    pub(super) fn is_idle(&self) -> bool {
        self.inner.lock().pending == 0
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
        sessions.pop_stale().map(|session| session.id)
    }

    #[test]
    fn an_id_is_in_the_table_once() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 7), Ok(()));
        assert_eq!(add(&sessions, 0, 7), Err(EEXIST));
        assert!(sessions.remove(0, 7).is_some());
        assert!(sessions.remove(0, 7).is_none());
        assert_eq!(add(&sessions, 0, 7), Ok(()));
        assert_eq!(sessions.count(), 1);
    }

    #[test]
    fn a_session_of_an_earlier_epoch_becomes_stale() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 1), Ok(()));
        sessions.start_epoch();
        assert_eq!(add(&sessions, 0, 2), Err(EAGAIN));
        // A duplicate ID of the earlier epoch is still detected.
        assert_eq!(add(&sessions, 0, 1), Err(EEXIST));
        // A session of the earlier epoch and a session of the current epoch may have the same ID.
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
        // A wrong epoch and an unknown ID have no effect.
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
    fn a_stale_session_can_be_lost_and_a_reassigned_id_is_not_lost() {
        let sessions = sessions();
        for id in [1, 2, 3] {
            assert_eq!(add(&sessions, 0, id), Ok(()));
        }
        sessions.lose(0, 3);
        // The device has assigned the ID again, so it knows a session with the ID.
        assert_eq!(add(&sessions, 0, 3), Err(EEXIST));
        sessions.start_epoch();
        sessions.lose(0, 1);
        assert_eq!(pop_stale(&sessions), Some(2));
        assert_eq!(pop_stale(&sessions), Some(3));
        assert!(pop_stale(&sessions).is_none());
    }

    #[test]
    fn a_session_without_a_sent_destroy_request_is_put_back() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 1), Ok(()));
        sessions.start_epoch();
        let session = sessions.pop_stale().unwrap();
        assert!(sessions.pop_stale().is_none());
        sessions.put_back(session);
        assert_eq!(pop_stale(&sessions), Some(1));
    }

    #[test]
    fn stale_sessions_of_several_epochs_are_kept() {
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
    fn a_session_is_rejected_while_no_sessions_may_be_created() {
        let sessions = sessions();
        let (epoch, pending) = sessions.begin_create().unwrap();
        sessions.set_accepting(false);
        assert!(!sessions.is_idle());
        assert_eq!(add(&sessions, epoch, 1), Err(ENODEV));
        drop(pending);
        assert!(sessions.is_idle());
        assert!(sessions.begin_create().is_err());
    }

    #[test]
    fn the_table_is_busy_until_the_destroy_request_is_sent() {
        let sessions = sessions();
        assert_eq!(add(&sessions, 0, 1), Ok(()));
        assert!(sessions.is_idle());
        let pending = sessions.remove(0, 1);
        assert!(pending.is_some() && !sessions.is_idle());
        // A session that is not in the table needs no DESTROY request.
        assert!(sessions.remove(0, 1).is_none());
        assert!(!sessions.is_idle());
        drop(pending);
        assert!(sessions.is_idle());
    }

    #[test]
    fn epochs_up_to_a_duplicate_id_are_untrusted() {
        let sessions = sessions();
        assert!(!sessions.is_untrusted(0));
        sessions.mark_untrusted(0);
        assert!(sessions.is_untrusted(0) && !sessions.is_untrusted(1));
        sessions.mark_untrusted(5);
        assert!(sessions.is_untrusted(0) && sessions.is_untrusted(5) && !sessions.is_untrusted(6));
        // Marking an earlier epoch has no effect.
        sessions.mark_untrusted(2);
        assert!(sessions.is_untrusted(5) && !sessions.is_untrusted(6));
    }
}
