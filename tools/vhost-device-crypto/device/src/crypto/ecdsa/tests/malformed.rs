// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Tests with invalid keys and signatures.

use super::*;

fn key_error(key_type: KeyType, key: &[u8], curve: Curve) -> Option<StatusError> {
    Ecdsa::new(key_type, key, curve).err()
}

fn order(curve: Curve) -> BigNum {
    let group = EcGroup::from_curve_name(nid(curve)).unwrap();
    let mut context = BigNumContext::new().unwrap();
    let mut order = BigNum::new().unwrap();
    group.order(&mut order, &mut context).unwrap();
    order
}

#[test]
fn truncated_and_altered_private_keys_are_rejected() {
    for curve in curves() {
        let (key, _) = generate(curve, PointConversionForm::UNCOMPRESSED);
        let key = key.private_key_to_der().unwrap();
        assert_eq!(key_error(KeyType::Private, &key, curve), None);
        for len in 0..key.len() {
            assert_eq!(key_error(KeyType::Private, &key[..len], curve), Some(StatusError::Generic));
        }
        let longer = [&key[..], &[0]].concat();
        assert_eq!(key_error(KeyType::Private, &longer, curve), Some(StatusError::Generic));
        // A change of any bit is detected, because the private key must match the public key.
        for bit in 0..key.len() * 8 {
            let mut invalid = key.clone();
            invalid[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key_error(KeyType::Private, &invalid, curve), Some(StatusError::Generic));
        }
    }
}

#[test]
fn private_keys_must_be_less_than_the_order() {
    for curve in curves() {
        let der = |number: &[u8]| private_der(number, Some(curve), None);
        let order = order(curve);
        let len = order.num_bytes();
        let one = BigNum::from_u32(1).unwrap();
        for (number, expected) in [
            (vec![], Some(StatusError::Generic)),
            (vec![0; len as usize], Some(StatusError::Generic)),
            (vec![0xff; len as usize], Some(StatusError::Generic)),
            (vec![0x01; len as usize + 1], Some(StatusError::Generic)),
            (order.to_vec(), Some(StatusError::Generic)),
            ((&order - &one).to_vec(), None),
            (one.to_vec_padded(len).unwrap(), None),
            (one.to_vec_padded(len + 1).unwrap(), Some(StatusError::Generic)),
            (one.to_vec(), None),
        ] {
            assert_eq!(key_error(KeyType::Private, &der(&number), curve), expected);
        }
    }
}

#[test]
fn private_keys_with_mismatched_fields_are_rejected() {
    for curve in curves() {
        let (key, point) = generate(curve, PointConversionForm::UNCOMPRESSED);
        let (_, other_point) = generate(curve, PointConversionForm::UNCOMPRESSED);
        let number = key.private_key().to_vec();
        let bits = [&[0], &point[..]].concat();
        let private = |name, bits: &[u8]| private_der(&number, name, Some(bits));
        for name in [None, Some(curve)] {
            assert_eq!(key_error(KeyType::Private, &private(name, &bits), curve), None);
        }
        for other in Curve::ALL.iter().copied().filter(|&other| other != curve) {
            let key = private(Some(other), &bits);
            assert_eq!(key_error(KeyType::Private, &key, curve), Some(StatusError::Generic));
        }
        for bits in [
            &[][..],
            &[0],
            &[0, 0],
            &point,
            &[&[4], &point[..]].concat(),
            &[&[0], &other_point[..]].concat(),
            &[&[0], &point[..point.len() - 1]].concat(),
        ] {
            assert_eq!(
                key_error(KeyType::Private, &private(None, bits), curve),
                Some(StatusError::Generic)
            );
        }
        // Wrong versions, parameters that are not exactly one name, fields in the wrong order, and
        // two public keys.
        let version = unsigned(&[1]);
        let octets = element(der::OCTET_STRING, &number);
        let name = element(der::OBJECT_IDENTIFIER, object_identifier(curve));
        let parameters = element(der::explicit(0), &name);
        let public = element(der::explicit(1), &element(der::BIT_STRING, &bits));
        for fields in [
            vec![],
            vec![version.clone()],
            vec![unsigned(&[0]), octets.clone()],
            vec![unsigned(&[2]), octets.clone()],
            vec![version.clone(), unsigned(&number)],
            vec![version.clone(), octets.clone(), element(der::explicit(0), &[])],
            vec![version.clone(), octets.clone(), element(der::explicit(0), &sequence(&[]))],
            vec![version.clone(), octets.clone(), element(der::explicit(0), &name.repeat(2))],
            vec![version.clone(), octets.clone(), element(der::explicit(1), &[])],
            vec![version.clone(), octets.clone(), public.clone(), parameters.clone()],
            vec![version.clone(), octets.clone(), public.clone(), public.clone()],
            vec![version.clone(), octets.clone(), element(der::explicit(2), &name)],
        ] {
            let key = sequence(&fields);
            assert_eq!(key_error(KeyType::Private, &key, curve), Some(StatusError::Generic));
        }
        let key = sequence(&[version, octets, parameters, public]);
        assert_eq!(key_error(KeyType::Private, &key, curve), None);
    }
}

#[test]
fn public_keys_must_be_points_of_the_curve() {
    for curve in curves() {
        let (key, point) = generate(curve, PointConversionForm::UNCOMPRESSED);
        assert_eq!(key_error(KeyType::Public, &point, curve), None);
        assert_eq!(point.len(), 1 + 2 * len(curve));
        for len in 0..point.len() {
            assert_eq!(
                key_error(KeyType::Public, &point[..len], curve),
                Some(StatusError::Generic)
            );
        }
        let mut context = BigNumContext::new().unwrap();
        let hybrid = key
            .public_key()
            .to_bytes(key.group(), PointConversionForm::HYBRID, &mut context)
            .unwrap();
        for invalid in [
            [&point[..], &[0]].concat(),
            hybrid,
            vec![0; point.len()],
            vec![0],
            [&[4][..], &vec![0xff; point.len() - 1]].concat(),
            [&[4][..], &vec![0; point.len() - 1]].concat(),
            element(der::OCTET_STRING, &point),
            key.public_key_to_der().unwrap(),
            key.private_key_to_der().unwrap(),
        ] {
            assert_eq!(key_error(KeyType::Public, &invalid, curve), Some(StatusError::Generic));
        }
        for bit in 0..point.len() * 8 {
            let mut invalid = point.clone();
            invalid[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(key_error(KeyType::Public, &invalid, curve), Some(StatusError::Generic));
        }
        for other in curves().filter(|&other| other != curve) {
            assert_eq!(key_error(KeyType::Public, &point, other), Some(StatusError::Generic));
        }
    }
}

#[test]
fn signatures_must_be_der_of_numbers_less_than_the_order() {
    for curve in curves() {
        let key = Ecdsa::new(KeyType::Private, &private_der(&[7], None, None), curve).unwrap();
        let digest = [3; 32];
        let signature = signed(&key, &digest).unwrap();
        let parsed = EcdsaSig::from_der(&signature).unwrap();
        let [r, s] = [parsed.r(), parsed.s()].map(|number| number.to_vec());
        assert_eq!(key.verify(&numbers(&[&r, &s]), &digest), Ok(()));
        // The order minus `s` is also a valid signature.
        let order = order(curve);
        let other = (&order - parsed.s()).to_vec();
        assert_eq!(key.verify(&numbers(&[&r, &other]), &digest), Ok(()));

        let rejected = |signature: &[u8]| {
            assert_eq!(key.verify(signature, &digest), Err(StatusError::KeyRejected));
        };
        for len in 0..signature.len() {
            rejected(&signature[..len]);
        }
        for bit in 0..signature.len() * 8 {
            let mut invalid = signature.clone();
            invalid[bit / 8] ^= 1 << (bit % 8);
            rejected(&invalid);
        }
        rejected(&[&signature[..], &[0]].concat());
        let order = order.to_vec();
        let zero = vec![];
        for invalid in [
            vec![&s, &r],
            vec![&zero, &s],
            vec![&r, &zero],
            vec![&zero, &zero],
            vec![&order, &s],
            vec![&r, &order],
            vec![&order, &order],
            vec![&r],
            vec![&r, &s, &s],
        ] {
            rejected(&numbers(&invalid));
        }
        let long = [&[0, 0], &r[..]].concat();
        rejected(&sequence(&[element(der::INTEGER, &long), unsigned(&s)]));
        // `r` and `s` in the format of P1363, without DER.
        let coordinate = len(curve) as i32;
        let [r, s] = [parsed.r(), parsed.s()].map(|n| n.to_vec_padded(coordinate).unwrap());
        rejected(&[r, s].concat());
    }
}
