// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption by a chain of the device's: a cipher, and an HMAC of the associated data
//! and the ciphertext ("encrypt then authenticate"), as IPsec, TLS and dm-crypt have it.
//!
//! The device makes a MAC and never verifies one: when it has decrypted, the driver compares.

mod table;

use self::table::Mode;
use super::{
    aead::{
        Keys,
        Method,
        Plan,
        Salt,
        Via,
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
        feature::Revision,
    },
};
use kernel::{
    prelude::*,
    sync::Arc, //
};

pub(super) use self::table::{
    algorithms,
    try_session,
    TABLE, //
};

/// A cipher and a MAC. Sizes are in bytes.
#[derive(Clone, Copy)]
pub(super) struct Chaining {
    cipher: Cipher,
    mode: Mode,
    /// The size of the cipher's block.
    block: u32,
    min_key: u32,
    mac: Mac,
}

/// The most bytes of parameters that a request has: its fixed part, keys, IV and padding.
const PARAMS: usize = size_of::<StatelessChainRequest>() + MAX_KEY + MAX_IV + MAX_PADDING;

/// The most bytes that a device writes besides the data.
const RESULT: usize = MAX_PADDING + MAX_TAG + data::STATUS;

impl Chaining {
    /// Returns what the device is told of the chain.
    ///
    /// # Errors
    ///
    /// `EINVAL`: a key is too long to be described.
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

impl Method for Chaining {
    type Area = Area<PARAMS, RESULT, ENTRIES>;
    const TAG_IN_DATA: bool = false;

    /// The kernel's own chain of a cipher and a MAC is reckoned as ten times the one and the other.
    /// This is more than it would be of ours.
    const RANK: i32 = 12;

    fn take_apart<'k>(&self, key: &'k Key<'_>) -> Option<(Keys<'k>, Salt)> {
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

    fn takes(&self, config: &Config, keys: &Keys<'_>) -> bool {
        config.takes_cipher_key(keys.cipher.len()) && config.takes_auth_key(keys.auth.len())
    }

    fn create(
        &self,
        device: &Arc<Device>,
        operation: Operation,
        keys: &Keys<'_>,
        tag: u32,
    ) -> Result<Session> {
        if !self.takes(device.config(), keys) {
            return Err(EINVAL);
        }
        let chain = self.chain(keys, tag)?;
        let request = CreateChain::new(&chain, operation);
        let joined = Secret::new(&[keys.cipher, keys.auth])?;
        Session::create(device, Service::Cipher, request.as_bytes(), joined.bytes())
    }

    fn plan(&self, lengths: &Lengths, iv: &Iv, salt: Salt) -> Option<Plan> {
        let rest = lengths.text.checked_rem(self.block)?;
        let (iv, padding) = match self.mode {
            Mode::Cbc if rest != 0 => return None,
            Mode::Cbc => (*iv, 0),
            // Devices get whole blocks only.
            Mode::Rfc3686 => (
                Iv::of(&[&salt, iv.bytes(), &1u32.to_be_bytes()]),
                if rest == 0 { 0 } else { self.block - rest },
            ),
        };
        // To cipher nothing is more than should be asked of a device.
        if lengths.text == 0 || lengths.text.checked_add(padding).is_none() {
            return None;
        }
        Some(Plan {
            iv,
            aad: lengths.aad,
            text: lengths.text,
            padding,
            tag: lengths.tag,
        })
    }

    /// Where the associated data is in the padded layout the specification says, too, but devices
    /// are of another opinion.
    fn has_aad_first(via: &Via) -> bool {
        match via {
            Via::Session(Revision::Padded, _) | Via::Stateless => true,
            Via::Session(Revision::Natural, _) => false,
        }
    }

    fn write_header<A: Offload>(
        &self,
        builder: &mut Builder<'_, A, A::Raw>,
        via: &Via,
        operation: Operation,
        keys: &Keys<'_>,
        plan: &Plan,
    ) {
        let lengths = ChainLengths {
            // CAST: At most `MAX_IV`.
            iv: plan.iv.bytes().len() as u32,
            aad: plan.aad,
            data: plan.text + plan.padding,
            hashed: plan.text,
        };
        let chain = Chain {
            cipher: self.cipher,
            // CAST: The keys that are sent along have `MAX_KEY` bytes at most.
            key_len: keys.cipher.len() as u32,
            mac: self.mac,
            auth_key_len: keys.auth.len() as u32,
            result_len: plan.tag,
        };
        match *via {
            Via::Session(revision, id) => {
                builder.read_value(ChainRequest::new(revision, &chain, operation, id, &lengths));
            }
            Via::Stateless => {
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

    const CBC: Chaining = Chaining {
        cipher: Cipher::AesCbc,
        mode: Mode::Cbc,
        block: 16,
        min_key: 16,
        mac: Mac::HmacSha256,
    };

    const CTR: Chaining = Chaining {
        cipher: Cipher::AesCtr,
        mode: Mode::Rfc3686,
        ..CBC
    };

    fn plan(chaining: &Chaining, text: u32) -> Option<Plan> {
        let lengths = Lengths {
            aad: 24,
            text,
            tag: 16,
        };
        chaining.plan(&lengths, &Iv::of(&[&[7; 8]]), [1, 2, 3, 4])
    }

    #[test]
    fn cbc_gets_whole_blocks_and_no_padding() {
        for text in [16, 32, 4096] {
            let plan = plan(&CBC, text).unwrap();
            assert_eq!((plan.text, plan.padding, plan.aad), (text, 0, 24));
        }
        for text in [0, 1, 15, 17, u32::MAX] {
            assert_eq!(plan(&CBC, text), None);
        }
    }

    #[test]
    fn the_last_block_of_a_counter_mode_is_filled_up() {
        for (text, padding) in [(1, 15), (15, 1), (16, 0), (17, 15), (4090, 6)] {
            let plan = plan(&CTR, text).unwrap();
            assert_eq!((plan.text, plan.padding), (text, padding));
        }
        assert_eq!(plan(&CTR, 0), None);
        assert_eq!(plan(&CTR, u32::MAX), None);
    }

    #[test]
    fn the_counter_of_rfc3686_is_salt_iv_and_one() {
        let plan = plan(&CTR, 1).unwrap();
        assert_eq!(
            plan.iv.bytes(),
            [1, 2, 3, 4, 7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 1]
        );
    }

    #[test]
    fn the_associated_data_comes_first_but_in_natural_sessions() {
        assert!(Chaining::has_aad_first(&Via::Session(Revision::Padded, 0)));
        assert!(Chaining::has_aad_first(&Via::Stateless));
        assert!(!Chaining::has_aad_first(&Via::Session(
            Revision::Natural,
            0
        )));
    }

    /// A key as the kernel wraps it: how long the cipher's key is, the MAC's key, the cipher's.
    fn wrapped(cipher_len: u8, kind: u16, bytes: &[u8]) -> KVec<u8> {
        let mut key = KVec::new();
        key.extend_from_slice(&8u16.to_ne_bytes(), GFP_KERNEL)
            .unwrap();
        key.extend_from_slice(&kind.to_ne_bytes(), GFP_KERNEL)
            .unwrap();
        key.extend_from_slice(&[0, 0, 0, cipher_len], GFP_KERNEL)
            .unwrap();
        key.extend_from_slice(bytes, GFP_KERNEL).unwrap();
        key
    }

    #[test]
    fn a_key_is_that_of_the_mac_then_that_of_the_cipher() {
        let key = wrapped(5, 1, &[1, 1, 1, 2, 2, 2, 2, 3]);
        let key = Key::new(&key);
        let (keys, _) = CBC.take_apart(&key).unwrap();
        assert_eq!(
            (keys.auth, keys.cipher),
            (&[1u8; 3][..], &[2u8, 2, 2, 2, 3][..])
        );
        let (keys, salt) = CTR.take_apart(&key).unwrap();
        assert_eq!((keys.cipher, salt), (&[2u8][..], [2, 2, 2, 3]));
    }

    #[test]
    fn a_key_without_the_form_is_none() {
        assert!(CBC.take_apart(&Key::new(&[])).is_none());
        assert!(CBC.take_apart(&Key::new(&[7; 40])).is_none());
        assert!(CBC.take_apart(&Key::new(&wrapped(9, 1, &[1; 8]))).is_none());
        assert!(CBC.take_apart(&Key::new(&wrapped(8, 2, &[1; 8]))).is_none());
        assert!(CTR.take_apart(&Key::new(&wrapped(3, 1, &[1; 8]))).is_none());
    }
}
