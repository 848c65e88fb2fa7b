// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Serves the data queues.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::capabilities::StatelessBy;
use crate::control::check_key_lens;
use crate::device::{Device, Scratch};
use crate::hooks::{Decoded, Hooks, RequestId, Served};
use crate::memory::{Chain, Span};
use crate::operate::operate;
use crate::parts::Parts;
use crate::protocol::algorithm::Service;
use crate::protocol::data::{
    Header, Lengths, Operation, Request, FLAG_SESSION_MODE, MAX_FIXED_LEN,
};
use crate::protocol::feature;
use crate::queue_id::QueueId;
use crate::requirement::Requirement;
use crate::session::Session;
use crate::status::{Result, StatusError};

/// How a request is served.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// With a session, in the layout for sessions.
    Session,
    /// With the parameters and keys in the request.
    Stateless,
    /// With a session, in the layout of stateless requests.
    SessionInStatelessLayout,
}

impl<H: Hooks> Device<H> {
    /// Serves a request of a data queue. Returns how many bytes the used ring reports.
    pub fn data(&self, queue: u16, scratch: &mut Scratch, chain: &Chain<'_>) -> u32 {
        serve(self, QueueId::Data(queue), scratch, chain)
    }
}

fn serve<H: Hooks>(
    device: &Device<H>,
    queue: QueueId,
    scratch: &mut Scratch,
    chain: &Chain<'_>,
) -> u32 {
    let mut writable = chain.writable.clone();
    let Some(status_byte) = writable.take_last() else {
        device.violated(Requirement::DataOrder);
        return 0;
    };
    let room = writable.len();
    let mut fixed = [0; MAX_FIXED_LEN];
    let len = chain.readable.read(&mut fixed);
    let id = RequestId { queue, opcode: chain.opcode() };
    let mut algorithm = "";
    let parsed = parse(device, &fixed[..len]);
    let result = match parsed {
        Ok((mode, request)) => {
            check(device, &request);
            let rest = Rest { readable: chain.readable.clone(), writable };
            execute(device, id, scratch, mode, &request, rest, &mut algorithm)
        }
        Err(error) => Err(error.into()),
    };
    scratch.wipe();

    let akcipher = Operation::parse(id.opcode).map(Operation::service) == Ok(Service::Akcipher);
    let shows_len = akcipher && result.is_ok();
    let mut status = u32::from(result.err().unwrap_or(0));
    let mut written = result.unwrap_or(0);
    if device.hooks.status(id, &mut status) {
        let len = Span::from(status_byte).write(&[status as u8]) as u32;
        // The used ring reports the length of the written part from the first byte on. Public-key
        // operations are an exception: see `operate::akcipher`.
        if written as usize == room || shows_len {
            written = written.saturating_add(len);
        }
    }
    let request = match parsed {
        Ok((_, request)) => Decoded::Data(request),
        Err(_) => Decoded::Malformed { opcode: (len >= 4).then_some(id.opcode) },
    };
    device.hooks.served(&Served {
        id,
        request: &request,
        chain,
        algorithm,
        stateless: matches!(parsed, Ok((Mode::Stateless, _))),
        session_id: None,
        status: status as u8,
        written,
        bytes: match (parsed, result) {
            (Ok((_, request)), Ok(_)) => request.lengths.src_data_len(),
            // The lengths of a failed request may be wrong.
            _ => 0,
        },
    });
    written
}

/// Determines the mode of a request and parses its fixed-length fields.
fn parse<H: Hooks>(device: &Device<H>, bytes: &[u8]) -> Result<(Mode, Request)> {
    let header = Header::parse(bytes).inspect_err(|_| device.violated(Requirement::DataOrder))?;
    let operation = Operation::parse(header.opcode)
        .inspect_err(|_| device.violated(Requirement::DataOpcode))?;
    let features = device.features();
    let stateless = features & feature::stateless(operation.service()) != 0;
    let mode = if features & feature::REVISION_1 == 0 {
        Mode::Session
    } else if header.flag & !FLAG_SESSION_MODE != 0 {
        device.violated(Requirement::Mode);
        return Err(StatusError::Generic);
    } else if !stateless {
        device.check(Requirement::SessionFlag, header.flag == FLAG_SESSION_MODE);
        if header.flag != FLAG_SESSION_MODE {
            return Err(StatusError::Generic);
        }
        Mode::Session
    } else if header.flag != FLAG_SESSION_MODE {
        Mode::Stateless
    } else if device.capabilities.stateless_by == StatelessBy::Feature {
        Mode::SessionInStatelessLayout
    } else {
        Mode::Session
    };
    let request = Request::parse(bytes, device.layout(), mode != Mode::Session);
    let request = request.inspect_err(|failure| {
        device.violated(match failure {
            StatusError::NotSupp => Requirement::OpType,
            _ => Requirement::DataOrder,
        });
    })?;
    Ok((mode, request))
}

/// Checks the requirements that apply to every request.
fn check<H: Hooks>(device: &Device<H>, request: &Request) {
    device.check(Requirement::Ready, device.is_ready());
    device.check(Requirement::Unused, request.padding_is_zero);
    device.check(Requirement::MaxSize, request.total() <= device.base.max_size);
}

/// The memory of a request that is not assigned to a field yet.
struct Rest<'m> {
    readable: Span<'m>,
    writable: Span<'m>,
}

impl<'m> Rest<'m> {
    /// Takes the next `len` device-readable bytes.
    fn input<H: Hooks>(&mut self, device: &Device<H>, len: u32) -> Result<Span<'m>> {
        Self::take(&mut self.readable, device, len)
    }

    /// Takes the next `len` device-writable bytes.
    fn output<H: Hooks>(&mut self, device: &Device<H>, len: u32) -> Result<Span<'m>> {
        Self::take(&mut self.writable, device, len)
    }

    fn take<H: Hooks>(span: &mut Span<'m>, device: &Device<H>, len: u32) -> Result<Span<'m>> {
        span.take(len as usize).ok_or_else(|| {
            device.violated(Requirement::DataOrder);
            StatusError::Generic
        })
    }
}

/// Performs the request. Returns the number of bytes written, or the status of the failed request.
/// A hook may choose a status that the specification does not define, so the error is a number.
fn execute<H: Hooks>(
    device: &Device<H>,
    id: RequestId,
    scratch: &mut Scratch,
    mode: Mode,
    request: &Request,
    mut rest: Rest<'_>,
    algorithm: &mut &'static str,
) -> std::result::Result<u32, u8> {
    if !device.is_ready() || request.total() > device.base.max_size {
        return Err(StatusError::Generic.into());
    }
    rest.input(device, request.fixed_len as u32)?;
    let session = match (mode, request.stateless) {
        (Mode::Stateless, Some(parameters)) => {
            check_key_lens(device, parameters)?;
            let (key_len, auth_key_len) = parameters.key_lens();
            let key: Zeroizing<_> = rest.input(device, key_len)?.to_vec();
            let auth_key: Zeroizing<_> = rest.input(device, auth_key_len)?.to_vec();
            let (capabilities, config) = (&device.capabilities, &device.base);
            Arc::new(Session::new(
                parameters,
                &key,
                &auth_key,
                capabilities,
                config,
                device.features(),
            )?)
        }
        _ => device.sessions.get(request.header.session_id).ok_or_else(|| {
            device.violated(Requirement::SessionId);
            StatusError::InvSess
        })?,
    };
    *algorithm = session.algorithm;
    if session.parameters.service() != request.operation.service() {
        device.violated(Requirement::DataOpcode);
        return Err(StatusError::Generic.into());
    }
    let parts = parts(device, &session, request, mode, &mut rest)?;
    let exact = rest.readable.is_empty() && rest.writable.is_empty();
    device.check(Requirement::Exact, exact && !request.lengths.leaves_room());
    if let Some(status) = device.hooks.reject_data(id) {
        return Err(status);
    }
    let written = operate(device, &session, request, &parts, scratch)?;
    device.hooks.processed(id, &session, request, &parts)?;
    Ok(written)
}

/// Assigns the memory after the fixed-length fields, in the order of the layout.
fn parts<'m, H: Hooks>(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capabilities::Capabilities;
    use crate::memory::Slice;

    /// The request uses the scratch buffers, because its data is scattered and XTS needs it
    /// contiguous.
    #[test]
    fn scratch_buffers_are_wiped_after_a_request() {
        let device = Device::new(Capabilities::default(), ());
        device.start(0);
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let mut create: Vec<u8> = words(&[2, 13, 0, 0, 13, 32, 1]);
        create.resize(72, 0);
        create[64] = 1;
        create.extend(0..32);
        let mut response = [0xff; 16];
        let chain = Chain {
            readable: Span::from(&mut create[..]),
            writable: Span::from(&mut response[..]),
        };
        assert_eq!(device.control(&chain), 16);
        let mut request: Vec<u8> = words(&[0, 0, 0, 0, 0, 0, 16, 40, 40]);
        request.resize(72, 0);
        request[64] = 1;
        request.resize(72 + 16 + 40, 0x5a);
        let mut result = [0xff; 41];
        let (readable, writable) = (Slice::from(&mut request[..]), Slice::from(&mut result[..]));
        let mut chain = Chain::default();
        for at in 0..readable.len() {
            chain.readable.push(readable.subslice(at, 1).unwrap());
        }
        for at in 0..writable.len() {
            chain.writable.push(writable.subslice(at, 1).unwrap());
        }
        let mut scratch = Scratch::default();
        assert_eq!(device.data(0, &mut scratch, &chain), 41);
        assert!(scratch.data.is_empty() && scratch.data.capacity() >= 40);
        // SAFETY: The allocation has at least 40 bytes, and the request has written 40.
        let left = unsafe { std::slice::from_raw_parts(scratch.data.as_ptr(), 40) };
        assert_eq!(left, [0; 40]);
        scratch.output.extend([7; 8]);
        scratch.wipe();
        assert!(scratch.output.is_empty());
        // SAFETY: The allocation has at least 8 bytes, and `extend` has written 8.
        let left = unsafe { std::slice::from_raw_parts(scratch.output.as_ptr(), 8) };
        assert_eq!(left, [0; 8]);
    }
}
