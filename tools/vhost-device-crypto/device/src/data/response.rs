// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The end of a data request: its status, and what the used ring reports.

use crate::device::Device;
use crate::hooks::{Decoded, Hooks, RequestId, Served};
use crate::memory::{Chain, Slice, Span};

/// The memory of a request that is not part of its operation.
pub(super) struct Frame<'a, 'm> {
    pub(super) id: RequestId,
    pub(super) chain: &'a Chain<'m>,
    pub(super) status_byte: Slice<'m>,
    /// Number of device-writable bytes before the status.
    pub(super) room: usize,
}

/// Writes the status of a request. Returns how many bytes the used ring reports.
pub(super) fn conclude<H: Hooks>(
    device: &Device<H>,
    frame: Frame<'_, '_>,
    request: &Decoded,
    stateless: bool,
    algorithm: &'static str,
    result: std::result::Result<u32, u8>,
) -> u32 {
    let Frame { id, chain, status_byte, room } = frame;
    let (bytes, akcipher) = match (request, result) {
        (Decoded::Data(request), Ok(_)) => {
            (request.lengths.src_data_len(), request.operation.is_akcipher())
        }
        // The lengths of a failed request may be wrong.
        _ => (0, false),
    };
    let mut status = u32::from(result.err().unwrap_or(0));
    let mut written = result.unwrap_or(0);
    if device.hooks.status(id, &mut status) {
        let len = Span::from(status_byte).write(&[status as u8]) as u32;
        // The used ring reports the length of the written part from the first byte on. Public-key
        // operations are an exception: see `akcipher::store`.
        if written as usize == room || akcipher {
            written = written.saturating_add(len);
        }
    }
    device.hooks.served(&Served {
        id,
        request,
        chain,
        algorithm,
        stateless,
        session_id: None,
        status: status as u8,
        written,
        bytes,
    });
    written
}
