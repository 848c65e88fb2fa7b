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
/// `BASE` must be the offset of the `struct crypto_alg` embedded in the type, and `register` and
/// `unregister` the framework's functions for the type.
pub(super) unsafe trait RawAlgorithm: Sized {
    /// Where the part is that all types have, in bytes.
    const BASE: usize;

    /// Registers the algorithm.
    ///
    /// # Safety
    ///
    /// `alg` must be valid and filled in, and stay so until it is destroyed.
    unsafe fn register(alg: *mut Self) -> c_int;

    /// Unregisters it.
    ///
    /// # Safety
    ///
    /// `alg` must be registered.
    unsafe fn unregister(alg: *mut Self);
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
        // SAFETY: By the safety requirements of `RawAlgorithm`.
        let base = unsafe { this.raw.get().byte_add(R::BASE) };
        // SAFETY: As above; the entry is new, nobody else uses it.
        let base = unsafe { &mut *base.cast::<bindings::crypto_alg>() };
        Self::copy_name(&mut base.cra_name, names.name)?;
        Self::copy_name(&mut base.cra_driver_name, names.driver_name)?;
        base.cra_priority = names.priority;
        base.cra_blocksize = names.block_size;
        base.cra_module = module.as_ptr();
        base.cra_destroy = Some(Self::destroy_callback);
        Ok(this)
    }

    /// Returns the entry that `raw` is part of.
    ///
    /// # Safety
    ///
    /// `raw` must be part of an entry of this type.
    pub(super) unsafe fn of(raw: *mut R) -> *const Self {
        // CAST: `Opaque` is transparent.
        let raw = raw.cast::<Opaque<R>>();
        // SAFETY: By the safety requirements.
        unsafe { kernel::container_of!(raw, Self, raw) }
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
        // SAFETY: By the safety requirements it is that far into an `R`.
        let raw = unsafe { alg.byte_sub(R::BASE) }.cast::<R>();
        // SAFETY: The framework calls this with an algorithm that was registered, so it is part of
        // an entry.
        let this = unsafe { Self::of(raw) };
        // SAFETY: By the type invariant the framework owns a reference, which ends here.
        let this = unsafe { Arc::from_raw(this) };
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
        unsafe { R::unregister(self.0.raw.get()) };
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
        let res = to_result(unsafe { R::register(entry.raw.get()) });
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
