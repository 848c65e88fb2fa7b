// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests of the control queue, which create and destroy sessions.

use serde::Serialize;
use smallvec::smallvec;

use super::algorithm::{HashMode, Service, SymOp, RSA};
use super::{Fields, Layout, Unused, PADDED_LEN};
use crate::status::{Result, StatusError};

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 16;
/// Length of the response to a CREATE, in bytes.
pub const CREATE_OUTCOME_LEN: usize = 16;

/// `struct virtio_crypto_ctrl_header`
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Header {
    pub opcode: u32,
    pub algo: u32,
    pub flag: u32,
    /// Reserved; QEMU and the kernel's header call it `queue_id`.
    pub reserved: u32,
}

/// Parameters of a session: the fixed-length fields of a CREATE or of a stateless request. Numbers
/// are not checked yet. `detail` has padding and hash of an RSA key, or the curve of an ECDSA key
/// and an unused word.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Parameters {
    Cipher { algo: u32, key_len: u32, op: u32 },
    Chain(Chain),
    Hash { algo: u32, hash_result_len: u32 },
    Mac { algo: u32, hash_result_len: u32, auth_key_len: u32 },
    Aead { algo: u32, key_len: u32, tag_len: u32, aad_len: u32, op: u32 },
    Akcipher { algo: u32, key_type: u32, key_len: u32, detail: [u32; 2] },
}

/// The parameters of an algorithm chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Chain {
    pub alg_chain_order: u32,
    pub hash_mode: u32,
    pub cipher_algo: u32,
    pub key_len: u32,
    pub op: u32,
    pub hash_algo: u32,
    pub hash_result_len: u32,
    pub auth_key_len: u32,
    pub aad_len: u32,
}

impl Parameters {
    /// Returns the service.
    pub fn service(&self) -> Service {
        match self {
            Parameters::Cipher { .. } | Parameters::Chain(_) => Service::Cipher,
            Parameters::Hash { .. } => Service::Hash,
            Parameters::Mac { .. } => Service::Mac,
            Parameters::Aead { .. } => Service::Aead,
            Parameters::Akcipher { .. } => Service::Akcipher,
        }
    }

    /// Returns the lengths of the keys, in bytes: the key of the algorithm, and the second key of a
    /// chain.
    pub fn key_lens(&self) -> (u32, u32) {
        match *self {
            Parameters::Cipher { key_len, .. }
            | Parameters::Aead { key_len, .. }
            | Parameters::Akcipher { key_len, .. } => (key_len, 0),
            Parameters::Chain(Chain { key_len, auth_key_len, .. }) => (key_len, auth_key_len),
            Parameters::Hash { .. } => (0, 0),
            Parameters::Mac { auth_key_len, .. } => (auth_key_len, 0),
        }
    }

    /// Returns the number of the algorithm, or of the cipher of a chain.
    pub fn algo(&self) -> u32 {
        match *self {
            Parameters::Cipher { algo, .. }
            | Parameters::Hash { algo, .. }
            | Parameters::Mac { algo, .. }
            | Parameters::Aead { algo, .. }
            | Parameters::Akcipher { algo, .. } => algo,
            Parameters::Chain(Chain { cipher_algo, .. }) => cipher_algo,
        }
    }
}

/// Operation of a control request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Operation {
    Create(Parameters),
    Destroy { service: Service, session_id: u64 },
}

/// Header and fixed-length fields of a control request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Request {
    /// The header.
    pub header: Header,
    /// The operation and its fixed-length fields.
    pub operation: Operation,
    /// Length of the header and the fixed-length fields, in bytes.
    #[serde(skip)]
    pub fixed_len: usize,
    /// Whether all unused bytes are 0.
    #[serde(skip)]
    pub padding_is_zero: bool,
}

impl Operation {
    /// Returns the unused bytes: the flag of the header and the padding. `Requirement::Reserved`
    /// covers the reserved word of the header.
    fn unused(&self) -> Unused {
        let mut unused: Unused = smallvec![8..12];
        match self {
            Operation::Destroy { .. } => unused.push(24..PADDED_LEN),
            Operation::Create(parameters) => match parameters {
                Parameters::Cipher { .. } => unused.extend([28..64, 68..PADDED_LEN]),
                // Padding follows the parameters of the cipher and of the digest. Without a key,
                // the length of the key is padding as well.
                Parameters::Chain(chain) => {
                    let auth = chain.hash_mode == HashMode::Auth.number();
                    let padding = if auth { 52..56 } else { 48..56 };
                    unused.extend([36..40, padding, 60..64, 68..PADDED_LEN]);
                }
                Parameters::Hash { .. } => unused.push(24..PADDED_LEN),
                Parameters::Mac { .. } => unused.push(28..PADDED_LEN),
                Parameters::Aead { .. } => unused.push(36..PADDED_LEN),
                // The field is the hash of RSA, and padding for an elliptic curve.
                Parameters::Akcipher { algo: RSA, .. } => unused.push(36..PADDED_LEN),
                Parameters::Akcipher { .. } => unused.push(32..PADDED_LEN),
            },
        }
        unused
    }
}

impl Header {
    /// Parses the header. Returns `Generic` if the request is too short.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let fields = Fields::new(bytes, HEADER_LEN)?;
        Ok(Header {
            opcode: fields.u32(0),
            algo: fields.u32(4),
            flag: fields.u32(8),
            reserved: fields.u32(12),
        })
    }

    /// Returns the service of the opcode, and whether the opcode is a CREATE. Returns `NotSupp` if
    /// the specification does not define the opcode.
    pub fn operation(&self) -> Result<(Service, bool)> {
        let service = Service::try_from(self.opcode >> 8).map_err(|_| StatusError::NotSupp)?;
        match (service, self.opcode & 0xff) {
            (Service::Akcipher, 4) => Ok((service, true)),
            (Service::Akcipher, 5) => Ok((service, false)),
            (Service::Akcipher, _) => Err(StatusError::NotSupp),
            (_, 2) => Ok((service, true)),
            (_, 3) => Ok((service, false)),
            _ => Err(StatusError::NotSupp),
        }
    }
}

impl Request {
    /// Parses header and fixed-length fields. Returns `NotSupp` if the opcode or the type of a
    /// symmetric session is not defined, and `Generic` if the request is too short.
    pub fn parse(bytes: &[u8], layout: Layout) -> Result<Self> {
        let header = Header::parse(bytes)?;
        let (service, create) = header.operation()?;
        let fixed_len = match (layout, create, service) {
            (Layout::Natural, false, _) | (Layout::Natural, true, Service::Hash) => 24,
            (Layout::Natural, true, Service::Mac) => 32,
            (Layout::Natural, true, Service::Aead) => 40,
            _ => PADDED_LEN,
        };
        let fields = Fields::new(bytes, fixed_len)?;
        let operation = match create {
            true => Operation::Create(parameters(service, fields)?),
            false => Operation::Destroy { service, session_id: fields.u64(16) },
        };
        Ok(Request {
            header,
            operation,
            fixed_len,
            padding_is_zero: fields.zero(&operation.unused()),
        })
    }
}

/// Parses the fixed-length fields of a CREATE.
fn parameters(service: Service, fields: Fields<'_>) -> Result<Parameters> {
    Ok(match service {
        Service::Cipher => match SymOp::try_from(fields.u32(64)) {
            Ok(SymOp::Cipher) => Parameters::Cipher {
                algo: fields.u32(16),
                key_len: fields.u32(20),
                op: fields.u32(24),
            },
            Ok(SymOp::AlgorithmChaining) => {
                let hash_mode = fields.u32(20);
                let auth = hash_mode == HashMode::Auth.number();
                Parameters::Chain(Chain {
                    alg_chain_order: fields.u32(16),
                    hash_mode,
                    cipher_algo: fields.u32(24),
                    key_len: fields.u32(28),
                    op: fields.u32(32),
                    hash_algo: fields.u32(40),
                    hash_result_len: fields.u32(44),
                    auth_key_len: if auth { fields.u32(48) } else { 0 },
                    aad_len: fields.u32(56),
                })
            }
            Err(_) => return Err(StatusError::NotSupp),
        },
        Service::Hash => Parameters::Hash { algo: fields.u32(16), hash_result_len: fields.u32(20) },
        Service::Mac => Parameters::Mac {
            algo: fields.u32(16),
            hash_result_len: fields.u32(20),
            auth_key_len: fields.u32(24),
        },
        Service::Aead => Parameters::Aead {
            algo: fields.u32(16),
            key_len: fields.u32(20),
            tag_len: fields.u32(24),
            aad_len: fields.u32(28),
            op: fields.u32(32),
        },
        Service::Akcipher => Parameters::Akcipher {
            algo: fields.u32(16),
            key_type: fields.u32(20),
            key_len: fields.u32(24),
            detail: [fields.u32(28), fields.u32(32)],
        },
    })
}

/// Returns the parts of the response to a CREATE, `struct virtio_crypto_create_session_input`: the
/// session ID, which is written only after success, and status with padding.
pub fn create_outcome(session_id: Option<u64>, status: u32) -> (Option<[u8; 8]>, [u8; 8]) {
    (session_id.map(u64::to_le_bytes), u64::from(status).to_le_bytes())
}
