// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Serves the control queue.

use zeroize::Zeroizing;

use crate::device::Device;
use crate::hooks::{Decoded, Hooks, RequestId, Served};
use crate::memory::Chain;
use crate::protocol::algorithm::Service;
use crate::protocol::control::{
    create_outcome, Header, Operation, Parameters, Request, CREATE_OUTCOME_LEN, HEADER_LEN,
};
use crate::protocol::{feature, PADDED_LEN};
use crate::queue_id::QueueId;
use crate::requirement::Requirement;
use crate::session::{Session, MAX_AKCIPHER_KEY_LEN};
use crate::status::{Result, StatusError};

/// The response to a request.
struct ControlResponse {
    /// The session ID of a new session.
    session_id: Option<u64>,
    status: u32,
    algorithm: &'static str,
}

impl<H: Hooks> Device<H> {
    /// Serves a request of the control queue. Returns how many bytes the used ring reports.
    pub fn control(&self, chain: &Chain<'_>) -> u32 {
        serve(self, chain)
    }

    /// Creates a session for a front end that serves the control queue itself and has decoded the
    /// request. Returns the session ID, or the error that a CREATE would return.
    pub fn create_session(
        &self,
        parameters: Parameters,
        key: &[u8],
        auth_key: &[u8],
    ) -> Result<u64> {
        check_key_lens(self, parameters)?;
        let lens = [key.len(), auth_key.len()].map(u32::try_from);
        let (key_len, auth_key_len) = parameters.key_lens();
        if !self.is_ready() || lens != [Ok(key_len), Ok(auth_key_len)] {
            return Err(StatusError::Generic);
        }
        self.sessions.insert(new_session(self, parameters, key, auth_key)?)
    }

    /// Destroys a session for a front end that serves the control queue itself. Returns `Generic`
    /// if the session does not exist.
    pub fn destroy_session(&self, id: u64) -> Result<()> {
        self.sessions.remove(id).map(|_| ()).ok_or(StatusError::Generic)
    }
}

fn serve<H: Hooks>(device: &Device<H>, chain: &Chain<'_>) -> u32 {
    let mut fixed = [0; PADDED_LEN];
    let len = chain.readable.read(&mut fixed);
    let parsed = Request::parse(&fixed[..len], device.layout());
    let opcode = chain.opcode();
    let id = RequestId { queue: QueueId::Control, opcode };
    let mut response = execute(device, chain, parsed, opcode);
    let written = match device.hooks.status(id, &mut response.status) {
        false => 0,
        true => write(chain, parsed.map(|request| request.operation), &response),
    };
    let request = match parsed {
        Ok(request) => Decoded::Control(request),
        Err(_) => Decoded::Malformed { opcode: (len >= 4).then_some(opcode) },
    };
    device.hooks.served(&Served {
        id,
        request: &request,
        chain,
        algorithm: response.algorithm,
        stateless: false,
        session_id: response.session_id,
        status: response.status as u8,
        written,
        bytes: 0,
    });
    written
}

/// Writes a response: one byte for a DESTROY, 16 bytes for other requests if the buffer is long
/// enough. Returns the length of the written part, counted from the first byte of the buffer.
fn write(chain: &Chain<'_>, operation: Result<Operation>, response: &ControlResponse) -> u32 {
    let destroy = matches!(operation, Ok(Operation::Destroy { .. }));
    if destroy || chain.writable.len() < CREATE_OUTCOME_LEN {
        chain.writable.write(&[response.status as u8]) as u32
    } else {
        let (id, rest) = create_outcome(response.session_id, response.status);
        let mut writable = chain.writable;
        let (Some(to_id), Some(to_rest)) = (writable.take(8), writable.take(rest.len())) else {
            return 0;
        };
        to_rest.write(&rest);
        id.map_or(0, |id| (to_id.write(&id) + rest.len()) as u32)
    }
}

fn execute<H: Hooks>(
    device: &Device<H>,
    chain: &Chain<'_>,
    parsed: Result<Request>,
    opcode: u32,
) -> ControlResponse {
    let mut algorithm = "";
    let result = parsed.and_then(|request| {
        check(device, &request);
        if !device.is_ready() {
            return Err(StatusError::Generic);
        }
        match request.operation {
            Operation::Create(parameters) => {
                create(device, chain, request.fixed_len, parameters, &mut algorithm).map(Some)
            }
            Operation::Destroy { service, session_id } => {
                let exact = chain.readable.len() == request.fixed_len && chain.writable.len() == 1;
                device.check(Requirement::Exact, exact);
                destroy(device, chain, service, session_id, opcode, &mut algorithm).map(|()| None)
            }
        }
    });
    if let Err(error) = parsed {
        device.violated(match error {
            // The opcode is defined, so the type of the symmetric session is not.
            StatusError::NotSupp if is_defined(chain) => Requirement::OpType,
            StatusError::NotSupp => Requirement::CreateOpcode,
            _ => Requirement::ControlOrder,
        });
    }
    let rejected = match parsed.map(|request| request.operation) {
        Ok(Operation::Create(_)) => device.hooks.reject_create(opcode),
        _ => None,
    };
    match (result, rejected) {
        (Ok(session_id), None) => ControlResponse { session_id, status: 0, algorithm },
        (Ok(session_id), Some(status)) => {
            session_id.and_then(|id| device.sessions.remove(id));
            ControlResponse { session_id: None, status, algorithm }
        }
        (Err(error), _) => ControlResponse { session_id: None, status: error as u32, algorithm },
    }
}

/// Returns whether the header is complete and its opcode is defined.
fn is_defined(chain: &Chain<'_>) -> bool {
    let mut header = [0; HEADER_LEN];
    let len = chain.readable.read(&mut header);
    Header::parse(&header[..len]).is_ok_and(|header| header.operation().is_ok())
}

/// Checks the requirements that apply to every request.
fn check<H: Hooks>(device: &Device<H>, request: &Request) {
    device.check(Requirement::Ready, device.is_ready());
    device.check(Requirement::Reserved, request.header.reserved == 0);
    device.check(Requirement::Unused, request.padding_is_zero);
}

fn create<H: Hooks>(
    device: &Device<H>,
    chain: &Chain<'_>,
    fixed_len: usize,
    parameters: Parameters,
    algorithm: &mut &'static str,
) -> Result<u64> {
    let (key_len, auth_key_len) = parameters.key_lens();
    check_key_lens(device, parameters)?;
    let mut rest = chain.readable;
    let keys = rest
        .take(fixed_len)
        .and_then(|_| Some((rest.take(key_len as usize)?, rest.take(auth_key_len as usize)?)));
    let fits = chain.writable.len() >= CREATE_OUTCOME_LEN;
    let exact = rest.is_empty() && chain.writable.len() == CREATE_OUTCOME_LEN;
    device.check(Requirement::ControlOrder, keys.is_some() && fits);
    device.check(Requirement::Exact, keys.is_none() || !fits || exact);
    let (Some((key, auth_key)), true) = (keys, fits) else {
        return Err(StatusError::Generic);
    };
    let (key, auth_key): (Zeroizing<_>, Zeroizing<_>) = (key.to_vec(), auth_key.to_vec());
    let session = new_session(device, parameters, &key, &auth_key)?;
    *algorithm = session.algorithm;
    insert(device, session, chain.opcode())
}

/// Creates a session with the capabilities of the device and the features of its driver.
fn new_session<H: Hooks>(
    device: &Device<H>,
    parameters: Parameters,
    key: &[u8],
    auth_key: &[u8],
) -> Result<Session> {
    let Device { capabilities, base, .. } = device;
    Session::new(parameters, key, auth_key, capabilities, base, device.features())
}

/// Adds a session to the table. Returns the session ID.
fn insert<H: Hooks>(device: &Device<H>, session: Session, opcode: u32) -> Result<u64> {
    // The status NOSPC requires revision 1.
    match device.hooks.insert_session(opcode, &device.sessions, session) {
        Err(StatusError::NoSpc) if device.features() & feature::REVISION_1 == 0 => {
            Err(StatusError::Generic)
        }
        id => id,
    }
}

/// Returns `Generic` if a key is longer than the limit of the device.
pub(crate) fn check_key_lens<H: Hooks>(device: &Device<H>, parameters: Parameters) -> Result<()> {
    let (key_len, auth_key_len) = parameters.key_lens();
    let (max_cipher, max_auth) = (device.base.max_cipher_key_len, device.base.max_auth_key_len);
    let (fits, requirement) = match parameters.service() {
        Service::Cipher | Service::Aead => (key_len <= max_cipher, Requirement::MaxCipherKeyLen),
        Service::Hash | Service::Mac => (key_len <= max_auth, Requirement::MaxAuthKeyLen),
        // The specification has no field for this limit, so exceeding it is not a violation.
        Service::Akcipher if key_len > MAX_AKCIPHER_KEY_LEN => return Err(StatusError::Generic),
        Service::Akcipher => return Ok(()),
    };
    let auth_fits = auth_key_len <= max_auth;
    device.check(requirement, fits);
    device.check(Requirement::MaxAuthKeyLen, auth_fits);
    match fits && auth_fits {
        true => Ok(()),
        false => Err(StatusError::Generic),
    }
}

fn destroy<H: Hooks>(
    device: &Device<H>,
    chain: &Chain<'_>,
    service: Service,
    session_id: u64,
    opcode: u32,
    algorithm: &mut &'static str,
) -> Result<()> {
    device.check(Requirement::ControlOrder, !chain.writable.is_empty());
    let session = device.sessions.get(session_id);
    let known = session.is_some() || device.sessions.take_dropped(session_id);
    device.check(Requirement::DestroyId, known);
    let session = session.ok_or(StatusError::Generic)?;
    *algorithm = session.algorithm;
    let matches = session.parameters.service() == service;
    device.check(Requirement::DestroyOpcode, matches);
    if !matches || device.hooks.reject_destroy(opcode) {
        return Err(StatusError::Generic);
    }
    device.sessions.remove(session_id).map(|_| ()).ok_or(StatusError::Generic)
}
