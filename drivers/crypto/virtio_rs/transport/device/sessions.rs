// SPDX-License-Identifier: GPL-2.0

//! The sessions that a device has for us.

use crate::{
    support::read_once::read_once,
    wire::algorithm::Service, //
};
use kernel::{
    new_spinlock_irq,
    prelude::*,
    rbtree::{
        RBTree,
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

/// The ids of sessions, and the services they are of.
type Ids = RBTree<u64, Service>;

/// The sessions that a device has for us, by the ids it gave them.
#[pin_data]
pub(super) struct Sessions {
    #[pin]
    book: SpinLockIrq<Book>,
    /// How often what the device knew became void; changed under the lock.
    epoch: Atomic<u32>,
    /// The epoch after the last one in which the device has given two sessions the same number; 0 if
    /// it never has.
    mixed: Atomic<u32>,
}

struct Book {
    /// Sessions may be created.
    open: bool,
    /// How many are being created or destroyed just now.
    busy: u32,
    ids: Ids,
    /// Those of earlier epochs, which the device may have forgotten, or not.
    old: Ids,
}

impl Sessions {
    /// Begins without any.
    pub(super) fn new() -> impl PinInit<Self> {
        pin_init!(Self {
            book <- new_spinlock_irq!(Book {
                open: true,
                busy: 0,
                ids: RBTree::new(),
                old: RBTree::new(),
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
    pub(super) fn creating(&self) -> Result<(u32, impl Drop + use<'_>)> {
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
    pub(super) fn mix_up(&self, epoch: u32) {
        self.mixed.store(epoch.saturating_add(1), Relaxed);
    }

    /// Returns true if the device has given two sessions of an epoch the same number, or of a later
    /// one.
    #[inline]
    pub(super) fn is_mixed_up(&self, epoch: u32) -> bool {
        epoch < read_once(&self.mixed)
    }

    /// Enters a session in the book.
    ///
    /// # Errors
    ///
    /// `EEXIST`: it is there already. `EAGAIN`: it is of an earlier epoch; the device may still have it
    /// and is asked to destroy it when it is next. `ENODEV`: the device is about to forget all sessions.
    pub(super) fn add(
        &self,
        epoch: u32,
        service: Service,
        id: u64,
        node: RBTreeNodeReservation<u64, Service>,
    ) -> Result {
        let mut book = self.book.lock();
        if epoch != self.epoch() {
            if book.old.get(&id).is_some() {
                return Err(EEXIST);
            }
            book.old.insert(node.into_node(id, service));
            return Err(EAGAIN);
        }
        if !book.open {
            return Err(ENODEV);
        }
        if book.ids.get(&id).is_some() {
            return Err(EEXIST);
        }
        book.ids.insert(node.into_node(id, service));
        Ok(())
    }

    /// Strikes a session off the book. Returns nothing if it is not there; else the device is not
    /// closed before the returned value is dropped, so that it can be told.
    pub(super) fn remove(&self, epoch: u32, id: u64) -> Option<impl Drop + use<'_>> {
        {
            let mut book = self.book.lock();
            if epoch != self.epoch() {
                return None;
            }
            book.ids.remove_node(&id)?;
            book.busy += 1;
        }
        Some(ScopeGuard::new(|| self.book.lock().busy -= 1))
    }

    /// Begins another epoch: what the device knew is void, though it may still know it.
    pub(super) fn forget(&self) {
        let mut book = self.book.lock();
        self.epoch.fetch_add(1, Relaxed);
        while let Some(id) = book.ids.cursor_front().map(|cursor| *cursor.current().0) {
            if let Some(node) = book.ids.remove_node(&id) {
                // An id that is there already was never destroyed: one DESTROY is as good as two.
                book.old.insert(node);
            }
        }
    }

    /// Takes one of the sessions of earlier epochs.
    pub(super) fn take_old(&self) -> Option<(u64, Service)> {
        let mut book = self.book.lock();
        Self::take_first(&mut book.old)
    }

    /// Drops those of earlier epochs: the device has forgotten them.
    pub(super) fn drop_old(&self) {
        while self.take_old().is_some() {}
    }

    /// Takes one of the sessions.
    pub(super) fn take(&self) -> Option<(u64, Service)> {
        let mut book = self.book.lock();
        Self::take_first(&mut book.ids)
    }

    fn take_first(ids: &mut Ids) -> Option<(u64, Service)> {
        let id = ids.cursor_front().map(|cursor| *cursor.current().0)?;
        let service = ids.remove_node(&id).map(|node| node.to_key_value().1)?;
        Some((id, service))
    }

    /// Returns how many there are.
    pub(super) fn count(&self) -> usize {
        self.book.lock().ids.iter().count()
    }

    /// Allows sessions to be created, or not.
    pub(super) fn set_open(&self, open: bool) {
        self.book.lock().open = open;
    }

    /// Returns true if none is being created or destroyed.
    pub(super) fn is_idle(&self) -> bool {
        self.book.lock().busy == 0
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_transport_sessions)]
mod tests {
    use super::*;

    const SERVICE: Service = Service::Cipher;

    fn sessions() -> Pin<KBox<Sessions>> {
        KBox::pin_init(Sessions::new(), GFP_KERNEL).unwrap()
    }

    fn add(sessions: &Sessions, epoch: u32, id: u64) -> Result {
        sessions.add(
            epoch,
            SERVICE,
            id,
            RBTreeNodeReservation::new(GFP_KERNEL).unwrap(),
        )
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
        sessions.forget();
        assert_eq!(add(&sessions, 0, 2), Err(EAGAIN));
        // A number that another one of that epoch has is noticed still.
        assert_eq!(add(&sessions, 0, 1), Err(EEXIST));
        // Nobody of the old epoch destroys anything of the new one.
        assert_eq!(add(&sessions, 1, 1), Ok(()));
        assert!(sessions.remove(0, 1).is_none());
        assert_eq!(sessions.take_old().map(|(id, _)| id), Some(1));
        assert_eq!(sessions.take_old().map(|(id, _)| id), Some(2));
        assert!(sessions.take_old().is_none());
        assert_eq!(sessions.count(), 1);
    }

    #[test]
    fn what_is_made_while_the_device_is_closed_is_not_taken() {
        let sessions = sessions();
        let (epoch, busy) = sessions.creating().unwrap();
        sessions.set_open(false);
        assert!(!sessions.is_idle());
        assert_eq!(add(&sessions, epoch, 1), Err(ENODEV));
        drop(busy);
        assert!(sessions.is_idle());
        assert!(sessions.creating().is_err());
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
        assert!(!sessions.is_mixed_up(0));
        sessions.mix_up(0);
        assert!(sessions.is_mixed_up(0) && !sessions.is_mixed_up(1));
        sessions.mix_up(5);
        assert!(sessions.is_mixed_up(0) && sessions.is_mixed_up(5) && !sessions.is_mixed_up(6));
    }
}
