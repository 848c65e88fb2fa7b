// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The memory of a data request.

use crate::device::Device;
use crate::hooks::Hooks;
use crate::memory::Span;
use crate::parts::Parts;
use crate::protocol::data::{Lengths, Operation, Request};
use crate::requirement::Requirement;
use crate::session::Session;
use crate::status::{Result, StatusError};

/// How a request is served.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Mode {
    /// With a session, in the layout for sessions.
    Session,
    /// With the parameters and keys in the request.
    Stateless,
    /// With a session, in the layout of stateless requests.
    SessionInStatelessLayout,
}

/// The memory of a request that is not assigned to a field yet.
pub(super) struct Rest<'m> {
    pub(super) readable: Span<'m>,
    pub(super) writable: Span<'m>,
}

impl<'m> Rest<'m> {
    /// Takes the next `len` device-readable bytes.
    pub(super) fn input<H: Hooks>(&mut self, device: &Device<H>, len: u32) -> Result<Span<'m>> {
        Self::take(&mut self.readable, device, len)
    }

    /// Takes the next `len` device-writable bytes.
    pub(super) fn output<H: Hooks>(&mut self, device: &Device<H>, len: u32) -> Result<Span<'m>> {
        Self::take(&mut self.writable, device, len)
    }

    fn take<H: Hooks>(span: &mut Span<'m>, device: &Device<H>, len: u32) -> Result<Span<'m>> {
        span.take(len as usize).ok_or_else(|| {
            device.violated(Requirement::DataOrder);
            StatusError::Generic
        })
    }
}

/// Assigns the memory after the fixed-length fields, in the order of the layout.
pub(super) fn parts<'m, H: Hooks>(
    device: &Device<H>,
    session: &Session,
    request: &Request,
    mode: Mode,
    rest: &mut Rest<'m>,
) -> Result<Parts<'m>> {
    let mut parts = Parts::default();
    match request.lengths {
        Lengths::Cipher { iv_len, src_data_len, dst_data_len } => {
            parts.iv = rest.input(device, iv_len)?;
            parts.src = rest.input(device, src_data_len)?;
            parts.dst = rest.output(device, dst_data_len)?;
        }
        Lengths::Chain(lengths) => {
            parts.iv = rest.input(device, lengths.iv_len)?;
            // The order of a stateless request is fixed. Devices differ on the order in session
            // mode.
            let aad_first = mode != Mode::Session || device.chain_aad_first();
            if aad_first {
                parts.aad = rest.input(device, lengths.aad_len)?;
            }
            parts.src = rest.input(device, lengths.src_data_len)?;
            if !aad_first {
                parts.aad = rest.input(device, lengths.aad_len)?;
            }
            parts.dst = rest.output(device, lengths.dst_data_len)?;
            parts.result = rest.output(device, lengths.hash_result_len)?;
        }
        Lengths::Digest { src_data_len, hash_result_len } => {
            parts.src = rest.input(device, src_data_len)?;
            parts.result = rest.output(device, hash_result_len)?;
        }
        Lengths::Aead { iv_len, aad_len, src_data_len, dst_data_len, .. } => {
            parts.iv = rest.input(device, session.iv_field_len(&device.capabilities, iv_len))?;
            parts.src = rest.input(device, src_data_len)?;
            parts.aad = rest.input(device, aad_len)?;
            parts.dst = rest.output(device, dst_data_len)?;
        }
        Lengths::Akcipher { src_data_len, dst_data_len } => {
            parts.src = rest.input(device, src_data_len)?;
            if request.operation == Operation::AkcipherVerify {
                parts.digest = rest.input(device, dst_data_len)?;
            } else {
                parts.dst = rest.output(device, dst_data_len)?;
            }
        }
    }
    Ok(parts)
}
