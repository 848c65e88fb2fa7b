// SPDX-License-Identifier: GPL-2.0

//! Abstractions for the provider side of the kernel crypto API.
//!
//! A driver implements [`Offload`] and the trait of one algorithm type, for example
//! [`skcipher::Algorithm`]. The type's `register` function registers the algorithm. Dropping the
//! [`algorithm::Registration`] unregisters the algorithm. Each step of a request consumes the value of
//! the previous step:
//!
//! 1. The crypto API calls a callback in `adapter`. The callback passes a
//!    [`Request`](offload::Request) to the driver, which must return a [`ReturnCode`].
//! 2. The driver can complete the request at once, with `done` or `run_fallback`.
//! 3. Otherwise a [`Builder`] builds the device request in the request context, without allocating
//!    memory. Requests of a synchronous cipher borrow a context from the [`Pool`](offload::Pool) of
//!    the transform.
//! 4. `send` passes an [`InFlightRequest`] to the driver's queue. If the queue takes the request,
//!    `send` returns a [`Sent`](offload::Sent). The driver calls
//!    [`Sent::into_return_code`](offload::Sent::into_return_code). This function returns `EINPROGRESS`
//!    or `EBUSY`, or the result if the algorithm is synchronous. The queue must complete each
//!    [`InFlightRequest`] once. Dropping an [`InFlightRequest`] completes the request with `EIO`.
//! 5. [`Offload::finalize`] determines the result. If the device did not complete the request,
//!    [`Offload::fall_back`] can run it on the fallback.
//!
//! A request therefore cannot be completed twice, and a callback cannot return `EINPROGRESS` for a request
//! that it still owns.
//!
//! C headers: [`include/crypto/internal/aead.h`](srctree/include/crypto/internal/aead.h),
//! [`include/crypto/internal/akcipher.h`](srctree/include/crypto/internal/akcipher.h),
//! [`include/crypto/internal/hash.h`](srctree/include/crypto/internal/hash.h),
//! [`include/crypto/internal/sig.h`](srctree/include/crypto/internal/sig.h),
//! [`include/crypto/internal/skcipher.h`](srctree/include/crypto/internal/skcipher.h),
//! [`include/crypto/algapi.h`](srctree/include/crypto/algapi.h)

mod adapter;
pub(crate) mod aead;
pub(crate) mod akcipher;
pub(crate) mod algorithm;
mod area;
mod builder;
mod deferred;
mod fallback_tfm;
pub(crate) mod hash;
mod key;
mod offload;
mod request;
mod rescue;
pub(crate) mod rsa;
mod scatterlist;
pub(crate) mod sig;
pub(crate) mod skcipher;
pub(crate) mod sync_request;
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod testing;

/// A request of algorithm `A`.
pub(crate) type OffloadRequest<'a, A> = offload::Request<'a, A, <A as Offload>::Raw>;

pub(crate) use self::{
    area::{
        AnyArea,
        Area,
        Limits, //
    },
    builder::Builder,
    deferred::DeferredRequests,
    key::Key,
    offload::{
        DeviceResult,
        Finish,
        Offload,
        Prepared, //
    },
    request::{
        BacklogList,
        Backlogged,
        Chain,
        Direction,
        InFlightRequest,
        ReturnCode,
        Submission,
        Submitted, //
    },
};
