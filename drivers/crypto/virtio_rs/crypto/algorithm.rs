// SPDX-License-Identifier: GPL-2.0

//! Registration of algorithms that outlive their registration.
//!
//! When an algorithm is unregistered, the crypto API does not wait for its transforms. They call the
//! algorithm until they are freed. So an algorithm is a heap object with a reference count. The crypto API
//! owns one reference, which it releases through `cra_destroy` when the last transform is freed. The
//! [`Registration`] owns the other reference.
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
    /// The name of the algorithm, for example `cbc(aes)`.
    pub(crate) name: &'static CStr,
    /// The name of this implementation, for example `cbc-aes-virtio`.
    pub(crate) driver_name: &'static CStr,
    /// The crypto API prefers the implementation with the highest priority.
    pub(crate) priority: i32,
    /// The block size, in bytes.
    pub(crate) block_size: u32,
}

/// A C type of algorithms, for example `struct skcipher_alg`.
///
/// # Safety
///
/// `BASE` must be the offset of the `struct crypto_alg` embedded in the type, and `REGISTER` and
/// `UNREGISTER` the crypto API's functions for the type.
pub(crate) unsafe trait RawAlgorithm: Sized + 'static {
    /// The offset of the embedded `struct crypto_alg`, in bytes.
    const BASE: usize;

    /// Registers an algorithm. The algorithm must be initialised, and stay valid until `cra_destroy` is
    /// called.
    const REGISTER: unsafe extern "C" fn(*mut Self) -> c_int;

    /// Unregisters an algorithm. The algorithm must be registered.
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

// SAFETY: Only the crypto API accesses `raw`, under its own locks. No field is tied to a thread.
unsafe impl<R: RawAlgorithm, D: Send + Sync> Send for AlgorithmObject<R, D> {}

// SAFETY: Only the crypto API accesses `raw`, under its own locks.
unsafe impl<R: RawAlgorithm, D: Send + Sync> Sync for AlgorithmObject<R, D> {}

impl<R: RawAlgorithm, D: Send + Sync + 'static> AlgorithmObject<R, D> {
    /// Creates an algorithm from `raw`, and fills in its `struct crypto_alg`.
    ///
    /// # Errors
    ///
    /// `EINVAL` if a name is too long, `ENOMEM` if memory is exhausted.
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

    /// Returns the address of the algorithm that contains `base`.
    pub(super) fn of_base(base: *mut bindings::crypto_alg) -> *const Self {
        base.wrapping_byte_sub(offset_of!(Self, raw) + R::BASE)
            .cast()
    }

    fn copy_name(dst: &mut [kernel::ffi::c_char], name: &CStr) -> Result {
        let name = name.to_bytes_with_nul();
        let dst = dst.get_mut(..name.len()).ok_or(EINVAL)?;
        for (dst, byte) in dst.iter_mut().zip(name) {
            // CAST: `c_char` is a byte.
            *dst = *byte as kernel::ffi::c_char;
        }
        Ok(())
    }

    /// Releases the reference of the crypto API. This is the `cra_destroy` callback, which the crypto API
    /// calls when the last transform was freed.
    ///
    /// # Safety
    ///
    /// `alg` must be a part of a registered algorithm of this type. The callback must be called once for
    /// each algorithm.
    unsafe extern "C" fn destroy_callback(alg: *mut bindings::crypto_alg) {
        // SAFETY: The caller guarantees that `alg` is a part of a registered algorithm. By the
        // type invariant the crypto API owns a reference to the algorithm, which it releases here.
        let this = unsafe { Arc::from_raw(Self::of_base(alg)) };
        // Relaxed: only `Registration::new` reads the flag. It does so after a failed `REGISTER`, which has
        // called this callback in the same thread.
        this.destroyed.store(1, Relaxed);
    }
}

/// A registered algorithm. Dropping the registration unregisters the algorithm. Transforms may outlive
/// the registration.
///
/// Context of drop: process, may sleep.
pub(crate) struct Registration {
    _registered: KBox<dyn Unregister>,
}

/// A registered algorithm of any type.
trait Unregister: Send + Sync {}

/// An algorithm that is unregistered on drop.
///
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
    /// Registers an algorithm. Requests may arrive before this function returns.
    ///
    /// # Errors
    ///
    /// - `EEXIST` if an algorithm with the same driver name is registered;
    /// - `EINVAL` if the properties are not valid;
    /// - `ENOMEM` if memory is exhausted.
    pub(super) fn new<R, D>(object: Arc<AlgorithmObject<R, D>>) -> Result<Self>
    where
        R: RawAlgorithm + 'static,
        D: Send + Sync + 'static,
    {
        // Allocate first: an error after the registration would need to unregister the algorithm.
        let slot = KBox::<Registered<R, D>>::new_uninit(GFP_KERNEL)?;

        // INVARIANT: `reference` is the reference of the crypto API.
        let reference = Arc::into_raw(object.clone());
        // SAFETY: The algorithm is initialised. `reference` keeps it valid until `destroy_callback`.
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
