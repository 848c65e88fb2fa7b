// SPDX-License-Identifier: GPL-2.0

//! Requests on a data queue ("Data Virtqueue").
//!
//! The structures are the header and the fixed-length fields of a request. Keys, IVs, data and
//! results follow in separate segments.
//!
//! - A request in session mode names a session. It has the padded or the natural layout.
//! - A request in stateless mode carries its parameters and its key. It has only one layout,
//!   without padding to 72 bytes. Each service has a feature bit for its stateless mode.

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
    feature::Layout,
    PADDED_LEN, //
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
        max_cipher_len,
        CipherRequest,
        StatelessCipherRequest, //
    },
    digest::{
        DigestRequest,
        StatelessHashRequest,
        StatelessMacRequest, //
    },
};

/// The length of `struct virtio_crypto_inhdr` in bytes. The structure only has the status, which
/// follows the results.
pub(crate) const STATUS_LEN: usize = 1;

/// The length of the header and the fixed-length fields of a stateless cipher request in bytes. All
/// other stateless requests are shorter.
const STATELESS_LEN: usize = 100;

/// The maximum length of the header and the fixed-length fields of a request in bytes.
pub(crate) const MAX_FIXED_LEN: usize = if STATELESS_LEN > PADDED_LEN {
    STATELESS_LEN
} else {
    PADDED_LEN
};

/// `struct virtio_crypto_op_header`, the first field of every request.
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
    /// Creates the header of a request in session mode. `op` is the low byte of the opcode.
    fn session(layout: Layout, service: Service, op: u32, algo: u32, session_id: u64) -> Self {
        Self {
            opcode: opcode(service, op),
            algo: algo.into(),
            session_id: session_id.into(),
            flag: layout.session_flag().into(),
            padding: 0.into(),
        }
    }

    /// Creates the header of a request in stateless mode. `op` is the low byte of the opcode.
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

/// Returns the low byte of the opcode of a cipher or AEAD operation.
fn opcode_low_byte(operation: Operation) -> u32 {
    match operation {
        Operation::Encrypt => 0,
        Operation::Decrypt => 1,
    }
}

/// Returns true if the variable-length fields of a request do not exceed a device's `max_size`.
///
/// `lengths` has the length of every variable-length field except the status, in bytes: keys of a
/// stateless request, IV, AAD, source, destination and result. The function adds the status byte.
pub(crate) fn fits_max_size(lengths: &[u32], max_size: u64) -> bool {
    let total: u64 = lengths.iter().map(|len| u64::from(*len)).sum();
    // CAST: `STATUS_LEN` is 1.
    total + STATUS_LEN as u64 <= max_size
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_data)]
mod tests {
    use super::*;

    #[test]
    fn fits_max_size_counts_all_lengths_without_overflow() {
        assert!(fits_max_size(&[16, 16], 33));
        assert!(!fits_max_size(&[16, 17], 33));
        assert!(fits_max_size(&[], 1));
        assert!(!fits_max_size(&[], 0));
        assert!(!fits_max_size(&[u32::MAX; 6], u64::from(u32::MAX)));
        assert!(fits_max_size(&[u32::MAX; 6], u64::MAX));
    }
}
