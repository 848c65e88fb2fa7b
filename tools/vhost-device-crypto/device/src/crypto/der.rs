// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The part of the Distinguished Encoding Rules that keys need.

use crate::status::{Result, StatusError};

/// `INTEGER`
pub(super) const INTEGER: u8 = 0x02;
/// `BIT STRING`
pub(super) const BIT_STRING: u8 = 0x03;
/// `OCTET STRING`
pub(super) const OCTET_STRING: u8 = 0x04;
/// `OBJECT IDENTIFIER`
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
/// `SEQUENCE`
pub(super) const SEQUENCE: u8 = 0x30;

/// Returns the explicit tag `[number]`, whose element contains another element.
pub(super) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Reads a sequence of elements. The caller reads nested elements with a new `Reader`, so the depth
/// is limited.
#[derive(Clone, Debug)]
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Reader(bytes)
    }

    /// Returns whether no element is left.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns an error if an element is left.
    pub(super) fn finish(self) -> Result<()> {
        if self.is_empty() {
            Ok(())
        } else {
            Err(StatusError::Generic)
        }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(StatusError::Generic)?;
        self.0 = rest;
        Ok(front)
    }

    /// Reads a length, which must be definite and in its shortest form.
    fn length(&mut self) -> Result<usize> {
        let first = self.take(1)?[0];
        if first < 0x80 {
            return Ok(first.into());
        }
        let octets = self.take((first & 0x7f).into())?;
        // A longer length field cannot belong to a key.
        if octets.len() > 4 || octets.first().is_none_or(|&octet| octet == 0) {
            return Err(StatusError::Generic);
        }
        let len = octets.iter().fold(0, |len, &octet| len << 8 | usize::from(octet));
        if len < 0x80 {
            return Err(StatusError::Generic);
        }
        Ok(len)
    }

    /// Reads the contents of the next element, which must have this tag.
    pub(super) fn element(&mut self, tag: u8) -> Result<&'a [u8]> {
        self.optional(tag)?.ok_or(StatusError::Generic)
    }

    /// Reads the contents of the next element, if the element has this tag.
    pub(super) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>> {
        if self.0.first() != Some(&tag) {
            return Ok(None);
        }
        self.take(1)?;
        let len = self.length()?;
        self.take(len).map(Some)
    }

    /// Reads the next element, a `SEQUENCE`, and returns a reader of its contents.
    pub(super) fn sequence(&mut self) -> Result<Reader<'a>> {
        self.element(SEQUENCE).map(Reader)
    }

    /// Reads the next element, an `INTEGER`, without leading zeros. The number 0 has no bytes.
    ///
    /// All numbers in keys are positive, so the sign is ignored, as in Linux. Some keys, also in
    /// Linux's self-tests, lack the leading zero that marks a positive number.
    pub(super) fn unsigned(&mut self) -> Result<&'a [u8]> {
        match self.element(INTEGER)? {
            [] => Err(StatusError::Generic),
            octets => Ok(without_leading_zeros(octets)),
        }
    }
}

/// Removes leading zeros.
pub(super) fn without_leading_zeros(octets: &[u8]) -> &[u8] {
    let zeros = octets.iter().take_while(|&&octet| octet == 0).count();
    &octets[zeros..]
}

/// Encodes elements, for tests.
#[cfg(test)]
pub(super) mod write {
    use super::*;

    /// Encodes an element.
    pub(in super::super) fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
        let mut out = vec![tag];
        match contents.len() {
            len @ ..=0x7f => out.push(len as u8),
            len => {
                let octets = len.to_be_bytes();
                let octets = without_leading_zeros(&octets);
                out.push(0x80 | octets.len() as u8);
                out.extend(octets);
            }
        }
        out.extend(contents);
        out
    }

    /// Encodes an `INTEGER`.
    pub(in super::super) fn unsigned(number: &[u8]) -> Vec<u8> {
        let number = without_leading_zeros(number);
        let mut octets = vec![];
        if number.first().is_none_or(|&first| first >= 0x80) {
            octets.push(0);
        }
        octets.extend(number);
        element(INTEGER, &octets)
    }

    /// Encodes a `SEQUENCE`.
    pub(in super::super) fn sequence(elements: &[Vec<u8>]) -> Vec<u8> {
        element(SEQUENCE, &elements.concat())
    }

    /// Encodes a `SEQUENCE` of `INTEGER`s.
    pub(in super::super) fn numbers<N: AsRef<[u8]>>(numbers: &[N]) -> Vec<u8> {
        let numbers: Vec<_> = numbers.iter().map(|number| unsigned(number.as_ref())).collect();
        sequence(&numbers)
    }

    /// Converts hexadecimal digits to bytes. White space is ignored.
    pub(in super::super) fn hex(digits: &str) -> Vec<u8> {
        let digits: Vec<u8> = digits
            .chars()
            .filter(|digit| !digit.is_whitespace())
            .map(|digit| digit.to_digit(16).unwrap() as u8)
            .collect();
        assert_eq!(digits.len() % 2, 0);
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_elements_are_decoded() {
        for len in [0, 1, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000] {
            let contents = vec![0xa5; len];
            let element = write::element(OCTET_STRING, &contents);
            let mut reader = Reader::new(&element);
            assert_eq!(reader.optional(INTEGER), Ok(None));
            assert_eq!(reader.element(BIT_STRING), Err(StatusError::Generic));
            assert_eq!(reader.element(OCTET_STRING), Ok(&contents[..]));
            assert_eq!(reader.optional(OCTET_STRING), Ok(None));
            assert_eq!(reader.finish(), Ok(()));
            assert_eq!(Reader::new(&element).finish(), Err(StatusError::Generic));
        }
        let numbers = write::numbers(&[&[][..], &[0, 1], &[0x7f], &[0x80], &[0, 0, 0xff, 0]]);
        let mut reader = Reader::new(&numbers).sequence().unwrap();
        for expected in [&[][..], &[1], &[0x7f], &[0x80], &[0xff, 0]] {
            assert_eq!(reader.unsigned(), Ok(expected));
        }
        assert!(reader.is_empty());
    }

    #[test]
    fn truncated_elements_are_rejected() {
        let long = write::element(OCTET_STRING, &[7; 300]);
        for len in 0..long.len() {
            assert_eq!(Reader::new(&long[..len]).element(OCTET_STRING), Err(StatusError::Generic));
        }
    }

    #[test]
    fn lengths_must_be_in_their_shortest_form() {
        for bad in [
            &[4, 0x80, 7, 0, 0][..],                            // indefinite
            &[4, 0x81, 1, 7],                                   // longer than necessary
            &[4, 0x82, 0, 0x80],                                // with a leading zero
            &[4, 0x85, 1, 0, 0, 0, 0],                          // too many length bytes
            &[4, 0x84, 0xff, 0xff, 0xff, 0xff],                 // longer than the data
            &[4, 0xff, 1],                                      // reserved
            &[4, 0x88, 255, 255, 255, 255, 255, 255, 255, 255], // overflow
        ] {
            assert_eq!(Reader::new(bad).element(OCTET_STRING), Err(StatusError::Generic));
        }
    }

    #[test]
    fn integers_are_not_empty_and_have_no_sign() {
        assert_eq!(Reader::new(&[2, 0]).unsigned(), Err(StatusError::Generic));
        assert_eq!(Reader::new(&[2, 1, 0]).unsigned(), Ok(&[][..]));
        assert_eq!(Reader::new(&[2, 1, 0xff]).unsigned(), Ok(&[0xff][..]));
        assert_eq!(Reader::new(&[2, 3, 0, 0, 1]).unsigned(), Ok(&[1][..]));
    }
}
