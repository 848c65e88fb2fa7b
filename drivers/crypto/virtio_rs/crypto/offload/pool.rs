// SPDX-License-Identifier: GPL-2.0

//! Request contexts that a synchronous transform owns.

use super::{
    context::{
        CtxStorage,
        RequestCtx, //
    },
    Offload, //
};
use crate::support::semaphore::Semaphore;
use core::ptr::NonNull;
use kernel::{
    ffi::c_int,
    new_spinlock,
    prelude::*,
    sync::{
        Arc,
        SpinLock, //
    },
    time::Msecs, //
};

/// The request contexts of a synchronous transform. An asynchronous request cannot borrow one, for it is
/// still in flight when the call returns.
///
/// A request on the caller's stack has no memory that a device can reach, and a request through a
/// template has as much as the template allows. Requests of a transform with a pool need no memory of
/// the caller: each one borrows a context here while a device works on it. The contexts are allocated
/// with the transform, so that a request allocates nothing.
///
/// # Invariants
///
/// The count of `available` is at most the number of contexts in `free`.
#[pin_data]
pub(crate) struct Pool<A: Offload> {
    #[pin]
    free: SpinLock<KVec<KBox<CtxStorage<A>>>>,
    #[pin]
    available: Semaphore,
}

impl<A: Offload> Pool<A> {
    /// The number of contexts, and so of requests of one transform that are in flight at a time.
    /// Further callers wait. More contexts would make every transform larger.
    const SIZE: usize = 4;

    /// Allocates a pool.
    ///
    /// Context: process, may sleep.
    ///
    /// # Errors
    ///
    /// `ENOMEM` if memory is exhausted.
    pub(crate) fn new() -> Result<Arc<Self>> {
        let mut free = KVec::with_capacity(Self::SIZE, GFP_KERNEL)?;
        for _ in 0..Self::SIZE {
            free.push(KBox::new(CtxStorage::new(), GFP_KERNEL)?, GFP_KERNEL)?;
        }
        Arc::pin_init(
            // INVARIANT: `free` has `SIZE` contexts.
            pin_init!(Self {
                free <- new_spinlock!(free),
                // CAST: The constant is small.
                available <- Semaphore::new(Self::SIZE as c_int),
            }),
            GFP_KERNEL,
        )
    }

    /// Borrows a context. Waits for at most `limit` while all of them are in use, and returns `None`
    /// if they still are then.
    ///
    /// Context: process, may sleep.
    pub(in crate::crypto) fn borrow(self: &Arc<Self>, limit: Msecs) -> Option<Borrowed<A>> {
        // INVARIANT: The count is decremented first.
        if !self.available.down_timeout(limit) {
            return None;
        }
        let room = self.free.lock().pop()?;
        Some(Borrowed {
            room: Some(room),
            pool: self.clone(),
        })
    }
}

/// A request context that is borrowed from a [`Pool`]. Dropping it returns the context.
pub(crate) struct Borrowed<A: Offload> {
    /// `None` only while the value is dropped.
    room: Option<KBox<CtxStorage<A>>>,
    pool: Arc<Pool<A>>,
}

impl<A: Offload> Borrowed<A> {
    /// Returns the address of the context, which is unused heap memory.
    pub(super) fn context(&mut self) -> Option<NonNull<RequestCtx<A>>> {
        self.room.as_mut().map(|room| CtxStorage::as_context(room))
    }
}

impl<A: Offload> Drop for Borrowed<A> {
    fn drop(&mut self) {
        let Some(room) = self.room.take() else {
            return;
        };
        // INVARIANT: The context is in `free` before the count is incremented.
        if self.pool.free.lock().push_within_capacity(room).is_ok() {
            self.pool.available.up();
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_crypto_pool)]
mod tests {
    use super::{
        super::{
            DeviceResult,
            Finish,
            Request, //
        },
        *,
    };
    use crate::{
        bindings,
        crypto::Area, //
    };

    struct Synchronous;

    impl Offload for Synchronous {
        type Raw = bindings::skcipher_request;
        type Tfm = ();
        type State = ();
        type Private = ();
        type Area = Area<16, 8>;
        const SYNCHRONOUS: bool = true;

        fn finalize(
            _state: &(),
            _request: &Request<'_, Self, Self::Raw>,
            _outcome: &DeviceResult<'_>,
        ) -> Finish {
            Finish::Done(Ok(()))
        }

        fn fall_back(_state: (), _request: Request<'_, Self, Self::Raw>) -> Option<Result> {
            None
        }
    }

    #[test]
    fn each_context_has_one_user() {
        let pool = Pool::<Synchronous>::new().unwrap();
        let mut borrowed = KVec::new();
        let mut addresses = KVec::new();
        while let Some(mut one) = pool.borrow(1) {
            let address = one.context().unwrap();
            assert!(!addresses.contains(&address));
            addresses.push(address, GFP_KERNEL).unwrap();
            borrowed.push(one, GFP_KERNEL).unwrap();
        }
        assert_eq!(borrowed.len(), Pool::<Synchronous>::SIZE);

        // A context that comes back is the next one to be borrowed.
        drop(borrowed.pop());
        let mut again = pool.borrow(1).unwrap();
        assert!(again.context() == addresses.last().copied());
        assert!(pool.borrow(1).is_none());
    }

    #[test]
    fn a_context_outlives_the_transform_that_owned_it() {
        let pool = Pool::<Synchronous>::new().unwrap();
        let borrowed = pool.borrow(1).unwrap();
        drop(pool);
        drop(borrowed);
    }
}
