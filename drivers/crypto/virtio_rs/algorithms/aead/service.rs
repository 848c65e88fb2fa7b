// SPDX-License-Identifier: GPL-2.0

//! Authenticated encryption by the device's service of that name: which algorithms the driver
//! knows, and how the kernel's nonces are the device's.

use super::{
    super::{
        iv::{
            Iv,
            MAX_IV, //
        },
        skcipher::trial_key, //
    },
    Keys,
    Method,
    Plan,
    Row,
    Salt,
    Via,
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

/// What keys and IVs look like to the kernel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    /// The IV is the nonce.
    Plain,
    /// The IV is CCM's first counter block: how many bytes the length of the message has, less 1,
    /// then the nonce, then room for that length.
    CounterBlock,
    /// IPsec's: the salt behind the key is the beginning of the nonce, the IV its rest. A copy of
    /// the IV is the end of the associated data, but not authenticated.
    Esp,
}

/// An algorithm of the service.
#[derive(Clone, Copy)]
pub(in crate::algorithms) struct Sealing {
    aead: Aead,
    form: Form,
    /// In bytes, without a salt.
    min_key: u32,
}

/// The algorithms the driver knows.
pub(in crate::algorithms) const TABLE: [Row<Sealing>; 5] = [
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
        method: Sealing {
            form: Form::Esp,
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
        method: Sealing {
            aead: Aead::Ccm,
            form: Form::CounterBlock,
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
        method: Sealing {
            form: Form::Esp,
            ..CHACHA
        },
    },
];

const GCM: Sealing = Sealing {
    aead: Aead::Gcm,
    form: Form::Plain,
    min_key: 16,
};

const CHACHA: Sealing = Sealing {
    aead: Aead::ChaCha20Poly1305,
    form: Form::Plain,
    min_key: 32,
};

/// The longest key in bytes.
const MAX_KEY: usize = 32;

const fn max(one: usize, other: usize) -> usize {
    if one > other {
        one
    } else {
        other
    }
}

/// The most bytes of parameters that a request has: its fixed part, key and IV.
const PARAMS: usize = MAX_IV
    + max(
        size_of::<AeadRequest>(),
        size_of::<StatelessAeadRequest>() + MAX_KEY,
    );

/// Returns what a row of the table is to the device.
pub(in crate::algorithms) fn algorithm(row: usize) -> Option<Algorithm> {
    TABLE.get(row).map(|row| Algorithm::Aead(row.method.aead))
}

/// Asks a device for a session of a row of the table.
///
/// # Errors
///
/// As [`Method::create`] has them.
pub(in crate::algorithms) fn try_session(device: &Arc<Device>, row: usize) -> Result<Session> {
    let row = TABLE.get(row).ok_or(EINVAL)?;
    let keys = Keys {
        cipher: trial_key(row.method.min_key).ok_or(EINVAL)?,
        auth: &[],
    };
    row.method
        .create(device, Operation::Encrypt, &keys, row.max_tag)
}

impl Method for Sealing {
    type Area = Area<PARAMS, { data::STATUS }, ENTRIES>;
    const TAG_IN_DATA: bool = true;
    const RANK: i32 = 1;

    fn take_apart<'k>(&self, key: &'k Key<'_>) -> Option<(Keys<'k>, Salt)> {
        let (cipher, salt) = match self.form {
            Form::Plain | Form::CounterBlock => (key.bytes(), Salt::default()),
            Form::Esp => {
                let (cipher, salt) = key.bytes().split_last_chunk()?;
                (cipher, *salt)
            }
        };
        Some((Keys { cipher, auth: &[] }, salt))
    }

    fn takes(&self, config: &Config, keys: &Keys<'_>) -> bool {
        config.takes_cipher_key(keys.cipher.len())
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
        let len = u32::try_from(keys.cipher.len())?;
        let request = CreateAead::new(self.aead, operation, len, tag);
        let bytes = request.bytes(device.features().revision());
        Session::create(device, Service::Aead, bytes, keys.cipher)
    }

    fn plan(&self, lengths: &Lengths, iv: &Iv, salt: Salt) -> Option<Plan> {
        let iv = match self.form {
            Form::Plain => *iv,
            Form::CounterBlock => nonce_of(iv, lengths.text)?,
            Form::Esp => Iv::of(&[&salt, iv.bytes()]),
        };
        let aad = match self.form {
            Form::Plain | Form::CounterBlock => lengths.aad,
            Form::Esp => self.esp_aad(lengths.aad)?,
        };
        Some(Plan {
            iv,
            aad,
            text: lengths.text,
            padding: 0,
            tag: lengths.tag,
        })
    }

    fn has_aad_first(_via: &Via) -> bool {
        false
    }

    fn write_header<A: Offload>(
        &self,
        builder: &mut Builder<'_, A, A::Raw>,
        via: &Via,
        operation: Operation,
        keys: &Keys<'_>,
        plan: &Plan,
    ) {
        let (src, dst) = match operation {
            Operation::Encrypt => (plan.text, plan.text + plan.tag),
            Operation::Decrypt => (plan.text + plan.tag, plan.text),
        };
        let lengths = data::Lengths {
            // CAST: At most `MAX_IV`.
            iv: plan.iv.bytes().len() as u32,
            aad: plan.aad,
            src,
            dst,
            tag: plan.tag,
        };
        match *via {
            Via::Session(revision, id) => {
                let request = AeadRequest::new(revision, self.aead, operation, id, &lengths);
                builder.read(request.bytes(revision));
            }
            Via::Stateless => {
                // CAST: At most `MAX_KEY`.
                let len = keys.cipher.len() as u32;
                let request = StatelessAeadRequest::new(self.aead, operation, len, &lengths);
                builder.read_value(request);
                builder.read_secret(keys.cipher);
            }
        }
    }
}

impl Sealing {
    /// Returns how much of IPsec's associated data is authenticated; nothing if it has a length that
    /// is refused.
    fn esp_aad(&self, aad: u32) -> Option<u32> {
        const IV: u32 = 8;

        match (self.aead, aad) {
            // Two words, or three with long sequence numbers; and the IV.
            (Aead::Gcm, 16 | 20) => Some(aad - IV),
            (Aead::Gcm, _) => None,
            _ => aad.checked_sub(IV),
        }
    }
}

/// Returns the nonce in CCM's first counter block, for a message of `len` bytes. Nothing if it is
/// not such a block, or the message too long for it.
fn nonce_of(block: &Iv, len: u32) -> Option<Iv> {
    let (first, rest) = block.bytes().split_first()?;
    // How many bytes the length has.
    let size = match first {
        1..=7 => u32::from(*first) + 1,
        _ => return None,
    };
    if u64::from(len).checked_shr(8 * size).unwrap_or(0) != 0 {
        return None;
    }
    // CAST: At most 8.
    let nonce = rest.len().checked_sub(size as usize)?;
    Some(Iv::of(&[rest.get(..nonce)?]))
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_aead_service)]
mod tests {
    use super::*;

    const LENGTHS: Lengths = Lengths {
        aad: 20,
        text: 100,
        tag: 16,
    };

    fn row(name: &CStr) -> &'static Row<Sealing> {
        static ROWS: [Row<Sealing>; TABLE.len()] = TABLE;
        ROWS.iter().find(|row| row.name == name).unwrap()
    }

    fn block(first: u8) -> Iv {
        Iv::of(&[&[first, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]])
    }

    #[test]
    fn the_nonce_of_ccm_is_what_the_length_leaves() {
        // RFC 3610: the nonce has 15 - L bytes.
        assert_eq!(
            nonce_of(&block(1), 0).unwrap().bytes(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
        );
        assert_eq!(
            nonce_of(&block(3), 0).unwrap().bytes(),
            [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
        );
        assert_eq!(
            nonce_of(&block(7), 0).unwrap().bytes(),
            [1, 2, 3, 4, 5, 6, 7]
        );
    }

    #[test]
    fn no_other_block_of_ccm_goes_to_a_device() {
        for first in [0, 8, 9, 0x43, 0xff] {
            assert_eq!(nonce_of(&block(first), 0), None);
        }
        assert_eq!(nonce_of(&Iv::EMPTY, 0), None);
        assert_eq!(nonce_of(&Iv::of(&[&[1, 2]]), 0), None);
    }

    #[test]
    fn a_message_of_ccm_is_not_longer_than_its_length_can_say() {
        assert!(nonce_of(&block(1), 0xffff).is_some());
        assert!(nonce_of(&block(1), 0x1_0000).is_none());
        assert!(nonce_of(&block(2), 0xff_ffff).is_some());
        assert!(nonce_of(&block(2), 0x100_0000).is_none());
        assert!(nonce_of(&block(3), u32::MAX).is_some());
        assert!(nonce_of(&block(7), u32::MAX).is_some());
    }

    #[test]
    fn ipsec_has_a_salt_before_the_iv_and_the_iv_behind_the_associated_data() {
        let iv = Iv::of(&[&[5, 6, 7, 8, 9, 10, 11, 12]]);
        for name in [c"rfc4106(gcm(aes))", c"rfc7539esp(chacha20,poly1305)"] {
            let plan = row(name).method.plan(&LENGTHS, &iv, [1, 2, 3, 4]).unwrap();
            assert_eq!(plan.iv.bytes(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
            assert_eq!((plan.aad, plan.text, plan.tag), (12, 100, 16));
        }
    }

    #[test]
    fn associated_data_that_ipsec_does_not_have_is_left_to_software() {
        let aad = |name, aad| row(name).method.esp_aad(aad);
        for len in [0, 7, 8, 12, 15, 17, 19, 21, u32::MAX] {
            assert_eq!(aad(c"rfc4106(gcm(aes))", len), None);
        }
        assert_eq!(aad(c"rfc4106(gcm(aes))", 16), Some(8));
        assert_eq!(aad(c"rfc7539esp(chacha20,poly1305)", 7), None);
        assert_eq!(aad(c"rfc7539esp(chacha20,poly1305)", 8), Some(0));
    }

    #[test]
    fn the_salt_is_no_part_of_the_key() {
        let bytes = [7u8; 20];
        let key = Key::new(&bytes);
        let (keys, salt) = row(c"rfc4106(gcm(aes))").method.take_apart(&key).unwrap();
        assert_eq!((keys.cipher.len(), salt), (16, [7; 4]));
        let (keys, _) = row(c"gcm(aes)").method.take_apart(&key).unwrap();
        assert_eq!((keys.cipher.len(), keys.auth.len()), (20, 0));
        let key = Key::new(&bytes[..3]);
        assert!(row(c"rfc4106(gcm(aes))").method.take_apart(&key).is_none());
    }

    #[test]
    fn every_row_has_a_trial_key_and_names_of_its_own() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(trial_key(row.method.min_key).is_some());
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
