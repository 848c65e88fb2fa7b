// SPDX-License-Identifier: GPL-2.0

//! The part of the Distinguished Encoding Rules (X.690) that keys and signatures use.
//!
//! RSA keys (PKCS#1) and ECDSA signatures are sequences of non-negative integers. The functions
//! represent an integer as a big-endian byte string.

use kernel::prelude::*;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;

/// The tag of a BIT STRING.
pub(crate) const BIT_STRING: u8 = 0x03;

/// The tag of an OCTET STRING.
pub(crate) const OCTET_STRING: u8 = 0x04;

/// Returns the context-specific tag `[number]` of an explicitly tagged element.
pub(crate) const fn explicit(number: u8) -> u8 {
    0xa0 | number
}

/// Returns a big-endian number without its leading zeros.
pub(crate) fn strip_leading_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

/// Returns the length of the contents of an INTEGER. An INTEGER is signed, so the encoding of the
/// number 0 or of a number whose first bit is 1 starts with an additional zero byte.
fn integer_len(number: &[u8]) -> usize {
    let number = strip_leading_zeros(number);
    number.len() + usize::from(number.first().is_none_or(|first| *first >= 0x80))
}

/// Returns the length of an element with contents of `len` bytes, which must be less than 65536.
const fn element_len(len: usize) -> usize {
    let header = match len {
        ..=0x7f => 2,
        0x80..=0xff => 3,
        _ => 4,
    };
    header + len
}

/// An encoder that writes to the front of a buffer.
struct Writer<'a>(&'a mut [u8]);

impl Writer<'_> {
    fn put(&mut self, bytes: &[u8]) -> Result {
        let buffer = core::mem::take(&mut self.0);
        let (front, rest) = buffer.split_at_mut_checked(bytes.len()).ok_or(EINVAL)?;
        front.copy_from_slice(bytes);
        self.0 = rest;
        Ok(())
    }

    /// Writes the tag and the length of an element.
    fn header(&mut self, tag: u8, len: usize) -> Result {
        let [high, low] = u16::try_from(len)?.to_be_bytes();
        match len {
            ..=0x7f => self.put(&[tag, low]),
            0x80..=0xff => self.put(&[tag, 0x81, low]),
            _ => self.put(&[tag, 0x82, high, low]),
        }
    }
}

/// Returns the length of an encoded SEQUENCE of INTEGERs.
pub(crate) fn sequence_len(numbers: &[&[u8]]) -> usize {
    element_len(contents_len(numbers))
}

fn contents_len(numbers: &[&[u8]]) -> usize {
    let lens = numbers
        .iter()
        .map(|number| element_len(integer_len(number)));
    lens.sum()
}

/// Writes a SEQUENCE of INTEGERs to the front of `buffer`. Returns the length of the SEQUENCE.
///
/// # Errors
///
/// - `EINVAL` if `buffer` is too short.
/// - `EOVERFLOW` if the contents of an element have more than 65535 bytes.
pub(crate) fn write_sequence(numbers: &[&[u8]], buffer: &mut [u8]) -> Result<usize> {
    let mut writer = Writer(buffer);
    writer.header(SEQUENCE, contents_len(numbers))?;
    for number in numbers {
        let len = integer_len(number);
        let number = strip_leading_zeros(number);
        writer.header(INTEGER, len)?;
        if len > number.len() {
            writer.put(&[0])?;
        }
        writer.put(number)?;
    }
    Ok(sequence_len(numbers))
}

/// A decoder of consecutive elements.
#[derive(Clone, Copy)]
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Creates a decoder of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Returns true if all elements were read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(len).ok_or(EINVAL)?;
        self.0 = rest;
        Ok(front)
    }

    /// Reads a length, which must be in its shortest form and less than 65536.
    fn length(&mut self) -> Result<usize> {
        let (len, minimum) = match *self.take(1)? {
            [short @ ..=0x7f] => (short.into(), 0),
            [0x81] => (self.number(1)?, 0x80),
            [0x82] => (self.number(2)?, 0x100),
            _ => return Err(EINVAL),
        };
        if len < minimum {
            return Err(EINVAL);
        }
        Ok(len)
    }

    /// Reads a big-endian number of `len` bytes.
    fn number(&mut self, len: usize) -> Result<usize> {
        let bytes = self.take(len)?.iter();
        Ok(bytes.fold(0, |number, byte| number << 8 | usize::from(*byte)))
    }

    /// Reads the next element if it has the given tag, and returns its contents. Returns `None` if
    /// the next element has another tag or all elements were read.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the element is truncated or its length is not in its shortest form.
    pub(crate) fn optional(&mut self, tag: u8) -> Result<Option<&'a [u8]>> {
        if self.0.first() != Some(&tag) {
            return Ok(None);
        }
        self.take(1)?;
        let len = self.length()?;
        self.take(len).map(Some)
    }

    /// Reads the next element, which must have the given tag, and returns its contents.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the next element has another tag or all elements were read.
    /// - The errors of [`optional`](Self::optional).
    pub(crate) fn element(&mut self, tag: u8) -> Result<&'a [u8]> {
        self.optional(tag)?.ok_or(EINVAL)
    }

    /// Reads the next element, which must be a SEQUENCE, and returns a decoder of its elements.
    ///
    /// # Errors
    ///
    /// - The errors of [`element`](Self::element).
    pub(crate) fn sequence(&mut self) -> Result<Self> {
        self.element(SEQUENCE).map(Self)
    }

    /// Reads the next element, which must be a non-negative INTEGER, and returns the number without
    /// its leading zeros.
    ///
    /// # Errors
    ///
    /// - `EINVAL` if the INTEGER is negative or has no contents.
    /// - The errors of [`element`](Self::element).
    pub(crate) fn integer(&mut self) -> Result<&'a [u8]> {
        let contents = self.element(INTEGER)?;
        match contents.first() {
            Some(..=0x7f) => Ok(strip_leading_zeros(contents)),
            _ => Err(EINVAL),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_wire_der)]
mod tests {
    use super::*;

    #[test]
    fn written_sequences_are_read_back() {
        let number = [0x81; 300];
        let mut bytes = [0; 640];
        for len in [0, 1, 0x7c, 0x7d, 0x7e, 0x7f, 0x80, 0xfe, 0xff, 0x100, 300] {
            let numbers = [&number[..len], &[7]];
            let written = write_sequence(&numbers, &mut bytes).unwrap();
            let mut outer = Reader::new(&bytes[..written]);
            let mut inner = outer.sequence().unwrap();
            assert!(outer.is_empty());
            assert_eq!(inner.integer().unwrap(), numbers[0]);
            assert_eq!(inner.integer().unwrap(), numbers[1]);
            assert!(inner.is_empty());
            for truncated_len in 0..written {
                assert!(Reader::new(&bytes[..truncated_len]).sequence().is_err());
            }
        }
    }

    #[test]
    fn reader_rejects_malformed_lengths() {
        let malformed: [&[u8]; 8] = [
            &[4],
            &[4, 0x80, 0, 0],
            &[4, 0x81],
            &[4, 0x81, 1, 0],
            &[4, 0x82, 0, 1, 0],
            &[4, 0x82, 0, 0xff],
            &[4, 0x83, 0, 0, 1, 0],
            &[4, 2, 0],
        ];
        for bytes in malformed {
            assert!(Reader::new(bytes).element(OCTET_STRING).is_err());
        }
        assert_eq!(Reader::new(&[4, 1, 9]).element(OCTET_STRING), Ok(&[9][..]));
        assert_eq!(Reader::new(&[4, 1, 9]).optional(BIT_STRING), Ok(None));
    }

    #[test]
    fn reader_rejects_negative_and_empty_integers() {
        for malformed in [&[2, 0][..], &[2, 1, 0x80], &[4, 1, 1]] {
            assert!(Reader::new(malformed).integer().is_err());
        }
        assert_eq!(Reader::new(&[2, 1, 0]).integer(), Ok(&[][..]));
        assert_eq!(Reader::new(&[2, 2, 0, 0x80]).integer(), Ok(&[0x80][..]));
    }

    #[test]
    fn writer_emits_minimal_nonnegative_integers() {
        let mut bytes = [0xff; 32];
        let numbers: [&[u8]; 5] = [&[], &[0, 0], &[0x7f], &[0, 0x80], &[0, 0, 1, 0]];
        let len = write_sequence(&numbers, &mut bytes).unwrap();
        assert_eq!(
            bytes[..len],
            [
                0x30, 17, //
                2, 1, 0, //
                2, 1, 0, //
                2, 1, 0x7f, //
                2, 2, 0, 0x80, //
                2, 2, 1, 0, //
            ]
        );
        assert_eq!(len, sequence_len(&numbers));
        assert!(bytes[len..].iter().all(|byte| *byte == 0xff));
    }

    #[test]
    fn writer_emits_minimal_lengths() {
        let number = [1; 300];
        let mut bytes = [0; 310];
        let cases: [(usize, &[u8]); 6] = [
            (0x7d, &[0x30, 0x7f, 2, 0x7d]),
            (0x7e, &[0x30, 0x81, 0x80, 2, 0x7e]),
            (0x7f, &[0x30, 0x81, 0x81, 2, 0x7f]),
            (0x80, &[0x30, 0x81, 0x83, 2, 0x81, 0x80]),
            (0xff, &[0x30, 0x82, 1, 2, 2, 0x81, 0xff]),
            (0x100, &[0x30, 0x82, 1, 4, 2, 0x82, 1, 0]),
        ];
        for (len, header) in cases {
            let numbers = [&number[..len]];
            let written = write_sequence(&numbers, &mut bytes).unwrap();
            assert_eq!(&bytes[..header.len()], header);
            assert_eq!(written, header.len() + len);
            assert_eq!(written, sequence_len(&numbers));
        }
    }

    #[test]
    fn writer_rejects_a_short_buffer() {
        let numbers: [&[u8]; 2] = [&[0x80], &[1, 2, 3]];
        let len = sequence_len(&numbers);
        let mut bytes = [0; 16];
        for buffer_len in 0..len {
            assert!(write_sequence(&numbers, &mut bytes[..buffer_len]).is_err());
        }
        assert_eq!(write_sequence(&numbers, &mut bytes[..len]), Ok(len));
    }
}
