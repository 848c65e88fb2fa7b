// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Public-key operations. The input is copied out of guest memory first, so any thread can perform
//! the operation, and the guest cannot change the input meanwhile.

use std::sync::Arc;

use zeroize::Zeroizing;

use crate::device::Device;
use crate::hooks::Hooks;
use crate::parts::Parts;
use crate::protocol::algorithm::RsaPadding;
use crate::protocol::control::Parameters;
use crate::protocol::data::Operation;
use crate::requirement::Requirement;
use crate::session::{Engine, Session, MAX_AKCIPHER_KEY_LEN};
use crate::status::{Result, StatusError};

/// The output of an operation; empty for a verification.
pub(crate) type Output = Zeroizing<Vec<u8>>;

/// A public-key operation and its input.
pub(crate) struct Task {
    session: Arc<Session>,
    operation: Operation,
    src: Zeroizing<Vec<u8>>,
    /// The digest or message of a signature to verify.
    digest: Zeroizing<Vec<u8>>,
}

impl Task {
    /// Copies the input of a request. Returns `Generic` if the request is invalid.
    pub(crate) fn new<H: Hooks>(
        device: &Device<H>,
        session: &Arc<Session>,
        operation: Operation,
        parts: &Parts<'_>,
    ) -> Result<Self> {
        // No valid input is longer than the longest key.
        if parts.src.len() > MAX_AKCIPHER_KEY_LEN as usize {
            return Err(StatusError::Generic);
        }
        let src = parts.src.to_vec();
        let raw = matches!(
            session.parameters,
            Parameters::Akcipher { detail: [padding, _], .. } if padding == RsaPadding::Raw.number()
        );
        let signs = matches!(operation, Operation::AkcipherSign | Operation::AkcipherVerify);
        if let (Engine::Rsa(rsa), true) = (&session.engine, raw) {
            // A shorter number is served as well, because its value is unambiguous.
            device.check(Requirement::Raw, !signs && src.len() == rsa.modulus_len());
            if signs {
                return Err(StatusError::Generic);
            }
        }
        Ok(Task { session: session.clone(), operation, src, digest: parts.digest.to_vec() })
    }

    /// Performs the operation.
    pub(crate) fn run(&self) -> Result<Output> {
        let Task { session, operation, src, digest } = self;
        let mut output = Zeroizing::new(Vec::new());
        match (&session.engine, operation) {
            (Engine::Rsa(rsa), Operation::AkcipherEncrypt) => rsa.encrypt(src, &mut output)?,
            (Engine::Rsa(rsa), Operation::AkcipherDecrypt) => rsa.decrypt(src, &mut output)?,
            (Engine::Rsa(rsa), Operation::AkcipherSign) => rsa.sign(src, &mut output)?,
            (Engine::Rsa(rsa), Operation::AkcipherVerify) => rsa.verify(src, digest)?,
            (Engine::Ecdsa(ecdsa), Operation::AkcipherSign) => ecdsa.sign(src, &mut output)?,
            (Engine::Ecdsa(ecdsa), Operation::AkcipherVerify) => ecdsa.verify(src, digest)?,
            _ => return Err(StatusError::NotSupp),
        }
        Ok(output)
    }
}

/// Writes the output of an operation to the destination. Returns the number of bytes. Returns
/// `Generic` if the destination is too short.
pub(crate) fn store(output: &[u8], parts: &Parts<'_>) -> Result<u32> {
    if output.len() > parts.dst.len() {
        return Err(StatusError::Generic);
    }
    let written = parts.dst.write(output);
    // The used ring reports the length of a shorter result plus 1 for the status. The specification
    // requires the device to write all bytes that it reports, so write one more byte after the
    // result.
    if let Some(byte) = parts.dst.get(written, 1) {
        byte.write(&[0]);
    }
    Ok(written as u32)
}
