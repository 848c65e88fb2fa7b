// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Messages by which a front end creates and closes sessions. QEMU's `cryptodev-vhost-user` serves
//! the control queue itself, and sends each decoded session request as a message.
//!
//! The vhost-user specification does not define the body of these messages. QEMU sends its own C
//! structures, including pointers, in the layout of the host. This file implements the layout of
//! QEMU 7.1 and later with 64-bit pointers. The fields, by their offset:
//!
//! ```text
//!    0 u64 opcode of the request on the control queue
//!    8 u32 cipher, key length, hash, result length,   or  8 u32 algorithm, key type, key length
//!          authentication key length, AAD length
//!   32 u8  kind, direction, hash mode, order             24 pointer
//!   40 2 pointers                                        32 u32 padding, hash
//!   56 key, 64 bytes                                     40 key, 1024 bytes
//!  120 authentication key, 512 bytes
//! 1064 i64 in the reply: session ID, or a negative error
//! ```

use virtio_crypto_device::device::Device;
use virtio_crypto_device::hooks::Hooks;
use virtio_crypto_device::protocol::algorithm::{HashMode, SymOp};
use virtio_crypto_device::protocol::control::{Chain, Parameters};
use virtio_crypto_device::status::{Result, StatusError};
use virtio_crypto_device::warn_limited;

use crate::framing::number;

/// `VHOST_USER_PROTOCOL_F_CRYPTO_SESSION`. The crate vhost does not implement its messages.
pub const FEATURE: u64 = 1 << 7;

/// `VHOST_USER_CREATE_CRYPTO_SESSION`
pub const CREATE: u32 = 26;

/// `VHOST_USER_CLOSE_CRYPTO_SESSION`
pub const CLOSE: u32 = 27;

/// Length of the body of a CREATE, and of its reply, in bytes.
pub const CREATE_LEN: usize = 1072;

/// Length of the body of a CLOSE, in bytes. A CLOSE has no reply.
pub const CLOSE_LEN: usize = 8;

/// Offset of the session ID in a reply.
const SESSION_ID: usize = 1064;

/// Offsets and maximum lengths of the keys.
const CIPHER_KEY: (usize, usize) = (56, 64);
const AUTH_KEY: (usize, usize) = (120, 512);
const AKCIPHER_KEY: (usize, usize) = (40, 1024);

/// `VIRTIO_CRYPTO_CIPHER_CREATE_SESSION`
const CIPHER_CREATE: u64 = 0x0002;

/// `VIRTIO_CRYPTO_AKCIPHER_CREATE_SESSION`
const AKCIPHER_CREATE: u64 = 0x0404;

/// A decoded CREATE. The keys are borrowed from the message.
#[derive(Debug)]
struct Create<'m> {
    parameters: Parameters,
    key: &'m [u8],
    auth_key: &'m [u8],
}

/// Serves a CREATE. Returns the body of the reply, or `None` if the message has an invalid length.
pub fn create<H: Hooks>(device: &Device<H>, body: &[u8]) -> Option<Vec<u8>> {
    let body: &[u8; CREATE_LEN] = body.try_into().ok()?;
    let result = parse(body)
        .and_then(|Create { parameters, key, auth_key }| {
            device.create_session(parameters, key, auth_key)
        })
        .and_then(|id| {
            // In the reply an ID above `i64::MAX` would be an error.
            i64::try_from(id).map_err(|_| {
                let _ = device.destroy_session(id);
                StatusError::Generic
            })
        });
    let id = result.unwrap_or_else(|error| {
        warn_limited!("rejected a session of the front end: {error}");
        -i64::from(error as u8)
    });
    // The reply repeats no fields of the message, and therefore no keys.
    let mut reply = vec![0; CREATE_LEN];
    reply[SESSION_ID..].copy_from_slice(&id.to_ne_bytes());
    Some(reply)
}

/// Serves a CLOSE. Returns false if the message has an invalid length. The session may not exist,
/// because QEMU passes on the driver's session ID without a check.
pub fn close<H: Hooks>(device: &Device<H>, body: &[u8]) -> bool {
    let Ok(id) = <[u8; CLOSE_LEN]>::try_from(body) else { return false };
    if device.destroy_session(u64::from_ne_bytes(id)).is_err() {
        warn_limited!("the front end closed a session that does not exist");
    }
    true
}

/// Decodes a CREATE.
///
/// - `NotSupp` if the service is not a cipher, algorithm chaining or public keys.
/// - `Generic` if a key is longer than its field.
fn parse(body: &[u8; CREATE_LEN]) -> Result<Create<'_>> {
    let (low, high) = (u64::from(number(body, 0)), u64::from(number(body, 4)));
    let opcode = if cfg!(target_endian = "big") { high | low << 32 } else { low | high << 32 };
    match opcode {
        CIPHER_CREATE => {
            let cipher_key = key(body, CIPHER_KEY, number(body, 12))?;
            match SymOp::try_from(u32::from(body[32])) {
                Ok(SymOp::Cipher) => {
                    Ok(Create { parameters: cipher(body), key: cipher_key, auth_key: &[] })
                }
                Ok(SymOp::AlgorithmChaining) => {
                    let chain = chain(body);
                    let auth_key = key(body, AUTH_KEY, chain.auth_key_len)?;
                    Ok(Create { parameters: Parameters::Chain(chain), key: cipher_key, auth_key })
                }
                Err(_) => Err(StatusError::NotSupp),
            }
        }
        AKCIPHER_CREATE => {
            let parameters = akcipher(body);
            let key = key(body, AKCIPHER_KEY, number(body, 16))?;
            Ok(Create { parameters, key, auth_key: &[] })
        }
        _ => Err(StatusError::NotSupp),
    }
}

/// Returns the first `len` bytes of a key field.
fn key(body: &[u8; CREATE_LEN], (at, max_len): (usize, usize), len: u32) -> Result<&[u8]> {
    body[at..at + max_len].get(..len as usize).ok_or(StatusError::Generic)
}

fn cipher(body: &[u8; CREATE_LEN]) -> Parameters {
    Parameters::Cipher { algo: number(body, 8), key_len: number(body, 12), op: u32::from(body[33]) }
}

fn chain(body: &[u8; CREATE_LEN]) -> Chain {
    let hash_mode = u32::from(body[34]);
    let auth = hash_mode == HashMode::Auth.number();
    Chain {
        alg_chain_order: u32::from(body[35]),
        hash_mode,
        cipher_algo: number(body, 8),
        key_len: number(body, 12),
        op: u32::from(body[33]),
        hash_algo: number(body, 16),
        hash_result_len: number(body, 20),
        auth_key_len: if auth { number(body, 24) } else { 0 },
        aad_len: number(body, 28),
    }
}

fn akcipher(body: &[u8; CREATE_LEN]) -> Parameters {
    Parameters::Akcipher {
        algo: number(body, 8),
        key_type: number(body, 12),
        key_len: number(body, 16),
        detail: [number(body, 32), number(body, 36)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use virtio_crypto_device::capabilities::Capabilities;

    const AES_CBC: u32 = 3;
    const HMAC_SHA256: u32 = 4;

    fn device(capabilities: Capabilities) -> Device {
        Device::new(capabilities, ())
    }

    /// Returns a CREATE with these fields of 32 and 8 bits.
    fn message(opcode: u64, words: &[(usize, u32)], bytes: &[(usize, u8)]) -> [u8; CREATE_LEN] {
        // Other bytes are not 0: QEMU sends pointers and uninitialized memory.
        let mut body = [0xa5; CREATE_LEN];
        body[..8].copy_from_slice(&opcode.to_ne_bytes());
        for &(at, word) in words {
            body[at..at + 4].copy_from_slice(&word.to_ne_bytes());
        }
        for &(at, byte) in bytes {
            body[at] = byte;
        }
        body
    }

    fn cipher_message(algorithm: u32, key_len: u32, kind: u8) -> [u8; CREATE_LEN] {
        message(CIPHER_CREATE, &[(8, algorithm), (12, key_len)], &[(32, kind), (33, 1)])
    }

    fn chain_message(key_len: u32, auth_key_len: u32) -> [u8; CREATE_LEN] {
        let words = [(8, AES_CBC), (12, key_len), (16, HMAC_SHA256), (20, 32), (24, auth_key_len)];
        let mut body = message(CIPHER_CREATE, &words, &[(32, 2), (33, 1), (34, 2), (35, 2)]);
        body[28..32].fill(0);
        body
    }

    fn id(reply: &[u8]) -> i64 {
        assert!(reply[..SESSION_ID].iter().all(|&byte| byte == 0), "the reply has other fields");
        i64::from_ne_bytes(reply[SESSION_ID..].try_into().unwrap())
    }

    #[test]
    fn fields_are_decoded_from_qemus_layout() {
        let mut body = cipher_message(AES_CBC, 32, 1);
        for (at, byte) in body[56..88].iter_mut().enumerate() {
            *byte = at as u8;
        }
        let Create { parameters, key, auth_key } = parse(&body).unwrap();
        assert_eq!(parameters, Parameters::Cipher { algo: AES_CBC, key_len: 32, op: 1 });
        assert_eq!(key, (0..32).collect::<Vec<u8>>());
        assert!(auth_key.is_empty());
        let mut body = chain_message(16, 20);
        body[120..140].fill(0x77);
        let Create { parameters, key, auth_key } = parse(&body).unwrap();
        let chain = Chain {
            alg_chain_order: 2,
            hash_mode: 2,
            cipher_algo: AES_CBC,
            key_len: 16,
            op: 1,
            hash_algo: HMAC_SHA256,
            hash_result_len: 32,
            auth_key_len: 20,
            aad_len: 0,
        };
        assert_eq!(parameters, Parameters::Chain(chain));
        assert_eq!((key.len(), auth_key), (16, &[0x77; 20][..]));
        let words = [(8, 1), (12, 2), (16, 1024), (32, 1), (36, 6)];
        let body = message(AKCIPHER_CREATE, &words, &[(40, 0x30), (1063, 0x31)]);
        let Create { parameters, key, .. } = parse(&body).unwrap();
        let expected = Parameters::Akcipher { algo: 1, key_type: 2, key_len: 1024, detail: [1, 6] };
        assert_eq!(parameters, expected);
        assert_eq!((key.len(), key[0], key[1023]), (1024, 0x30, 0x31));
    }

    #[test]
    fn messages_create_and_close_sessions_of_the_device() {
        let device = device(Capabilities { table_size: 2, ..Capabilities::default() });
        let created = |body: &[u8]| id(&create(&device, body).unwrap());
        assert_eq!(created(&cipher_message(AES_CBC, 16, 1)), 0);
        assert_eq!(created(&chain_message(32, 64)), 1);
        // The table is full.
        assert!(created(&cipher_message(AES_CBC, 16, 1)) < 0);
        assert_eq!(device.sessions(), 2);
        assert!(close(&device, &0u64.to_ne_bytes()));
        assert_eq!(device.sessions(), 1);
        // QEMU passes on any session ID of the driver.
        for id in [0, 7, u64::MAX] {
            assert!(close(&device, &id.to_ne_bytes()));
        }
        assert_eq!(device.sessions(), 1);
        assert_eq!(created(&cipher_message(AES_CBC, 32, 1)), 0);
        device.set_ready(false);
        assert!(close(&device, &0u64.to_ne_bytes()));
        assert!(created(&cipher_message(AES_CBC, 16, 1)) < 0);
    }

    #[test]
    fn invalid_fields_create_no_session() {
        let device = device(Capabilities::default());
        for body in [
            // Keys that are longer than their fields, and longer than the message.
            cipher_message(AES_CBC, 65, 1),
            cipher_message(AES_CBC, u32::MAX, 1),
            chain_message(16, 513),
            chain_message(16, u32::MAX),
            chain_message(65, 20),
            message(AKCIPHER_CREATE, &[(8, 1), (12, 2), (16, 1025), (32, 0), (36, 0)], &[]),
            message(AKCIPHER_CREATE, &[(8, 1), (12, 2), (16, u32::MAX), (32, 0), (36, 0)], &[]),
            // Invalid keys, algorithms, kinds and directions.
            cipher_message(AES_CBC, 15, 1),
            cipher_message(0, 16, 1),
            cipher_message(1, 16, 1),
            cipher_message(u32::MAX, 16, 1),
            cipher_message(AES_CBC, 16, 0),
            cipher_message(AES_CBC, 16, 3),
            message(CIPHER_CREATE, &[(8, AES_CBC), (12, 16)], &[(32, 1), (33, 3)]),
            message(AKCIPHER_CREATE, &[(8, 1), (12, 2), (16, 100), (32, 0), (36, 0)], &[]),
            message(AKCIPHER_CREATE, &[(8, 2), (12, 2), (16, 100), (32, 0), (36, 0)], &[]),
            // Hash, MAC and AEAD, for which QEMU's structures have no fields.
            message(0x0102, &[(8, 4), (12, 0)], &[]),
            message(0x0202, &[(8, 4), (12, 0)], &[]),
            message(0x0302, &[(8, 1), (12, 16)], &[]),
            // A DESTROY, and an opcode that is a CREATE only in its low 32 bits.
            message(0x0003, &[(8, AES_CBC), (12, 16)], &[(32, 1), (33, 1)]),
            message(1 << 32 | CIPHER_CREATE, &[(8, AES_CBC), (12, 16)], &[(32, 1), (33, 1)]),
        ] {
            assert!(id(&create(&device, &body).unwrap()) < 0, "{:?}", &body[..40]);
        }
        assert_eq!(device.sessions(), 0);
    }

    #[test]
    fn messages_with_another_length_are_rejected() {
        let device = device(Capabilities::default());
        let mut body = cipher_message(AES_CBC, 16, 1).to_vec();
        // Before 7.1 the structure of QEMU has 632 bytes.
        for len in [0, 7, 8, 632, CREATE_LEN - 1] {
            assert!(create(&device, &body[..len]).is_none());
        }
        body.push(0);
        assert!(create(&device, &body).is_none());
        for len in [0, 7, 9, CREATE_LEN] {
            assert!(!close(&device, &body[..len]));
        }
        assert_eq!(device.sessions(), 0);
    }

    /// The device also assigns session IDs above `i64::MAX`, which a reply cannot express.
    #[test]
    fn sessions_with_too_large_ids_are_destroyed() {
        use virtio_crypto_device::capabilities::SessionIds;
        let session_ids = SessionIds::Sparse;
        let device = device(Capabilities { session_ids, ..Capabilities::default() });
        let created = |_| id(&create(&device, &cipher_message(AES_CBC, 16, 1)).unwrap());
        let (ids, errors): (Vec<_>, Vec<_>) = (0..8).map(created).partition(|&id| id >= 0);
        assert!(!ids.is_empty() && !errors.is_empty());
        assert_eq!(device.sessions(), ids.len());
    }

    /// Sends valid messages with up to three random bytes. A reply contains no keys, and a rejected
    /// message creates no session.
    #[test]
    fn random_messages_are_served_or_rejected() {
        let device = device(Capabilities { table_size: 64, ..Capabilities::default() });
        let mut state: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut random = |bound: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % bound as u64) as usize
        };
        let valid = [cipher_message(AES_CBC, 32, 1), chain_message(16, 64)];
        let (mut created, mut rejected) = (0, 0);
        for round in 0..20_000 {
            let mut body = valid[round % valid.len()];
            for _ in 0..random(4) {
                // Change mostly the fields before the keys.
                let end = if random(8) == 0 { CREATE_LEN } else { 40 };
                let at = random(end);
                body[at] = random(256) as u8;
            }
            let reply = create(&device, &body).unwrap();
            match id(&reply) {
                id @ 0.. => {
                    created += 1;
                    assert!(close(&device, &id.to_ne_bytes()));
                }
                _ => rejected += 1,
            }
            assert_eq!(device.sessions(), 0);
        }
        assert!(created > 1000 && rejected > 1000, "{created} created, {rejected} rejected");
    }
}
