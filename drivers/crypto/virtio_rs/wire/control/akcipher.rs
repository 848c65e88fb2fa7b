// SPDX-License-Identifier: GPL-2.0

//! CREATE requests of the public key service ("AKCIPHER session").

use super::{
    super::{
        algorithm::{
            KeyType,
            Scheme,
            Service, //
        },
        PADDED_LEN, //
    },
    Header,
    CREATE_AKCIPHER, //
};
use core::mem::offset_of;
use kernel::prelude::*;
use zerocopy::byteorder::little_endian::U32;
use zerocopy_derive::Immutable;

/// A CREATE request for a public key algorithm. The key follows. The request has the
/// same length in both layouts.
#[repr(C)]
#[derive(IntoBytes, Immutable)]
pub(crate) struct CreateAkcipher {
    header: Header,
    algo: U32,
    key_type: U32,
    key_len: U32,
    /// `struct virtio_crypto_rsa_session_para` or `virtio_crypto_ecdsa_session_para`.
    parameters: [U32; 2],
    unused: [u8; 36],
}

kernel::static_assert!(size_of::<CreateAkcipher>() == PADDED_LEN);
kernel::static_assert!(offset_of!(CreateAkcipher, algo) == 16);
kernel::static_assert!(offset_of!(CreateAkcipher, parameters) == 28);

impl CreateAkcipher {
    /// Creates the request. `key_len` is in bytes.
    pub(crate) fn new(scheme: Scheme, key_type: KeyType, key_len: u32) -> Self {
        Self {
            header: Header::new(Service::Akcipher, CREATE_AKCIPHER, scheme.number()),
            algo: scheme.number().into(),
            key_type: key_type.number().into(),
            key_len: key_len.into(),
            parameters: scheme.parameters().map(U32::new),
            unused: [0; 36],
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_control_akcipher)]
mod tests {
    use super::*;
    use crate::{
        bindings,
        wire::{
            algorithm::{
                Akcipher,
                Curve, //
            },
            testing::{
                has_words,
                word, //
            },
        },
    };

    #[test]
    fn rsa_fields_match_the_layout() {
        let request = CreateAkcipher::new(Scheme::RsaRaw, KeyType::Private, 1191);
        let bytes = request.as_bytes();
        assert_eq!(bytes.len(), 72);
        assert!(has_words(
            bytes,
            &[(0, 0x404), (4, 1), (16, 1), (20, 2), (24, 1191)]
        ));
        assert_eq!(word(bytes, 0), bindings::VC_AKCIPHER_CREATE_SESSION);
    }

    #[test]
    fn ecdsa_fields_match_the_layout_with_both_numbers_of_ecdsa() {
        for number in [Akcipher::Ecdsa, Akcipher::EcdsaUapi] {
            let scheme = Scheme::Ecdsa(number, Curve::P521);
            let request = CreateAkcipher::new(scheme, KeyType::Public, 133);
            let expected = [
                (0, 0x404),
                (4, number.number()),
                (16, number.number()),
                (20, 1),
                (24, 133),
                (28, 5),
            ];
            assert!(has_words(request.as_bytes(), &expected));
        }
    }
}
