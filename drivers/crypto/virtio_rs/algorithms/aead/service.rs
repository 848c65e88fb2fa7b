// SPDX-License-Identifier: GPL-2.0

//! AEADs of the device's AEAD service: table of algorithms, conversion of keys and nonces, and
//! requests.

use super::{
    super::{
        iv::{
            Iv,
            MAX_IV, //
        },
        skcipher::test_key, //
    },
    AeadPlan,
    KeyMode,
    Keys,
    Method,
    Row,
    Salt,
    ENTRIES, //
};
use crate::{
    crypto::{
        aead::Lengths,
        Area,
        Builder,
        Key,
        Offload, //
    },
    transport::{
        device::Device,
        session::Session, //
    },
    wire::{
        algorithm::{
            Aead,
            Operation,
            Service, //
        },
        config::{
            Algorithm,
            Config, //
        },
        control::CreateAead,
        data,
        data::{
            AeadRequest,
            StatelessAeadRequest, //
        },
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

/// Format of keys and IVs in the crypto API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum IvFormat {
    /// The IV is the nonce.
    Plain,
    /// The IV is the first counter block of CCM (RFC 3610). Its first byte is the size of the
    /// length field minus 1. The nonce and the length field follow.
    CcmBlock,
    /// IPsec ESP. The nonce is the salt at the end of the key, followed by the IV. The AAD ends
    /// with a copy of the IV that is not authenticated.
    Esp,
}

/// An algorithm of the AEAD service.
#[derive(Clone, Copy)]
pub(in crate::algorithms) struct AeadMethod {
    aead: Aead,
    iv_format: IvFormat,
    /// Length of the shortest key in bytes, without salt.
    min_key: u32,
}

/// The supported AEADs.
pub(in crate::algorithms) const TABLE: [Row<AeadMethod>; 5] = [
    Row {
        name: c"gcm(aes)",
        driver_name: c"gcm-aes-virtio",
        sync_driver_name: c"gcm-aes-virtio-sync",
        block_size: 1,
        chunk_size: 16,
        iv_size: 12,
        max_tag: 16,
        method: GCM,
    },
    Row {
        name: c"rfc4106(gcm(aes))",
        driver_name: c"rfc4106-gcm-aes-virtio",
        sync_driver_name: c"rfc4106-gcm-aes-virtio-sync",
        block_size: 1,
        chunk_size: 16,
        iv_size: 8,
        max_tag: 16,
        method: AeadMethod {
            iv_format: IvFormat::Esp,
            ..GCM
        },
    },
    Row {
        name: c"ccm(aes)",
        driver_name: c"ccm-aes-virtio",
        sync_driver_name: c"ccm-aes-virtio-sync",
        block_size: 1,
        chunk_size: 16,
        iv_size: 16,
        max_tag: 16,
        method: AeadMethod {
            aead: Aead::Ccm,
            iv_format: IvFormat::CcmBlock,
            min_key: 16,
        },
    },
    Row {
        name: c"rfc7539(chacha20,poly1305)",
        driver_name: c"rfc7539-chacha20-poly1305-virtio",
        sync_driver_name: c"rfc7539-chacha20-poly1305-virtio-sync",
        block_size: 1,
        chunk_size: 64,
        iv_size: 12,
        max_tag: 16,
        method: CHACHA,
    },
    Row {
        name: c"rfc7539esp(chacha20,poly1305)",
        driver_name: c"rfc7539esp-chacha20-poly1305-virtio",
        sync_driver_name: c"rfc7539esp-chacha20-poly1305-virtio-sync",
        block_size: 1,
        chunk_size: 64,
        iv_size: 8,
        max_tag: 16,
        method: AeadMethod {
            iv_format: IvFormat::Esp,
            ..CHACHA
        },
    },
];

const GCM: AeadMethod = AeadMethod {
    aead: Aead::Gcm,
    iv_format: IvFormat::Plain,
    min_key: 16,
};

const CHACHA: AeadMethod = AeadMethod {
    aead: Aead::ChaCha20Poly1305,
    iv_format: IvFormat::Plain,
    min_key: 32,
};

/// Longest key in bytes.
const MAX_KEY: usize = 32;

const fn max(first: usize, second: usize) -> usize {
    if first > second {
        first
    } else {
        second
    }
}

/// Maximum length of the parameters of a request in bytes: fixed-length fields, key and IV.
const PARAMS: usize = MAX_IV
    + max(
        size_of::<AeadRequest>(),
        size_of::<StatelessAeadRequest>() + MAX_KEY,
    );

/// Returns the algorithm of a row, as devices advertise it.
pub(in crate::algorithms) fn algorithm(row: usize) -> Option<Algorithm> {
    TABLE.get(row).map(|row| Algorithm::Aead(row.method.aead))
}

/// Creates a test session for a row.
///
/// # Errors
///
/// - `EINVAL` if the row does not exist;
/// - other errors of [`Method::create_session`].
pub(in crate::algorithms) fn create_test_session(
    device: &Arc<Device>,
    row: usize,
) -> Result<Session> {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let keys = Keys {
        cipher: test_key(row.method.min_key).ok_or(EINVAL)?,
        auth: &[],
    };
    row.method
        .create_session(device, Operation::Encrypt, &keys, row.max_tag)
}

impl Method for AeadMethod {
    type Area = Area<PARAMS, { data::STATUS_LEN }, ENTRIES>;
    const TAG_IN_DATA: bool = true;
    const PRIORITY_FACTOR: i32 = 1;

    fn split_key<'k>(&self, key: &'k Key<'_>) -> Option<(Keys<'k>, Salt)> {
        let (cipher, salt) = match self.iv_format {
            IvFormat::Plain | IvFormat::CcmBlock => (key.bytes(), Salt::default()),
            IvFormat::Esp => {
                let (cipher, salt) = key.bytes().split_last_chunk()?;
                (cipher, *salt)
            }
        };
        Some((Keys { cipher, auth: &[] }, salt))
    }

    fn supports_keys(&self, config: &Config, keys: &Keys<'_>) -> bool {
        config.supports_cipher_key_len(keys.cipher.len())
    }

    fn create_session(
        &self,
        device: &Arc<Device>,
        operation: Operation,
        keys: &Keys<'_>,
        tag: u32,
    ) -> Result<Session> {
        if !self.supports_keys(device.config(), keys) {
            return Err(EINVAL);
        }
        let len = u32::try_from(keys.cipher.len())?;
        let request = CreateAead::new(self.aead, operation, len, tag);
        let bytes = request.bytes(device.features().layout());
        Session::create(device, Service::Aead, bytes, keys.cipher)
    }

    fn plan(&self, lengths: &Lengths, iv: &Iv, salt: Salt) -> Option<AeadPlan> {
        let iv = match self.iv_format {
            IvFormat::Plain => *iv,
            IvFormat::CcmBlock => ccm_nonce(iv, lengths.text)?,
            IvFormat::Esp => Iv::concat(&[&salt, iv.bytes()]),
        };
        let aad = match self.iv_format {
            IvFormat::Plain | IvFormat::CcmBlock => lengths.aad,
            IvFormat::Esp => self.esp_aad(lengths.aad)?,
        };
        Some(AeadPlan {
            iv,
            aad,
            text: lengths.text,
            padding: 0,
            tag: lengths.tag,
        })
    }

    fn aad_before_src(_key_mode: &KeyMode) -> bool {
        false
    }

    fn write_header<A: Offload>(
        &self,
        builder: &mut Builder<'_, A, A::Raw>,
        key_mode: &KeyMode,
        operation: Operation,
        keys: &Keys<'_>,
        plan: &AeadPlan,
    ) {
        let (src, dst) = match operation {
            Operation::Encrypt => (plan.text, plan.text + plan.tag),
            Operation::Decrypt => (plan.text + plan.tag, plan.text),
        };
        let lengths = data::Lengths {
            // CAST: An IV has at most `MAX_IV` bytes.
            iv: plan.iv.bytes().len() as u32,
            aad: plan.aad,
            src,
            dst,
            tag: plan.tag,
        };
        match *key_mode {
            KeyMode::Session(layout, id) => {
                let request = AeadRequest::new(layout, self.aead, operation, id, &lengths);
                builder.read(request.bytes(layout));
            }
            KeyMode::Stateless => {
                // CAST: A key of a stateless request has at most `MAX_KEY` bytes.
                let len = keys.cipher.len() as u32;
                let request = StatelessAeadRequest::new(self.aead, operation, len, &lengths);
                builder.read_value(request);
                builder.read_secret(keys.cipher);
            }
        }
    }
}

impl AeadMethod {
    /// Returns the length of the authenticated part of ESP's AAD. Returns `None` if `aad` is not a
    /// valid length.
    fn esp_aad(&self, aad: u32) -> Option<u32> {
        const IV: u32 = 8;

        match (self.aead, aad) {
            // SPI and a sequence number of 32 or 64 bits, then the IV.
            (Aead::Gcm, 16 | 20) => Some(aad - IV),
            (Aead::Gcm, _) => None,
            _ => aad.checked_sub(IV),
        }
    }
}

/// Returns the nonce in the first counter block of CCM, for a message of `len` bytes. Returns
/// `None` if the block is malformed, or if its length field is too small for the message.
fn ccm_nonce(block: &Iv, len: u32) -> Option<Iv> {
    let (first, rest) = block.bytes().split_first()?;
    // Size of the length field in bytes.
    let size = match first {
        1..=7 => u32::from(*first) + 1,
        _ => return None,
    };
    if u64::from(len).checked_shr(8 * size).unwrap_or(0) != 0 {
        return None;
    }
    // CAST: `size` is at most 8.
    let nonce = rest.len().checked_sub(size as usize)?;
    Some(Iv::concat(&[rest.get(..nonce)?]))
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_aead_service)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths {
        aad: 20,
        text: 100,
        tag: 16,
    };

    fn row(name: &CStr) -> &'static Row<AeadMethod> {
        static ROWS: [Row<AeadMethod>; TABLE.len()] = TABLE;
        ROWS.iter().find(|row| row.name == name).unwrap()
    }

    fn block(first: u8) -> Iv {
        Iv::concat(&[&[first, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]])
    }

    #[test]
    fn ccm_nonce_fills_rest_of_block() {
        // RFC 3610: the nonce has 15 - L bytes.
        assert_eq!(
            ccm_nonce(&block(1), 0).unwrap().bytes(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
        );
        assert_eq!(
            ccm_nonce(&block(3), 0).unwrap().bytes(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
        );
        assert_eq!(
            ccm_nonce(&block(7), 0).unwrap().bytes(),
            [1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn invalid_ccm_block_has_no_nonce() {
        for first in [0, 8, 9, 0x43, 0xff] {
            assert_eq!(ccm_nonce(&block(first), 0), None);
        }
        assert_eq!(ccm_nonce(&Iv::EMPTY, 0), None);
        assert_eq!(ccm_nonce(&Iv::concat(&[&[1, 2]]), 0), None);
    }

    #[test]
    fn ccm_length_field_limits_message() {
        assert!(ccm_nonce(&block(1), 0xffff).is_some());
        assert!(ccm_nonce(&block(1), 0x1_0000).is_none());
        assert!(ccm_nonce(&block(2), 0xff_ffff).is_some());
        assert!(ccm_nonce(&block(2), 0x100_0000).is_none());
        assert!(ccm_nonce(&block(3), u32::MAX).is_some());
        assert!(ccm_nonce(&block(7), u32::MAX).is_some());
    }

    #[test]
    fn esp_nonce_is_salt_and_iv_and_aad_excludes_iv() {
        let iv = Iv::concat(&[&[5, 6, 7, 8, 9, 10, 11, 12]]);
        for name in [c"rfc4106(gcm(aes))", c"rfc7539esp(chacha20,poly1305)"] {
            let plan = row(name).method.plan(&LENGTHS, &iv, [1, 2, 3, 4]).unwrap();
            assert_eq!(plan.iv.bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            assert_eq!((plan.aad, plan.text, plan.tag), (12, 100, 16));
        }
    }

    #[test]
    fn esp_rejects_invalid_aad_length() {
        let esp_aad = |name, len| row(name).method.esp_aad(len);
        for len in [0, 7, 8, 12, 15, 17, 19, 21, u32::MAX] {
            assert_eq!(esp_aad(c"rfc4106(gcm(aes))", len), None);
        }
        assert_eq!(esp_aad(c"rfc4106(gcm(aes))", 16), Some(8));
        assert_eq!(esp_aad(c"rfc7539esp(chacha20,poly1305)", 7), None);
        assert_eq!(esp_aad(c"rfc7539esp(chacha20,poly1305)", 8), Some(0));
    }

    #[test]
    fn esp_key_ends_with_salt() {
        let bytes = [7u8; 20];
        let key = Key::new(&bytes);
        let (keys, salt) = row(c"rfc4106(gcm(aes))").method.split_key(&key).unwrap();
        assert_eq!((keys.cipher.len(), salt), (16, [7; 4]));
        let (keys, _) = row(c"gcm(aes)").method.split_key(&key).unwrap();
        assert_eq!((keys.cipher.len(), keys.auth.len()), (20, 0));
        let key = Key::new(&bytes[..3]);
        assert!(row(c"rfc4106(gcm(aes))").method.split_key(&key).is_none());
    }

    #[test]
    fn every_row_has_test_key_and_unique_names() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(test_key(row.method.min_key).is_some());
            assert!(row.driver_name.to_bytes().ends_with(b"-virtio"));
            let sync = row.sync_driver_name.to_bytes();
            assert!(sync.starts_with(row.driver_name.to_bytes()));
            assert!(sync.ends_with(b"-virtio-sync"));
            for other in &TABLE[..index] {
                assert!(row.name != other.name && row.driver_name != other.driver_name);
            }
        }
    }
}
