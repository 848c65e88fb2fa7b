// SPDX-License-Identifier: GPL-2.0

//! `authenc()`: AEADs by the device's algorithm chaining of a cipher and an HMAC.
//!
//! The HMAC covers AAD and ciphertext (encrypt-then-MAC), as in the kernel's `authenc` template.
//! The device computes the MAC but does not verify it. The driver compares the tags after a
//! decryption.

mod table;

use self::table::Mode;
use super::{
    aead::{
        AeadPlan,
        KeyMode,
        Keys,
        Method,
        Salt,
        ENTRIES,
        MAX_KEY,
        MAX_PADDING,
        MAX_TAG, //
    },
    iv::{
        Iv,
        MAX_IV, //
    },
};
use crate::{
    crypto::{
        aead::Lengths,
        Area,
        Builder,
        Key,
        Offload, //
    },
    support::secret::Secret,
    transport::{
        device::Device,
        session::Session, //
    },
    wire::{
        algorithm::{
            Cipher,
            Mac,
            Operation,
            Service, //
        },
        config::Config,
        control::{
            Chain,
            CreateChain, //
        },
        data,
        data::{
            ChainLengths,
            ChainRequest,
            StatelessChainRequest, //
        },
        feature::Layout,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) use self::table::{
    algorithms,
    create_test_session,
    TABLE, //
};

/// Algorithm chaining of a cipher and a MAC. Sizes are in bytes.
#[derive(Clone, Copy)]
pub(super) struct ChainMethod {
    cipher: Cipher,
    mode: Mode,
    /// Block size of the cipher.
    block: u32,
    min_key: u32,
    mac: Mac,
}

/// Maximum length of the parameters of a request in bytes: fixed-length fields, keys, IV and
/// padding.
const PARAMS: usize = size_of::<StatelessChainRequest>() + MAX_KEY + MAX_IV + MAX_PADDING;

/// Maximum number of bytes that the device writes besides the data.
const RESULT: usize = MAX_PADDING + MAX_TAG + data::STATUS_LEN;

impl ChainMethod {
    /// Returns the session parameters for the device.
    ///
    /// # Errors
    ///
    /// `EINVAL` if the length of a key does not fit in 32 bits.
    fn chain(&self, keys: &Keys<'_>, tag: u32) -> Result<Chain> {
        Ok(Chain {
            cipher: self.cipher,
            key_len: u32::try_from(keys.cipher.len())?,
            mac: self.mac,
            auth_key_len: u32::try_from(keys.auth.len())?,
            result_len: tag,
        })
    }
}

impl Method for ChainMethod {
    type Area = Area<PARAMS, RESULT, ENTRIES>;
    const TAG_IN_DATA: bool = false;

    /// The kernel's `authenc` template has ten times the priority of its cipher plus the priority
    /// of its hash. An instance of the template with the driver's cipher and the driver's hash has
    /// 11 times the driver's priority. With the factor 12, the driver's algorithms are preferred.
    const PRIORITY_FACTOR: i32 = 12;

    fn split_key<'k>(&self, key: &'k Key<'_>) -> Option<(Keys<'k>, Salt)> {
        let (cipher, auth) = key.authenc()?;
        let (cipher, salt) = match self.mode {
            Mode::Cbc => (cipher, Salt::default()),
            Mode::Rfc3686 => {
                let (cipher, salt) = cipher.split_last_chunk()?;
                (cipher, *salt)
            }
        };
        Some((Keys { cipher, auth }, salt))
    }

    fn supports_keys(&self, config: &Config, keys: &Keys<'_>) -> bool {
        config.supports_cipher_key_len(keys.cipher.len())
            && config.supports_auth_key_len(keys.auth.len())
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
        let chain = self.chain(keys, tag)?;
        let request = CreateChain::new(&chain, operation);
        let all_keys = Secret::new(&[keys.cipher, keys.auth])?;
        Session::create(
            device,
            Service::Cipher,
            request.as_bytes(),
            all_keys.bytes(),
        )
    }

    fn plan(&self, lengths: &Lengths, iv: &Iv, salt: Salt) -> Option<AeadPlan> {
        let partial = lengths.text.checked_rem(self.block)?;
        let (iv, padding) = match self.mode {
            Mode::Cbc if partial != 0 => return None,
            Mode::Cbc => (*iv, 0),
            // Devices only get whole blocks.
            Mode::Rfc3686 => (
                Iv::concat(&[&salt, iv.bytes(), &1u32.to_be_bytes()]),
                if partial == 0 {
                    0
                } else {
                    self.block - partial
                },
            ),
        };
        // An empty text runs on the fallback: a device may not support an empty cipher operation.
        if lengths.text == 0 || lengths.text.checked_add(padding).is_none() {
            return None;
        }
        Some(AeadPlan {
            iv,
            aad: lengths.aad,
            text: lengths.text,
            padding,
            tag: lengths.tag,
        })
    }

    /// The specification places the AAD after the source in session mode. QEMU and other devices
    /// with the padded layout expect the AAD before the source. In stateless mode, the AAD also
    /// precedes the source.
    fn aad_before_src(key_mode: &KeyMode) -> bool {
        match key_mode {
            KeyMode::Session(Layout::Padded, _) | KeyMode::Stateless => true,
            KeyMode::Session(Layout::Natural, _) => false,
        }
    }

    fn write_header<A: Offload>(
        &self,
        builder: &mut Builder<'_, A, A::Raw>,
        key_mode: &KeyMode,
        operation: Operation,
        keys: &Keys<'_>,
        plan: &AeadPlan,
    ) {
        let lengths = ChainLengths {
            // CAST: An IV has at most `MAX_IV` bytes.
            iv: plan.iv.bytes().len() as u32,
            aad: plan.aad,
            data: plan.text + plan.padding,
            hashed: plan.text,
        };
        let chain = Chain {
            cipher: self.cipher,
            // CAST: In stateless mode the keys have at most `MAX_KEY` bytes. In session mode they
            // are empty.
            key_len: keys.cipher.len() as u32,
            mac: self.mac,
            auth_key_len: keys.auth.len() as u32,
            result_len: plan.tag,
        };
        match *key_mode {
            KeyMode::Session(layout, id) => {
                builder.read_value(ChainRequest::new(layout, &chain, operation, id, &lengths));
            }
            KeyMode::Stateless => {
                builder.read_value(StatelessChainRequest::new(&chain, operation, &lengths));
                builder.read_secret(keys.cipher);
                builder.read_secret(keys.auth);
            }
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_authenc)]
mod tests {
    use super::*;

    const CBC: ChainMethod = ChainMethod {
        cipher: Cipher::AesCbc,
        mode: Mode::Cbc,
        block: 16,
        min_key: 16,
        mac: Mac::HmacSha256,
    };

    const CTR: ChainMethod = ChainMethod {
        cipher: Cipher::AesCtr,
        mode: Mode::Rfc3686,
        ..CBC
    };

    fn plan(method: &ChainMethod, text: u32) -> Option<AeadPlan> {
        let lengths = Lengths {
            aad: 24,
            text,
            tag: 16,
        };
        method.plan(&lengths, &Iv::concat(&[&[7; 8]]), [1, 2, 3, 4])
    }

    #[test]
    fn cbc_accepts_only_whole_blocks() {
        for text in [16, 32, 4096] {
            let plan = plan(&CBC, text).unwrap();
            assert_eq!((plan.text, plan.padding, plan.aad), (text, 0, 24));
        }
        for text in [0, 1, 15, 17, u32::MAX] {
            assert_eq!(plan(&CBC, text), None);
        }
    }

    #[test]
    fn ctr_pads_last_block() {
        for (text, padding) in [(1, 15), (15, 1), (16, 0), (17, 15), (4090, 6)] {
            let plan = plan(&CTR, text).unwrap();
            assert_eq!((plan.text, plan.padding), (text, padding));
        }
        assert_eq!(plan(&CTR, 0), None);
        assert_eq!(plan(&CTR, u32::MAX), None);
    }

    #[test]
    fn rfc3686_counter_block_is_salt_iv_one() {
        let plan = plan(&CTR, 1).unwrap();
        assert_eq!(
            plan.iv.bytes(),
            [1, 2, 3, 4, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 1]
        );
    }

    #[test]
    fn aad_follows_src_only_in_natural_sessions() {
        assert!(ChainMethod::aad_before_src(&KeyMode::Session(
            Layout::Padded,
            0
        )));
        assert!(ChainMethod::aad_before_src(&KeyMode::Stateless));
        assert!(!ChainMethod::aad_before_src(&KeyMode::Session(
            Layout::Natural,
            0
        )));
    }

    /// Returns an `authenc()` key: an rtattr with the length of the cipher key, then the MAC key
    /// and the cipher key.
    fn authenc_key(cipher_len: u8, rta_type: u16, bytes: &[u8]) -> KVec<u8> {
        let mut key = KVec::new();
        key.extend_from_slice(&8u16.to_ne_bytes(), GFP_KERNEL)
            .unwrap();
        key.extend_from_slice(&rta_type.to_ne_bytes(), GFP_KERNEL)
            .unwrap();
        key.extend_from_slice(&[0, 0, 0, cipher_len], GFP_KERNEL)
            .unwrap();
        key.extend_from_slice(bytes, GFP_KERNEL).unwrap();
        key
    }

    #[test]
    fn mac_key_precedes_cipher_key() {
        let key = authenc_key(5, 1, &[1, 1, 1, 2, 2, 2, 2, 3]);
        let key = Key::new(&key);
        let (keys, _) = CBC.split_key(&key).unwrap();
        assert_eq!(
            (keys.auth, keys.cipher),
            (&[1u8; 3][..], &[2u8, 2, 2, 2, 3][..])
        );
        let (keys, salt) = CTR.split_key(&key).unwrap();
        assert_eq!((keys.cipher, salt), (&[2u8][..], [2, 2, 2, 3]));
    }

    #[test]
    fn malformed_key_is_rejected() {
        assert!(CBC.split_key(&Key::new(&[])).is_none());
        assert!(CBC.split_key(&Key::new(&[7; 40])).is_none());
        assert!(CBC
            .split_key(&Key::new(&authenc_key(9, 1, &[1; 8])))
            .is_none());
        assert!(CBC
            .split_key(&Key::new(&authenc_key(8, 2, &[1; 8])))
            .is_none());
        assert!(CTR
            .split_key(&Key::new(&authenc_key(3, 1, &[1; 8])))
            .is_none());
    }
}
