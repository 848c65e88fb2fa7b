// SPDX-License-Identifier: GPL-2.0

//! Registration of algorithms that outlive their registration.
//!
//! The framework never waits for transforms when an algorithm is unregistered: they go on calling
//! it until they are freed. So an algorithm is a heap object with a reference count; the framework
//! owns one reference, which it gives back through `cra_destroy` when the last transform is gone,
//! and the [`Registration`] owns the other.
//!
//! C header: [`include/linux/crypto.h`](srctree/include/linux/crypto.h)

use crate::bindings;
use core::mem::offset_of;
use kernel::{
    error::to_result,
    ffi::c_int,
    prelude::*,
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc, //
    },
    types::Opaque, //
};

/// What all types of algorithms have in common.
#[derive(Clone, Copy)]
pub(crate) struct Names {
    /// The algorithm, `cbc(aes)` for example.
    pub(crate) name: &'static CStr,
    /// This implementation of it.
    pub(crate) driver_name: &'static CStr,
    /// Of several implementations the one with the highest priority is taken.
    pub(crate) priority: i32,
    /// In bytes.
    pub(crate) block_size: u32,
}

/// A C type of algorithm, `struct skcipher_alg` for example.
///
/// # Safety
///
/// `BASE` must be the offset of the `struct crypto_alg` embedded in the type, and `REGISTER` and
/// `UNREGISTER` the crypto API's functions for the type.
pub(crate) unsafe trait RawAlgorithm: Sized + 'static {
    /// The offset of the part that all types have, in bytes.
    const BASE: usize;

    /// Registers an algorithm, which must be filled in, and stay valid until it is destroyed.
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int;

    /// Unregisters an algorithm, which must be registered.
    const UNREGISTER: unsafe extern "C" fn(*mut Self);
}

/// An algorithm in memory of its own, and the driver's data with it.
///
/// # Invariants
///
/// Once it is registered the framework owns one reference to the `Arc` it is in, until it calls
/// `cra_destroy`, which sets `destroyed`.
#[pin_data]
pub(super) struct Entry<R: RawAlgorithm, D: Send + Sync> {
    #[pin]
    pub(super) raw: Opaque<R>,
    pub(super) data: D,
    destroyed: Atomic<u32>,
}

// SAFETY: `raw` is the framework's, which does its own locking; it is not tied to a thread.
unsafe impl<R: RawAlgorithm, D: Send + Sync> Send for Entry<R, D> {}

// SAFETY: As above.
unsafe impl<R: RawAlgorithm, D: Send + Sync> Sync for Entry<R, D> {}

impl<R: RawAlgorithm, D: Send + Sync + 'static> Entry<R, D> {
    /// Creates an entry; `raw` has all but what is the same for every type.
    pub(super) fn new(
        raw: R,
        data: D,
        names: &Names,
        module: &'static ThisModule,
    ) -> Result<Arc<Self>> {
        let this = Arc::pin_init(
            pin_init!(Self {
                raw: Opaque::new(raw),
                data,
                destroyed: Atomic::new(0),
            }),
            GFP_KERNEL,
        )?;
        let base = this.raw.get().wrapping_byte_add(R::BASE);
        // SAFETY: By the safety requirements of `RawAlgorithm` that is the address of such a struct. The
        // entry is new, so there is no other user.
        let base = unsafe { &mut *base.cast::<bindings::crypto_alg>() };
        Self::copy_name(&mut base.cra_name, names.name)?;
        Self::copy_name(&mut base.cra_driver_name, names.driver_name)?;
        base.cra_priority = names.priority;
        base.cra_blocksize = names.block_size;
        base.cra_module = module.as_ptr();
        base.cra_destroy = Some(Self::destroy_callback);
        Ok(this)
    }

    /// Returns the address of the entry that `base` is a part of, if it is a part of an entry.
    pub(super) fn of_base(base: *mut bindings::crypto_alg) -> *const Self {
        base.wrapping_byte_sub(offset_of!(Self, raw) + R::BASE)
            .cast()
    }

    fn copy_name(to: &mut [kernel::ffi::c_char], name: &CStr) -> Result {
        let name = name.to_bytes_with_nul();
        let to = to.get_mut(..name.len()).ok_or(EINVAL)?;
        for (to, byte) in to.iter_mut().zip(name) {
            // CAST: `c_char` is a byte.
            *to = *byte as kernel::ffi::c_char;
        }
        Ok(())
    }

    /// The last user of a registered algorithm is gone: `cra_destroy`.
    ///
    /// # Safety
    ///
    /// `alg` must be part of an entry of this type that was registered; it is called once.
    unsafe extern "C" fn destroy_callback(alg: *mut bindings::crypto_alg) {
        // SAFETY: The caller guarantees that `alg` is a part of an entry that was registered. By the
        // type invariant the crypto API owns a reference to it, which ends here.
        let this = unsafe { Arc::from_raw(Self::of_base(alg)) };
        this.destroyed.store(1, Relaxed);
    }
}

/// A registered algorithm, which is unregistered when this is dropped.
///
/// Transforms may live on; they own what they need.
///
/// Context of drop: process, may sleep.
pub(crate) struct Registration {
    _registered: KBox<dyn Unregister>,
}

/// An entry, whatever its type.
trait Unregister: Send + Sync {}

/// # Invariants
///
/// The entry is registered.
struct Registered<R: RawAlgorithm, D: Send + Sync + 'static>(Arc<Entry<R, D>>);

impl<R: RawAlgorithm, D: Send + Sync + 'static> Unregister for Registered<R, D> {}

impl<R: RawAlgorithm, D: Send + Sync + 'static> Drop for Registered<R, D> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant.
        unsafe { R::UNREGISTER(self.0.raw.get()) };
    }
}

impl Registration {
    /// Registers an algorithm. Requests may come before this returns.
    ///
    /// # Errors
    ///
    /// `EEXIST`: an algorithm of that driver name exists. `EINVAL`: the description is not valid.
    /// `ENOMEM`: no memory.
    pub(super) fn new<R, D>(entry: Arc<Entry<R, D>>) -> Result<Self>
    where
        R: RawAlgorithm + 'static,
        D: Send + Sync + 'static,
    {
        // Allocated first: nothing may fail once it is registered.
        let slot = KBox::<Registered<R, D>>::new_uninit(GFP_KERNEL)?;

        // INVARIANT: The framework owns this reference from here on.
        let framework = Arc::into_raw(entry.clone());
        // SAFETY: The entry is filled in, and stays where it is until `destroy_callback`.
        let res = to_result(unsafe { R::REGISTER(entry.raw.get()) });
        if let Err(err) = res {
            // Depending on where it failed, the framework has destroyed it or has never had it.
            if entry.destroyed.load(Relaxed) == 0 {
                // SAFETY: It has not, so the reference is still ours.
                drop(unsafe { Arc::from_raw(framework) });
            }
            return Err(err);
        }
        // INVARIANT: It is registered.
        let registered = KBox::write(slot, Registered(entry));
        Ok(Self {
            _registered: registered,
        })
    }
}
