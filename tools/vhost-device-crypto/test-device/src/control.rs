// SPDX-License-Identifier: GPL-2.0
//! Serves the control queue.

use zeroize::Zeroizing;

use crate::counters::Key;
use crate::device::{opcode, Device};
use crate::failure::{Failure, Result};
use crate::fault::{Kind, QueueId};
use crate::memory::Chain;
use crate::protocol::algorithm::Service;
use crate::protocol::control::{
    create_outcome, Header, Operation, Parameters, Request, CREATE_OUTCOME_LEN, HEADER_LEN,
};
use crate::protocol::{feature, PADDED_LEN};
use crate::requirement::Requirement;
use crate::session::{Session, MAX_AKCIPHER_KEY_LEN};
use crate::trace::{opcode_name, Request as Traced};

/// What came of a request.
struct Outcome {
    /// The new session's number.
    session_id: Option<u64>,
    status: u32,
    algorithm: &'static str,
}

/// Serves one request; returns how many bytes were written.
pub(crate) fn serve(device: &Device, chain: &Chain<'_>) -> u32 {
    let mut fixed = [0; PADDED_LEN];
    let len = chain.readable.read(&mut fixed);
    let parsed = Request::parse(&fixed[..len], device.layout());
    let code = opcode(chain);
    let traced = match parsed {
        Ok(request) => Traced::Control(request),
        Err(_) => Traced::Malformed { opcode: (len >= 4).then_some(code) },
    };
    let mut outcome = execute(device, chain, parsed, code);
    let fire = |kind| device.faults.fire(kind, QueueId::Control, code);
    if let Some(status) = fire(Kind::StatusUnknown) {
        outcome.status = status as u32;
    }
    let written = match fire(Kind::StatusUnwritten) {
        Some(_) => 0,
        None => write(chain, parsed.map(|request| request.operation), &outcome),
    };
    let status = outcome.status as u8;
    let key = Key {
        operation: opcode_name(code),
        algorithm: outcome.algorithm,
        stateless: false,
        status,
    };
    device.counters.count(QueueId::Control, key, 0);
    device.trace.write(QueueId::Control, &traced, chain, outcome.session_id, status, written);
    written
}

/// Writes what came of it: a DESTROY has one byte for it, everything else sixteen, if
/// there are as many. Returns how many bytes from the first one on were written.
fn write(chain: &Chain<'_>, operation: Result<Operation>, outcome: &Outcome) -> u32 {
    let destroy = matches!(operation, Ok(Operation::Destroy { .. }));
    if destroy || chain.writable.len() < CREATE_OUTCOME_LEN {
        chain.writable.write(&[outcome.status as u8]) as u32
    } else {
        let (id, rest) = create_outcome(outcome.session_id, outcome.status);
        let mut writable = chain.writable.clone();
        let (Some(to_id), Some(to_rest)) = (writable.take(8), writable.take(rest.len())) else {
            return 0;
        };
        to_rest.write(&rest);
        id.map_or(0, |id| (to_id.write(&id) + rest.len()) as u32)
    }
}

fn execute(device: &Device, chain: &Chain<'_>, parsed: Result<Request>, code: u32) -> Outcome {
    let mut algorithm = "";
    let result = parsed.and_then(|request| {
        check(device, &request);
        if !device.is_ready() {
            return Err(Failure::Err);
        }
        match request.operation {
            Operation::Create(parameters) => {
                create(device, chain, request.fixed_len, parameters, &mut algorithm).map(Some)
            }
            Operation::Destroy { service, session_id } => {
                let exact = chain.readable.len() == request.fixed_len && chain.writable.len() == 1;
                device.violations.check(Requirement::Exact, exact);
                destroy(device, chain, service, session_id, code, &mut algorithm).map(|()| None)
            }
        }
    });
    if let Err(failure) = parsed {
        device.violations.record(match failure {
            // The opcode is one that there is: what is not is the kind of symmetric session.
            Failure::NotSupp if is_defined(chain) => Requirement::OpType,
            Failure::NotSupp => Requirement::CreateOpcode,
            _ => Requirement::ControlOrder,
        });
    }
    let refused = match parsed.map(|request| request.operation) {
        Ok(Operation::Create(_)) => device.faults.fire(Kind::RefuseCreate, QueueId::Control, code),
        _ => None,
    };
    match (result, refused) {
        (Ok(session_id), None) => Outcome { session_id, status: 0, algorithm },
        (Ok(session_id), Some(status)) => {
            session_id.and_then(|id| device.sessions.remove(id));
            Outcome { session_id: None, status: status as u32, algorithm }
        }
        (Err(failure), _) => Outcome { session_id: None, status: failure as u32, algorithm },
    }
}

/// Whether the header is whole and has an opcode that there is.
fn is_defined(chain: &Chain<'_>) -> bool {
    let mut header = [0; HEADER_LEN];
    let len = chain.readable.read(&mut header);
    Header::parse(&header[..len]).is_ok_and(|header| header.operation().is_ok())
}

/// What the driver has to mind whatever comes of the request.
fn check(device: &Device, request: &Request) {
    let violations = &device.violations;
    violations.check(Requirement::Ready, device.is_ready());
    violations.check(Requirement::Reserved, request.header.reserved == 0);
    violations.check(Requirement::Unused, request.padding_is_zero);
}

fn create(
    device: &Device,
    chain: &Chain<'_>,
    fixed_len: usize,
    parameters: Parameters,
    algorithm: &mut &'static str,
) -> Result<u64> {
    let (key_len, auth_key_len) = parameters.key_lens();
    check_key_lens(device, parameters)?;
    let mut rest = chain.readable.clone();
    let keys = rest
        .take(fixed_len)
        .and_then(|_| Some((rest.take(key_len as usize)?, rest.take(auth_key_len as usize)?)));
    let fits = chain.writable.len() >= CREATE_OUTCOME_LEN;
    let exact = rest.is_empty() && chain.writable.len() == CREATE_OUTCOME_LEN;
    device.violations.check(Requirement::ControlOrder, keys.is_some() && fits);
    device.violations.check(Requirement::Exact, keys.is_none() || !fits || exact);
    let (Some((key, auth_key)), true) = (keys, fits) else {
        return Err(Failure::Err);
    };
    let (key, auth_key): (Zeroizing<_>, Zeroizing<_>) = (key.to_vec(), auth_key.to_vec());
    let session =
        Session::new(parameters, &key, &auth_key, &device.offer, &device.base, device.features())?;
    *algorithm = session.algorithm;
    insert(device, session, opcode(chain))
}

/// Gives a session its number, honestly or not.
fn insert(device: &Device, session: Session, code: u32) -> Result<u64> {
    let fire = |kind| device.faults.fire(kind, QueueId::Control, code);
    let id = if fire(Kind::TableFull).is_some() {
        Err(Failure::NoSpc)
    } else if let Some(id) = fire(Kind::SessionId) {
        device.sessions.insert_as(id, session);
        Ok(id)
    } else if let (Some(_), Some(id)) = (fire(Kind::SessionIdReused), device.sessions.last()) {
        device.sessions.insert_as(id, session);
        Ok(id)
    } else {
        device.sessions.insert(session)
    };
    if let (Ok(id), Some(_)) = (id, fire(Kind::SessionForgotten)) {
        device.sessions.forget(id);
    }
    // NOSPC came with the first revision.
    match id {
        Err(Failure::NoSpc) if device.features() & feature::REVISION_1 == 0 => Err(Failure::Err),
        id => id,
    }
}

/// `Err` if a key is longer than the device takes.
pub(crate) fn check_key_lens(device: &Device, parameters: Parameters) -> Result<()> {
    let (key_len, auth_key_len) = parameters.key_lens();
    let (max_cipher, max_auth) = (device.base.max_cipher_key_len, device.base.max_auth_key_len);
    let (fits, requirement) = match parameters.service() {
        Service::Cipher | Service::Aead => (key_len <= max_cipher, Requirement::MaxCipherKeyLen),
        Service::Hash | Service::Mac => (key_len <= max_auth, Requirement::MaxAuthKeyLen),
        // A limit of ours, which no driver can know.
        Service::Akcipher if key_len > MAX_AKCIPHER_KEY_LEN => return Err(Failure::Err),
        Service::Akcipher => return Ok(()),
    };
    let auth_fits = auth_key_len <= max_auth;
    device.violations.check(requirement, fits);
    device.violations.check(Requirement::MaxAuthKeyLen, auth_fits);
    match fits && auth_fits {
        true => Ok(()),
        false => Err(Failure::Err),
    }
}

fn destroy(
    device: &Device,
    chain: &Chain<'_>,
    service: Service,
    session_id: u64,
    code: u32,
    algorithm: &mut &'static str,
) -> Result<()> {
    device.violations.check(Requirement::ControlOrder, !chain.writable.is_empty());
    let session = device.sessions.get(session_id);
    let known = session.is_some() || device.sessions.was_forgotten(session_id);
    device.violations.check(Requirement::DestroyId, known);
    let session = session.ok_or(Failure::Err)?;
    *algorithm = session.algorithm;
    let same = session.parameters.service() == service;
    device.violations.check(Requirement::DestroyOpcode, same);
    if !same || device.faults.fire(Kind::RefuseDestroy, QueueId::Control, code).is_some() {
        return Err(Failure::Err);
    }
    device.sessions.remove(session_id).map(|_| ()).ok_or(Failure::Err)
}
