// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requests of the data queues.

use serde::Serialize;
use smallvec::smallvec;

use super::algorithm::{Direction, Service, SymOp, RSA};
use super::control::{Chain, Parameters};
use super::{Fields, Layout, Unused, PADDED_LEN};
use crate::status::{Result, StatusError};

/// Length of the header, in bytes.
pub const HEADER_LEN: usize = 24;
/// Maximum length of header and fixed-length fields, in bytes: a stateless cipher request.
pub const MAX_FIXED_LEN: usize = 100;
/// Padding in the header.
const HEADER_PADDING: std::ops::Range<usize> = 20..24;
/// `VIRTIO_CRYPTO_FLAG_SESSION_MODE`
pub const FLAG_SESSION_MODE: u32 = 1;

/// `struct virtio_crypto_op_header`
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct Header {
    pub opcode: u32,
    pub algo: u32,
    pub session_id: u64,
    pub flag: u32,
    pub padding: u32,
}

/// Operation of a data request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[allow(missing_docs)]
pub enum Operation {
    Cipher(Direction),
    Hash,
    Mac,
    Aead(Direction),
    AkcipherEncrypt,
    AkcipherDecrypt,
    AkcipherSign,
    AkcipherVerify,
}

impl Operation {
    /// Returns whether this is a public-key operation.
    pub fn is_akcipher(self) -> bool {
        self.service() == Service::Akcipher
    }

    /// Converts an opcode. Returns `NotSupp` if the opcode is not defined.
    pub fn parse(opcode: u32) -> Result<Self> {
        Ok(match opcode {
            0x0000 => Operation::Cipher(Direction::Encrypt),
            0x0001 => Operation::Cipher(Direction::Decrypt),
            0x0100 => Operation::Hash,
            0x0200 => Operation::Mac,
            0x0300 => Operation::Aead(Direction::Encrypt),
            0x0301 => Operation::Aead(Direction::Decrypt),
            0x0400 => Operation::AkcipherEncrypt,
            0x0401 => Operation::AkcipherDecrypt,
            0x0402 => Operation::AkcipherSign,
            0x0403 => Operation::AkcipherVerify,
            _ => return Err(StatusError::NotSupp),
        })
    }

    /// Returns the service.
    pub fn service(self) -> Service {
        match self {
            Operation::Cipher(_) => Service::Cipher,
            Operation::Hash => Service::Hash,
            Operation::Mac => Service::Mac,
            Operation::Aead(_) => Service::Aead,
            _ => Service::Akcipher,
        }
    }
}

/// Lengths of the fields after the fixed-length fields, and ranges in the source data.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Lengths {
    Cipher { iv_len: u32, src_data_len: u32, dst_data_len: u32 },
    Chain(ChainLengths),
    Digest { src_data_len: u32, hash_result_len: u32 },
    Aead { iv_len: u32, aad_len: u32, src_data_len: u32, dst_data_len: u32, tag_len: u32 },
    Akcipher { src_data_len: u32, dst_data_len: u32 },
}

/// Lengths and ranges of a chained request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct ChainLengths {
    pub iv_len: u32,
    pub src_data_len: u32,
    pub dst_data_len: u32,
    pub cipher_start_src_offset: u32,
    pub len_to_cipher: u32,
    pub hash_start_src_offset: u32,
    pub len_to_hash: u32,
    pub aad_len: u32,
    pub hash_result_len: u32,
}

impl Lengths {
    /// Returns the length of the source data, in bytes.
    pub fn src_data_len(&self) -> u32 {
        match self {
            Lengths::Cipher { src_data_len, .. }
            | Lengths::Chain(ChainLengths { src_data_len, .. })
            | Lengths::Digest { src_data_len, .. }
            | Lengths::Aead { src_data_len, .. }
            | Lengths::Akcipher { src_data_len, .. } => *src_data_len,
        }
    }

    /// Returns whether the destination of a cipher is longer than the source. Some devices reject
    /// this.
    pub fn leaves_room(&self) -> bool {
        match self {
            Lengths::Cipher { src_data_len, dst_data_len, .. }
            | Lengths::Chain(ChainLengths { src_data_len, dst_data_len, .. }) => {
                dst_data_len > src_data_len
            }
            _ => false,
        }
    }

    /// Returns the total length without header, keys and status, in bytes.
    fn total(&self) -> u64 {
        let parts: &[u32] = match self {
            Lengths::Cipher { iv_len, src_data_len, dst_data_len } => {
                &[*iv_len, *src_data_len, *dst_data_len]
            }
            Lengths::Chain(c) => {
                &[c.iv_len, c.src_data_len, c.dst_data_len, c.aad_len, c.hash_result_len]
            }
            Lengths::Digest { src_data_len, hash_result_len } => &[*src_data_len, *hash_result_len],
            Lengths::Aead { iv_len, aad_len, src_data_len, dst_data_len, .. } => {
                &[*iv_len, *aad_len, *src_data_len, *dst_data_len]
            }
            Lengths::Akcipher { src_data_len, dst_data_len } => &[*src_data_len, *dst_data_len],
        };
        parts.iter().copied().map(u64::from).sum()
    }
}

/// Header and fixed-length fields of a data request.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
pub struct Request {
    /// The header.
    pub header: Header,
    /// The operation.
    pub operation: Operation,
    /// The parameters of a stateless request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stateless: Option<Parameters>,
    /// The fixed-length fields.
    pub lengths: Lengths,
    /// Length of the header and the fixed-length fields, in bytes.
    #[serde(skip)]
    pub fixed_len: usize,
    /// Whether all unused bytes are 0.
    #[serde(skip)]
    pub padding_is_zero: bool,
}

impl Lengths {
    /// Returns the unused bytes of a request in session mode.
    fn unused(&self) -> Unused {
        let mut unused: Unused = smallvec![HEADER_PADDING];
        match self {
            Lengths::Cipher { .. } => unused.extend([36..64, 68..PADDED_LEN]),
            Lengths::Chain(_) => unused.extend([60..64, 68..PADDED_LEN]),
            Lengths::Digest { .. } | Lengths::Akcipher { .. } => unused.push(32..PADDED_LEN),
            Lengths::Aead { .. } => unused.push(44..PADDED_LEN),
        }
        unused
    }
}

/// Returns the unused bytes of a stateless request.
fn stateless_unused(parameters: &Parameters) -> Unused {
    let mut unused: Unused = smallvec![HEADER_PADDING];
    match parameters {
        Parameters::Cipher { .. } => unused.push(48..96),
        Parameters::Chain(_) => unused.push(92..96),
        Parameters::Hash { .. } => unused.push(36..40),
        // The field is the hash of RSA, and padding for an elliptic curve.
        Parameters::Akcipher { algo, .. } if *algo != RSA => unused.push(40..44),
        Parameters::Mac { .. } | Parameters::Aead { .. } | Parameters::Akcipher { .. } => {}
    }
    unused
}

impl Header {
    /// Parses the header. Returns `Generic` if the request is too short.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let fields = Fields::new(bytes, HEADER_LEN)?;
        Ok(Header {
            opcode: fields.u32(0),
            algo: fields.u32(4),
            session_id: fields.u64(8),
            flag: fields.u32(16),
            padding: fields.u32(20),
        })
    }
}

impl Request {
    /// Returns the length that `max_size` limits, in bytes: everything after the fixed-length
    /// fields, including the keys of a stateless request, without the status.
    pub fn total(&self) -> u64 {
        let (key, auth_key) = self.stateless.map_or((0, 0), |parameters| parameters.key_lens());
        self.lengths.total() + u64::from(key) + u64::from(auth_key)
    }

    /// Parses header and fixed-length fields. `stateless` selects the layout of stateless requests.
    /// Returns `NotSupp` if the opcode or the type of a symmetric request is not defined, and
    /// `Generic` if the request is too short.
    pub fn parse(bytes: &[u8], layout: Layout, stateless: bool) -> Result<Self> {
        let header = Header::parse(bytes)?;
        let operation = Operation::parse(header.opcode)?;
        if stateless {
            parse_stateless(bytes, header, operation)
        } else {
            parse_session(bytes, header, operation, layout)
        }
    }
}

fn parse_session(
    bytes: &[u8],
    header: Header,
    operation: Operation,
    layout: Layout,
) -> Result<Request> {
    let service = operation.service();
    let fixed_len = match (layout, service) {
        (Layout::Padded, _) | (_, Service::Cipher) => PADDED_LEN,
        (_, Service::Aead) => 48,
        _ => 32,
    };
    let fields = Fields::new(bytes, fixed_len)?;
    let lengths = match service {
        Service::Cipher => match SymOp::try_from(fields.u32(64)) {
            Ok(SymOp::Cipher) => Lengths::Cipher {
                iv_len: fields.u32(24),
                src_data_len: fields.u32(28),
                dst_data_len: fields.u32(32),
            },
            Ok(SymOp::AlgorithmChaining) => Lengths::Chain(ChainLengths {
                iv_len: fields.u32(24),
                src_data_len: fields.u32(28),
                dst_data_len: fields.u32(32),
                cipher_start_src_offset: fields.u32(36),
                len_to_cipher: fields.u32(40),
                hash_start_src_offset: fields.u32(44),
                len_to_hash: fields.u32(48),
                aad_len: fields.u32(52),
                hash_result_len: fields.u32(56),
            }),
            Err(_) => return Err(StatusError::NotSupp),
        },
        Service::Hash | Service::Mac => {
            Lengths::Digest { src_data_len: fields.u32(24), hash_result_len: fields.u32(28) }
        }
        Service::Aead => Lengths::Aead {
            iv_len: fields.u32(24),
            aad_len: fields.u32(28),
            src_data_len: fields.u32(32),
            dst_data_len: fields.u32(36),
            tag_len: fields.u32(40),
        },
        Service::Akcipher => {
            Lengths::Akcipher { src_data_len: fields.u32(24), dst_data_len: fields.u32(28) }
        }
    };
    Ok(Request {
        header,
        operation,
        stateless: None,
        lengths,
        fixed_len,
        padding_is_zero: fields.zero(&lengths.unused()),
    })
}

fn parse_stateless(bytes: &[u8], header: Header, operation: Operation) -> Result<Request> {
    let fixed_len = match operation.service() {
        Service::Cipher => MAX_FIXED_LEN,
        Service::Hash | Service::Mac => 40,
        Service::Aead => 56,
        Service::Akcipher => 52,
    };
    let fields = Fields::new(bytes, fixed_len)?;
    let (parameters, lengths) = match operation.service() {
        Service::Cipher => match SymOp::try_from(fields.u32(96)) {
            Ok(SymOp::Cipher) => (
                Parameters::Cipher {
                    algo: fields.u32(24),
                    key_len: fields.u32(28),
                    op: fields.u32(32),
                },
                Lengths::Cipher {
                    iv_len: fields.u32(36),
                    src_data_len: fields.u32(40),
                    dst_data_len: fields.u32(44),
                },
            ),
            Ok(SymOp::AlgorithmChaining) => stateless_chain(fields),
            Err(_) => return Err(StatusError::NotSupp),
        },
        Service::Hash => (
            Parameters::Hash { algo: fields.u32(24), hash_result_len: fields.u32(32) },
            Lengths::Digest { src_data_len: fields.u32(28), hash_result_len: fields.u32(32) },
        ),
        Service::Mac => (
            Parameters::Mac {
                algo: fields.u32(24),
                auth_key_len: fields.u32(28),
                hash_result_len: fields.u32(36),
            },
            Lengths::Digest { src_data_len: fields.u32(32), hash_result_len: fields.u32(36) },
        ),
        Service::Aead => (
            Parameters::Aead {
                algo: fields.u32(24),
                key_len: fields.u32(28),
                op: fields.u32(32),
                tag_len: fields.u32(40),
                aad_len: fields.u32(44),
            },
            Lengths::Aead {
                iv_len: fields.u32(36),
                tag_len: fields.u32(40),
                aad_len: fields.u32(44),
                src_data_len: fields.u32(48),
                dst_data_len: fields.u32(52),
            },
        ),
        Service::Akcipher => (
            Parameters::Akcipher {
                algo: fields.u32(24),
                key_type: fields.u32(28),
                key_len: fields.u32(32),
                detail: [fields.u32(36), fields.u32(40)],
            },
            Lengths::Akcipher { src_data_len: fields.u32(44), dst_data_len: fields.u32(48) },
        ),
    };
    Ok(Request {
        header,
        operation,
        stateless: Some(parameters),
        lengths,
        fixed_len,
        padding_is_zero: fields.zero(&stateless_unused(&parameters)),
    })
}

fn stateless_chain(fields: Fields<'_>) -> (Parameters, Lengths) {
    (
        Parameters::Chain(Chain {
            alg_chain_order: fields.u32(24),
            aad_len: fields.u32(28),
            cipher_algo: fields.u32(32),
            key_len: fields.u32(36),
            op: fields.u32(40),
            hash_algo: fields.u32(44),
            auth_key_len: fields.u32(48),
            hash_mode: fields.u32(52),
            hash_result_len: fields.u32(88),
        }),
        Lengths::Chain(ChainLengths {
            iv_len: fields.u32(56),
            src_data_len: fields.u32(60),
            dst_data_len: fields.u32(64),
            cipher_start_src_offset: fields.u32(68),
            len_to_cipher: fields.u32(72),
            hash_start_src_offset: fields.u32(76),
            len_to_hash: fields.u32(80),
            aad_len: fields.u32(84),
            hash_result_len: fields.u32(88),
        }),
    )
}
