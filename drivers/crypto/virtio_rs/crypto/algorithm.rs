// SPDX-License-Identifier: GPL-2.0

//! Registration of algorithms that outlive their registration.
//!
//! The crypto API does not wait for transforms when an algorithm is unregistered: they call the algorithm
//! until they are freed. So an algorithm is a heap object with a reference count. The crypto API owns one
//! reference, which it releases through `cra_destroy` when the last transform is freed. The
//! [`Registration`] owns the other.
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

/// The properties that all types of algorithms have.
#[derive(Clone, Copy)]
pub(crate) struct AlgorithmInfo {
    /// The algorithm, `cbc(aes)` for example.
    pub(crate) name: &'static CStr,
    /// This implementation of it.
    pub(crate) driver_name: &'static CStr,
    /// The crypto API prefers the implementation with the highest priority.
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

/// An algorithm on the heap, with the driver's data.
///
/// # Invariants
///
/// While the algorithm is registered, the crypto API owns one reference to the `Arc` around it. It releases
/// the reference through `cra_destroy`, which sets `destroyed`.
#[pin_data]
pub(super) struct AlgorithmObject<R: RawAlgorithm, D: Send + Sync> {
    #[pin]
    pub(super) raw: Opaque<R>,
    pub(super) data: D,
    destroyed: Atomic<u32>,
}

// SAFETY: The crypto API alone accesses `raw`, under its own locks. Nothing is tied to a thread.
unsafe impl<R: RawAlgorithm, D: Send + Sync> Send for AlgorithmObject<R, D> {}

// SAFETY: The crypto API alone accesses `raw`, under its own locks.
unsafe impl<R: RawAlgorithm, D: Send + Sync> Sync for AlgorithmObject<R, D> {}

impl<R: RawAlgorithm, D: Send + Sync + 'static> AlgorithmObject<R, D> {
    /// Creates an algorithm. Sets the fields of `raw` that all types have.
    pub(super) fn new(
        raw: R,
        data: D,
        info: &AlgorithmInfo,
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
        // SAFETY: The implementer of `RawAlgorithm` guarantees that a `struct crypto_alg` is at `BASE`. The
        // algorithm is new, so it has no other user.
        let base = unsafe { &mut *base.cast::<bindings::crypto_alg>() };
        Self::copy_name(&mut base.cra_name, info.name)?;
        Self::copy_name(&mut base.cra_driver_name, info.driver_name)?;
        base.cra_priority = info.priority;
        base.cra_blocksize = info.block_size;
        base.cra_module = module.as_ptr();
        base.cra_destroy = Some(Self::destroy_callback);
        Ok(this)
    }

    /// Returns the address of the algorithm that `base` is a part of.
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

    /// Releases the reference of the crypto API: `cra_destroy`. The last transform was freed.
    ///
    /// # Safety
    ///
    /// `alg` must be a part of a registered algorithm of this type. It must be called once.
    unsafe extern "C" fn destroy_callback(alg: *mut bindings::crypto_alg) {
        // SAFETY: The caller guarantees that `alg` is a part of a registered algorithm. By the
        // type invariant the crypto API owns a reference to it, which ends here.
        let this = unsafe { Arc::from_raw(Self::of_base(alg)) };
        // Relaxed: the reader is the caller of a registration that failed, and has called this.
        this.destroyed.store(1, Relaxed);
    }
}

/// A registered algorithm. Dropping this unregisters the algorithm. Its transforms may outlive this.
///
/// Context of drop: process, may sleep.
pub(crate) struct Registration {
    _registered: KBox<dyn Unregister>,
}

/// A registered algorithm of any type.
trait Unregister: Send + Sync {}

/// # Invariants
///
/// The algorithm is registered.
struct Registered<R: RawAlgorithm, D: Send + Sync + 'static>(Arc<AlgorithmObject<R, D>>);

impl<R: RawAlgorithm, D: Send + Sync + 'static> Unregister for Registered<R, D> {}

impl<R: RawAlgorithm, D: Send + Sync + 'static> Drop for Registered<R, D> {
    fn drop(&mut self) {
        // SAFETY: By the type invariant the algorithm is registered.
        unsafe { R::UNREGISTER(self.0.raw.get()) };
    }
}

impl Registration {
    /// Registers an algorithm. Requests may come before this returns.
    ///
    /// # Errors
    ///
    /// - `EEXIST` if an algorithm with that driver name is registered;
    /// - `EINVAL` if the properties are not valid;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn new<R, D>(object: Arc<AlgorithmObject<R, D>>) -> Result<Self>
    where
        R: RawAlgorithm + 'static,
        D: Send + Sync + 'static,
    {
        // Allocate first: an error after the registration would need to unregister the algorithm.
        let slot = KBox::<Registered<R, D>>::new_uninit(GFP_KERNEL)?;

        // INVARIANT: The crypto API owns this reference from here on.
        let reference = Arc::into_raw(object.clone());
        // SAFETY: The algorithm is filled in, and stays in place until `destroy_callback`.
        let res = to_result(unsafe { R::REGISTER(object.raw.get()) });
        if let Err(err) = res {
            // Depending on the error, the crypto API has released the reference or never owned it.
            if object.destroyed.load(Relaxed) == 0 {
                // SAFETY: `destroy_callback` was not called, so the reference was not released.
                drop(unsafe { Arc::from_raw(reference) });
            }
            return Err(err);
        }
        // INVARIANT: The algorithm is registered.
        let registered = KBox::write(slot, Registered(object));
        Ok(Self {
            _registered: registered,
        })
    }
}
