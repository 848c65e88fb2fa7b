// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Performs the operation of a parsed data request.

use std::sync::Arc;

use crate::akcipher::{store, Task};
use crate::capabilities::{ChainDigest, SessionAad};
use crate::device::{Device, Scratch};
use crate::hooks::Hooks;
use crate::parts::Parts;
use crate::protocol::algorithm::{ChainOrder, Direction};
use crate::protocol::control::{Chain, Parameters};
use crate::protocol::data::{Lengths, Operation, Request};
use crate::protocol::Layout;
use crate::requirement::Requirement;
use crate::session::{Engine, Session};
use crate::status::{Result, StatusError};

/// Maximum length of an IV, in bytes.
const MAX_IV_LEN: usize = 64;

/// Performs a request. Returns the number of bytes written from the first byte on, without the
/// status.
pub(crate) fn operate<H: Hooks>(
    device: &Device<H>,
    session: &Arc<Session>,
    request: &Request,
    parts: &Parts<'_>,
    scratch: &mut Scratch,
) -> Result<u32> {
    let mut iv = [0; MAX_IV_LEN];
    if parts.iv.len() > MAX_IV_LEN {
        return Err(StatusError::Generic);
    }
    let iv_len = parts.iv.read(&mut iv);
    let iv = &iv[..iv_len];
    let Scratch { data: scratch, output } = scratch;
    let (src, dst) = (&parts.src, &parts.dst);
    let same_direction = |op: u32, direction: Direction| {
        device.check(Requirement::Direction, op == direction.number());
        match op == direction.number() {
            true => Ok(()),
            false => Err(StatusError::Generic),
        }
    };
    let same_aad = |session: u32, request_len: u32| {
        // A stateless request has two length fields, which must be equal.
        let open = session == 0
            && device.capabilities.session_aad == SessionAad::Open
            && request.stateless.is_none();
        let same = open || session == request_len;
        device.check(Requirement::AadLen, same);
        match same {
            true => Ok(()),
            false => Err(StatusError::Generic),
        }
    };
    match (&session.engine, request.operation, &request.lengths, &session.parameters) {
        (
            Engine::Cipher(cipher),
            Operation::Cipher(direction),
            Lengths::Cipher { .. },
            Parameters::Cipher { op, .. },
        ) => {
            same_direction(*op, direction)?;
            let dst = dst.get(0, src.len()).ok_or(StatusError::Generic)?;
            cipher.run(iv, src, &dst, scratch)?;
            Ok(src.len() as u32)
        }
        (
            Engine::Chaining(chaining),
            Operation::Cipher(direction),
            Lengths::Chain(lengths),
            Parameters::Chain(Chain { op, aad_len, alg_chain_order, .. }),
        ) => {
            same_direction(*op, direction)?;
            same_aad(*aad_len, lengths.aad_len)?;
            if parts.result.len() != chaining.result_len() {
                return Err(StatusError::Generic);
            }
            let verify = device.capabilities.chain_digest == ChainDigest::Verify
                && *alg_chain_order == ChainOrder::HashThenCipher.number()
                && direction == Direction::Decrypt;
            output.resize(chaining.result_len(), 0);
            chaining.run(lengths, iv, parts, verify, output, scratch)?;
            let result_len = if verify { 0 } else { parts.result.write(output) };
            // If the destination is longer than the source, the written part ends before the
            // result.
            let result_len = if dst.len() == src.len() { result_len } else { 0 };
            Ok((src.len() + result_len) as u32)
        }
        (Engine::Hash(algorithm, len), Operation::Hash, ..) => {
            if parts.result.len() != *len {
                return Err(StatusError::Generic);
            }
            output.resize(*len, 0);
            crate::crypto::hash::digest(*algorithm, src, output)?;
            Ok(parts.result.write(output) as u32)
        }
        (Engine::Mac(mac, len), Operation::Mac, ..) => {
            if parts.result.len() != *len {
                return Err(StatusError::Generic);
            }
            output.resize(*len, 0);
            mac.run(&[src], output)?;
            Ok(parts.result.write(output) as u32)
        }
        (
            Engine::Aead(aead, session_tag_len),
            Operation::Aead(direction),
            Lengths::Aead { iv_len, aad_len, tag_len, .. },
            Parameters::Aead { op, aad_len: session_aad_len, .. },
        ) => {
            same_direction(*op, direction)?;
            same_aad(*session_aad_len, *aad_len)?;
            // The kernel's header has padding in place of the tag length, so it is 0 in the
            // requests of drivers that use the header.
            let left_out = *tag_len == 0 && device.layout() == Layout::Padded;
            if !left_out && *tag_len as usize != *session_tag_len {
                return Err(StatusError::Generic);
            }
            let nonce = session.nonce(&device.capabilities, iv, *iv_len)?;
            let len = match direction {
                Direction::Encrypt => src.len().checked_add(*session_tag_len),
                Direction::Decrypt => src.len().checked_sub(*session_tag_len),
            };
            let dst = len.and_then(|len| dst.get(0, len)).ok_or(StatusError::Generic)?;
            match direction {
                Direction::Encrypt => aead.encrypt(nonce, &parts.aad, src, &dst, scratch)?,
                Direction::Decrypt => aead.decrypt(nonce, &parts.aad, src, &dst, scratch)?,
            }
            Ok(dst.len() as u32)
        }
        (Engine::Rsa(_) | Engine::Ecdsa(_), operation, ..) => {
            store(&Task::new(device, session, operation, parts)?.run()?, parts)
        }
        // A cipher request in a session of a chain, or a chained request in a session of a cipher.
        _ => {
            device.violated(Requirement::OpType);
            Err(StatusError::Generic)
        }
    }
}
