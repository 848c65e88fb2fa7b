// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Serves the data queues.

mod deferred;
mod layout;
mod response;

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::akcipher::Task;
use crate::capabilities::StatelessBy;
use crate::control::check_key_lens;
use crate::device::{Device, Scratch};
use crate::hooks::{Decoded, Hooks, RequestId};
use crate::memory::Chain;
use crate::operate::operate;
use crate::parts::Parts;
use crate::protocol::data::{Header, Operation, Request, FLAG_SESSION_MODE, MAX_FIXED_LEN};
use crate::protocol::feature;
use crate::queue_id::QueueId;
use crate::requirement::Requirement;
use crate::session::Session;
use crate::session_table::SessionRef;
use crate::status::{Result, StatusError};

pub(crate) use deferred::Deferred;
use layout::{parts, Mode, Rest};
use response::{conclude, Frame};

/// Header and fixed-length fields as they were read. They are read once, because the guest may
/// change them at any time.
pub(crate) struct Fields {
    bytes: [u8; MAX_FIXED_LEN],
    len: usize,
}

impl Fields {
    /// Reads the fields of a request.
    pub(crate) fn read(chain: &Chain<'_>) -> Self {
        let mut fields = Fields { bytes: [0; MAX_FIXED_LEN], len: 0 };
        fields.len = chain.readable.read(&mut fields.bytes);
        fields
    }

    /// Returns the opcode, or 0 if the request is too short.
    pub(crate) fn opcode(&self) -> u32 {
        let [a, b, c, d, ..] = self.bytes;
        match self.len < 4 {
            true => 0,
            false => u32::from_le_bytes([a, b, c, d]),
        }
    }
}

/// What became of a request.
pub(crate) enum Outcome {
    /// The device has served or rejected the request. The number is what the used ring reports.
    Done(u32),
    /// The request is a public-key operation that has not been performed.
    Deferred(Box<Deferred>),
}

impl<H: Hooks> Device<H> {
    /// Serves a request of a data queue. Returns how many bytes the used ring reports.
    pub fn data(&self, queue: u16, scratch: &mut Scratch, chain: &Chain<'_>) -> u32 {
        match self.serve_data(queue, scratch, chain, &Fields::read(chain), false) {
            Outcome::Done(written) => written,
            Outcome::Deferred(_) => 0,
        }
    }

    /// Serves a request whose fields were read, or only prepares it if it is a public-key operation
    /// and `may_defer` is set.
    pub(crate) fn serve_data(
        &self,
        queue: u16,
        scratch: &mut Scratch,
        chain: &Chain<'_>,
        fields: &Fields,
        may_defer: bool,
    ) -> Outcome {
        let id = RequestId { queue: QueueId::Data(queue), opcode: fields.opcode() };
        let mut writable = chain.writable;
        let Some(status_byte) = writable.take_last() else {
            self.violated(Requirement::DataOrder);
            return Outcome::Done(0);
        };
        let frame = Frame { id, chain, status_byte, room: writable.len() };
        let parsed = parse(self, &fields.bytes[..fields.len]);
        let (mode, request) = match parsed {
            Ok(parsed) => parsed,
            Err(error) => {
                let opcode = (fields.len >= 4).then_some(id.opcode);
                let request = Decoded::Malformed { opcode };
                return Outcome::Done(conclude(
                    self,
                    frame,
                    &request,
                    false,
                    "",
                    Err(error.into()),
                ));
            }
        };
        let rest = Rest { readable: chain.readable, writable };
        let mut algorithm = "";
        let prepared = match check(self, &request) {
            true => prepare(self, id, mode, &request, rest, &mut algorithm),
            false => Err(StatusError::Generic.into()),
        };
        let result = match prepared {
            Ok((session, parts)) if may_defer && request.operation.is_akcipher() => {
                match Task::new(self, &session, request.operation, &parts) {
                    Ok(task) => {
                        let queue = id.queue;
                        let deferred = Deferred { task, session, queue, mode, request };
                        return Outcome::Deferred(Box::new(deferred));
                    }
                    Err(error) => Err(error.into()),
                }
            }
            Ok((session, parts)) => perform(self, id, &session, &request, &parts, scratch),
            Err(error) => Err(error),
        };
        scratch.wipe();
        let stateless = mode == Mode::Stateless;
        let request = Decoded::Data(request);
        Outcome::Done(conclude(self, frame, &request, stateless, algorithm, result))
    }
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

/// Checks the requirements that apply to every request. Returns whether the device can serve it.
fn check<H: Hooks>(device: &Device<H>, request: &Request) -> bool {
    let (ready, fits) = (device.is_ready(), request.total() <= device.base.max_size);
    device.check(Requirement::Ready, ready);
    device.check(Requirement::Unused, request.padding_is_zero);
    device.check(Requirement::MaxSize, fits);
    ready && fits
}

/// Looks the session of a request up, or creates the one of a stateless request, and assigns the
/// memory. Returns the status of a rejected request. A hook may choose a status that the
/// specification does not define, so the error is a number.
fn prepare<'m, H: Hooks>(
    device: &Device<H>,
    id: RequestId,
    mode: Mode,
    request: &Request,
    mut rest: Rest<'m>,
    algorithm: &mut &'static str,
) -> std::result::Result<(SessionRef, Parts<'m>), u8> {
    rest.input(device, request.fixed_len as u32)?;
    let session = match (mode, request.stateless, id.queue) {
        (Mode::Stateless, Some(parameters), _) => {
            check_key_lens(device, parameters)?;
            let (key_len, auth_key_len) = parameters.key_lens();
            let key: Zeroizing<_> = rest.input(device, key_len)?.to_vec();
            let auth_key: Zeroizing<_> = rest.input(device, auth_key_len)?.to_vec();
            let (capabilities, config) = (&device.capabilities, &device.base);
            Arc::new(Arc::new(Session::new(
                parameters,
                &key,
                &auth_key,
                capabilities,
                config,
                device.features(),
            )?))
        }
        (.., QueueId::Data(queue)) => {
            device.sessions.find(queue, request.header.session_id).ok_or_else(|| {
                device.violated(Requirement::SessionId);
                StatusError::InvSess
            })?
        }
        (.., QueueId::Control) => return Err(StatusError::Generic.into()),
    };
    *algorithm = session.algorithm;
    if session.parameters.service() != request.operation.service() {
        device.violated(Requirement::DataOpcode);
        return Err(StatusError::Generic.into());
    }
    let parts = parts(device, &session, request, mode, &mut rest)?;
    let exact = rest.readable.is_empty() && rest.writable.is_empty();
    device.check(Requirement::Exact, exact && !request.lengths.leaves_room());
    match device.hooks.reject_data(id) {
        Some(status) => Err(status),
        None => Ok((session, parts)),
    }
}

/// Performs a request. Returns the number of bytes written, or the status of the failed request.
fn perform<H: Hooks>(
    device: &Device<H>,
    id: RequestId,
    session: &Arc<Session>,
    request: &Request,
    parts: &Parts<'_>,
    scratch: &mut Scratch,
) -> std::result::Result<u32, u8> {
    let written = operate(device, session, request, parts, scratch)?;
    device.hooks.processed(id, session, request, parts)?;
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capabilities::Capabilities;
    use crate::memory::{Slice, Slices, Span};

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
        fn cut(bytes: &mut [u8]) -> Slices<'_> {
            let mut slices = Slices::default();
            let slice = Slice::from(bytes);
            (0..slice.len()).for_each(|at| slices.push(slice.subslice(at, 1).unwrap()));
            slices
        }
        let (readable, writable) = (cut(&mut request), cut(&mut result));
        let chain = Chain { readable: readable.span(), writable: writable.span() };
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
