// SPDX-License-Identifier: GPL-2.0

//! Requests on a data queue ("Data Virtqueue").
//!
//! What is here is the fixed part of each request; keys, IVs, data and results follow in segments
//! of their own. A request in a session has the padded or the natural layout; one that brings its
//! key along has one layout only, and needs a feature of its service.

mod aead;
mod akcipher;
mod chain;
mod cipher;
mod digest;

use super::{
    algorithm::{
        Operation,
        Service, //
    },
    feature::Revision,
    FIXED, //
};
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::{
    U32,
    U64, //
};
use zerocopy_derive::Immutable;

pub(crate) use self::{
    aead::{
        AeadRequest,
        Lengths,
        StatelessAeadRequest, //
    },
    akcipher::{
        AkcipherOperation,
        AkcipherRequest,
        StatelessAkcipherRequest, //
    },
    chain::{
        ChainLengths,
        ChainRequest,
        StatelessChainRequest, //
    },
    cipher::{
        cipher_room,
        CipherRequest,
        StatelessCipherRequest, //
    },
    digest::{
        DigestRequest,
        StatelessHashRequest,
        StatelessMacRequest, //
    },
};

/// The status byte that ends what the device writes: `struct virtio_crypto_inhdr`.
pub(crate) const STATUS: usize = 1;

/// The bytes of the longest fixed part of a stateless request, which is that of a symmetric one.
const STATELESS: usize = 100;

/// The longest fixed part of any request, in bytes.
pub(crate) const MAX_HEAD: usize = if STATELESS > FIXED { STATELESS } else { FIXED };

/// What every request begins with: `struct virtio_crypto_op_header`.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
struct Header {
    opcode: U32,
    algo: U32,
    session_id: U64,
    flag: U32,
    padding: U32,
}

kernel::static_assert!(size_of::<Header>() == 24);

impl Header {
    /// Creates the header of a request in a session; `op` is the low byte of the opcode.
    fn session(revision: Revision, service: Service, op: u32, algo: u32, session_id: u64) -> Self {
        Self {
            opcode: opcode(service, op),
            algo: algo.into(),
            session_id: session_id.into(),
            flag: revision.session_flag().into(),
            padding: 0.into(),
        }
    }

    /// Creates the header of a request that brings its key along.
    fn stateless(service: Service, op: u32, algo: u32) -> Self {
        Self {
            opcode: opcode(service, op),
            algo: algo.into(),
            session_id: 0.into(),
            flag: 0.into(),
            padding: 0.into(),
        }
    }
}

fn opcode(service: Service, op: u32) -> U32 {
    (service.number() << 8 | op).into()
}

/// The low byte of the opcode of what encrypts or decrypts.
fn direction(operation: Operation) -> u32 {
    match operation {
        Operation::Encrypt => 0,
        Operation::Decrypt => 1,
    }
}

/// Returns true if what is not fixed in a request is within a device's `max_size`: the sum of the
/// lengths of IV, associated data, source, destination and result, and of a key that is sent along,
/// all in bytes. The status byte counts, too.
pub(crate) fn fits(lengths: &[u32], max_size: u64) -> bool {
    let total: u64 = lengths.iter().map(|len| u64::from(*len)).sum();
    // CAST: It is 1.
    total + STATUS as u64 <= max_size
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data)]
mod tests {
    use super::*;

    #[test]
    fn max_size_counts_everything_and_never_overflows() {
        assert!(fits(&[16, 16], 33));
        assert!(!fits(&[16, 17], 33));
        assert!(fits(&[], 1));
        assert!(!fits(&[], 0));
        assert!(!fits(&[u32::MAX; 6], u64::from(u32::MAX)));
        assert!(fits(&[u32::MAX; 6], u64::MAX));
    }
}
