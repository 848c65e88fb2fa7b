// SPDX-License-Identifier: GPL-2.0

//! Abstractions for the provider side of the kernel crypto framework.
//!
//! A driver implements [`skcipher::Algorithm`] and registers it with
//! [`algorithm::Registration`]. A request goes through these hands:
//!
//! 1. The framework calls; the driver gets a [`skcipher::Request`] and must make an
//!    [`Answer`] of it.
//! 2. What can be answered at once is, with `done` or `software`.
//! 3. `prepare` makes it ready for a device: what the device reads besides the data and what it
//!    writes besides the data are in the request's context, nothing is allocated.
//! 4. `submit` hands an [`Inflight`] to the driver's queue, and answers "queued" only if the queue
//!    took it. The queue owes it one [`Inflight::complete`]; one that is dropped is completed with
//!    `EIO`.
//!
//! Ownership keeps count: a request cannot be answered twice, or answered "queued" while it is
//! still in the caller's hands.
//!
//! C headers: [`include/crypto/internal/skcipher.h`](srctree/include/crypto/internal/skcipher.h),
//! [`include/crypto/algapi.h`](srctree/include/crypto/algapi.h)

pub(crate) mod algorithm;
mod area;
mod request;
mod scatterlist;
pub(crate) mod skcipher;
pub(crate) mod software;

pub(crate) use self::{
    area::Area,
    request::{
        Answer,
        Direction,
        Fifo,
        Inflight,
        Submitted, //
    },
};
