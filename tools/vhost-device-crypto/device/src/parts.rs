// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The parts of a data request that follow its fixed-length fields.

use crate::memory::Span;

/// The parts of a request. Those that a request does not have are empty.
#[derive(Debug, Default)]
pub struct Parts<'m> {
    /// The initialization vector.
    pub iv: Span<'m>,
    /// The associated data.
    pub aad: Span<'m>,
    /// The source data.
    pub src: Span<'m>,
    /// The data that a signature is verified for.
    pub digest: Span<'m>,
    /// The destination.
    pub dst: Span<'m>,
    /// The destination of a digest.
    pub result: Span<'m>,
}
