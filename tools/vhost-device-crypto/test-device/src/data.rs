// SPDX-License-Identifier: GPL-2.0
//! Serves the data queues.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::control::check_key_lens;
use crate::counters::Key;
use crate::device::{opcode, Device, Worker};
use crate::failure::{Failure, Result};
use crate::fault::{Kind, QueueId};
use crate::memory::{Chain, Span};
use crate::offer::StatelessBy;
use crate::operate::{operate, Parts};
use crate::protocol::algorithm::Service;
use crate::protocol::data::{
    Header, Lengths, Operation, Request, FLAG_SESSION_MODE, MAX_FIXED_LEN,
};
use crate::protocol::feature;
use crate::requirement::Requirement;
use crate::session::Session;
use crate::trace::{opcode_name, Request as Traced};

/// How a request is served.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// With a session, in the layout for sessions.
    Session,
    /// With the parameters and keys that the request brings.
    Stateless,
    /// With a session, in the layout of stateless requests.
    SessionInStatelessLayout,
}

/// Serves one request; returns how many bytes were written.
pub(crate) fn serve(
    device: &Device,
    queue: QueueId,
    worker: &mut Worker,
    chain: &Chain<'_>,
) -> u32 {
    let mut writable = chain.writable.clone();
    let Some(status_byte) = writable.take_last() else {
        device.violations.record(Requirement::DataOrder);
        return 0;
    };
    let room = writable.len();
    let mut fixed = [0; MAX_FIXED_LEN];
    let len = chain.readable.read(&mut fixed);
    let mut code = opcode(chain);
    let mut algorithm = "";
    let parsed = parse(device, &fixed[..len]);
    let traced = match parsed {
        Ok((_, request)) => Traced::Data(request),
        Err(_) => Traced::Malformed { opcode: (len >= 4).then_some(code) },
    };
    let result = match parsed {
        Ok((mode, request)) => {
            check(device, &request);
            code = request.header.opcode;
            let parts = Rest { readable: chain.readable.clone(), writable };
            execute(device, queue, worker, mode, &request, parts, &mut algorithm)
        }
        Err(failure) => Err(failure.into()),
    };
    worker.wipe();

    let fire = |kind| device.faults.fire(kind, queue, code);
    let akcipher = Operation::parse(code).map(Operation::service) == Ok(Service::Akcipher);
    let shows_len = akcipher && result.is_ok();
    let mut status = result.err().unwrap_or(0);
    if let (Ok(_), Some(value)) = (result, fire(Kind::DirtyFailure)) {
        status = value as u8;
    }
    if let Some(value) = fire(Kind::StatusUnknown) {
        status = value as u8;
    }
    let mut written = result.unwrap_or(0);
    if fire(Kind::StatusUnwritten).is_none() {
        let len = Span::from(status_byte).write(&[status]) as u32;
        // Only what was written from the first byte on counts. Public keys are an exception: see
        // `operate::akcipher`.
        if written as usize == room || shows_len {
            written = written.saturating_add(len);
        }
    }
    let stateless = matches!(parsed, Ok((Mode::Stateless, _)));
    let key = Key { operation: opcode_name(code), algorithm, stateless, status };
    let bytes = match (parsed, result) {
        (Ok((_, request)), Ok(_)) => request.lengths.src_data_len(),
        // What a request that fails says of itself need not be true.
        _ => 0,
    };
    device.counters.count(queue, key, bytes.into());
    device.trace.write(queue, &traced, chain, None, status, written);
    written
}

/// Finds out how the request is meant, and reads its fixed fields.
fn parse(device: &Device, bytes: &[u8]) -> Result<(Mode, Request)> {
    let violations = &device.violations;
    let header = Header::parse(bytes).inspect_err(|_| violations.record(Requirement::DataOrder))?;
    let operation = Operation::parse(header.opcode)
        .inspect_err(|_| violations.record(Requirement::DataOpcode))?;
    let features = device.features();
    let stateless = features & feature::stateless(operation.service()) != 0;
    let mode = if features & feature::REVISION_1 == 0 {
        Mode::Session
    } else if header.flag & !FLAG_SESSION_MODE != 0 {
        violations.record(Requirement::Mode);
        return Err(Failure::Err);
    } else if !stateless {
        violations.check(Requirement::SessionFlag, header.flag == FLAG_SESSION_MODE);
        if header.flag != FLAG_SESSION_MODE {
            return Err(Failure::Err);
        }
        Mode::Session
    } else if header.flag != FLAG_SESSION_MODE {
        Mode::Stateless
    } else if device.offer.stateless_by == StatelessBy::Feature {
        Mode::SessionInStatelessLayout
    } else {
        Mode::Session
    };
    let request = Request::parse(bytes, device.layout(), mode != Mode::Session);
    let request = request.inspect_err(|failure| {
        violations.record(match failure {
            Failure::NotSupp => Requirement::OpType,
            _ => Requirement::DataOrder,
        });
    })?;
    Ok((mode, request))
}

/// What the driver has to mind whatever comes of the request.
fn check(device: &Device, request: &Request) {
    let violations = &device.violations;
    violations.check(Requirement::Ready, device.is_ready());
    violations.check(Requirement::Unused, request.padding_is_zero);
    violations.check(Requirement::MaxSize, request.total() <= device.base.max_size);
}

/// What of a request's memory is not yet spoken for.
struct Rest<'m> {
    readable: Span<'m>,
    writable: Span<'m>,
}

impl<'m> Rest<'m> {
    /// The next `len` bytes to read.
    fn input(&mut self, device: &Device, len: u32) -> Result<Span<'m>> {
        Self::take(&mut self.readable, device, len)
    }

    /// The next `len` bytes to write.
    fn output(&mut self, device: &Device, len: u32) -> Result<Span<'m>> {
        Self::take(&mut self.writable, device, len)
    }

    fn take(span: &mut Span<'m>, device: &Device, len: u32) -> Result<Span<'m>> {
        span.take(len as usize).ok_or_else(|| {
            device.violations.record(Requirement::DataOrder);
            Failure::Err
        })
    }
}

/// Does what the request asks for. Returns how many bytes were written, or the status that the
/// request fails with, which may be one that is none.
fn execute(
    device: &Device,
    queue: QueueId,
    worker: &mut Worker,
    mode: Mode,
    request: &Request,
    mut rest: Rest<'_>,
    algorithm: &mut &'static str,
) -> std::result::Result<u32, u8> {
    if !device.is_ready() || request.total() > device.base.max_size {
        return Err(Failure::Err.into());
    }
    rest.input(device, request.fixed_len as u32)?;
    let session = match (mode, request.stateless) {
        (Mode::Stateless, Some(parameters)) => {
            check_key_lens(device, parameters)?;
            let (key_len, auth_key_len) = parameters.key_lens();
            let key: Zeroizing<_> = rest.input(device, key_len)?.to_vec();
            let auth_key: Zeroizing<_> = rest.input(device, auth_key_len)?.to_vec();
            let (offer, config) = (&device.offer, &device.base);
            Arc::new(Session::new(parameters, &key, &auth_key, offer, config, device.features())?)
        }
        _ => device.sessions.get(request.header.session_id).ok_or_else(|| {
            device.violations.record(Requirement::SessionId);
            Failure::InvSess
        })?,
    };
    *algorithm = session.algorithm;
    if session.parameters.service() != request.operation.service() {
        device.violations.record(Requirement::DataOpcode);
        return Err(Failure::Err.into());
    }
    let parts = parts(device, &session, request, mode, &mut rest)?;
    let exact = rest.readable.is_empty() && rest.writable.is_empty();
    device.violations.check(Requirement::Exact, exact && !request.lengths.leaves_room());
    let fire = |kind| device.faults.fire(kind, queue, request.header.opcode);
    if let Some(status) = fire(Kind::RefuseOperation) {
        return Err(status as u8);
    }
    let written = operate(device, &session, request, &parts, worker)?;
    // Where there is no tag, or no output, nothing happens, which is not counted.
    if parts.has_tag(request) && fire(Kind::WrongTag).is_some() {
        parts.spoil_tag(&session, request)?;
    }
    if parts.has_output() && fire(Kind::CorruptOutput).is_some() {
        parts.spoil_output();
    }
    Ok(written)
}

/// Cuts what follows the fixed fields, in the order the layout gives.
fn parts<'m>(
    device: &Device,
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
            // The stateless form has one order, that of session mode is in dispute.
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
            parts.iv = rest.input(device, session.iv_field_len(&device.offer, iv_len))?;
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
