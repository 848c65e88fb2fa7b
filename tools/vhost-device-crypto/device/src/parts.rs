// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The parts of a data request that follow its fixed-length fields.

use crate::memory::Span;

/// The parts of a request. Parts that a request does not have are empty.
#[derive(Debug, Default)]
pub struct Parts<'m> {
    /// The initialization vector.
    pub iv: Span<'m>,
    /// The associated data.
    pub aad: Span<'m>,
    /// The source data.
    pub src: Span<'m>,
    /// The digest or message of a signature to verify.
    pub digest: Span<'m>,
    /// The destination data.
    pub dst: Span<'m>,
    /// The buffer for a digest.
    pub result: Span<'m>,
}
