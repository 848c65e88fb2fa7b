// SPDX-License-Identifier: GPL-2.0

//! Abstractions for the provider side of the kernel crypto framework.
//!
//! A driver implements [`Offload`] and the trait of a type of algorithm, [`skcipher::Algorithm`] for
//! example, and registers it; [`algorithm::Registration`] ends that. A request goes through these
//! hands:
//!
//! 1. The framework calls; the driver gets a [`Request`](offload::Request) and must make an
//!    [`Answer`] of it.
//! 2. What can be answered at once is, with `done` or `software`.
//! 3. A [`Builder`] makes it ready for a device: what the device reads besides the data and what it
//!    writes besides the data are in the request's context, nothing is allocated. A synchronous cipher's
//!    requests borrow a context from the transform's [`Pool`](offload::Pool).
//! 4. `send` hands an [`Inflight`] to the driver's queue, and returns a [`Sent`](offload::Sent) if
//!    the queue took the request. `Sent::answer` returns "queued", or the result if the algorithm
//!    is synchronous. The queue must complete each [`Inflight`] once. Dropping an [`Inflight`]
//!    completes the request with `EIO`.
//! 5. [`Offload::finish`] has the last word on the result. [`Offload::fall_back`] repeats a request that
//!    the device has not done.
//!
//! Ownership keeps count: a request cannot be answered twice, or answered "queued" while it is
//! still in the caller's hands.
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
pub(crate) mod call;
mod exact;
mod fallback_tfm;
pub(crate) mod hash;
mod key;
mod later;
mod offload;
mod request;
mod rescue;
pub(crate) mod rsa;
mod scatterlist;
pub(crate) mod sig;
pub(crate) mod skcipher;
#[cfg(CONFIG_KUNIT = "y")]
pub(crate) mod testing;

/// A request of an algorithm.
pub(crate) type OffloadRequest<'a, A> = offload::Request<'a, A, <A as Offload>::Raw>;

pub(crate) use self::{
    area::{
        AnyArea,
        Area,
        Limits, //
    },
    builder::Builder,
    key::Key,
    later::Later,
    offload::{
        Finish,
        Offload,
        Outcome,
        Prepared, //
    },
    request::{
        Answer,
        Backlogged,
        Chain,
        Direction,
        Fifo,
        Inflight,
        Submitted, //
    },
};
