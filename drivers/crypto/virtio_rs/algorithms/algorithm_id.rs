// SPDX-License-Identifier: GPL-2.0

//! The identity of an algorithm: its kind, and its row in the table of the kind.

use crate::{
    crypto::Direction,
    wire::algorithm::{
        Operation,
        Service, //
    }, //
};

/// A kind of algorithm. Each kind has a table, with a row for each algorithm that the driver
/// supports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Symmetric ciphers.
    Cipher,
    /// Hashes.
    Hash,
    /// Message authentication codes.
    Mac,
    /// Authenticated encryption.
    Aead,
    /// Algorithm chaining of a cipher and a MAC.
    Authenc,
    /// RSA. The table has one row.
    Rsa,
    /// ECDSA, with a row for each curve.
    Ecdsa,
}

impl Kind {
    pub(super) const ALL: [Self; 7] = [
        Self::Cipher,
        Self::Hash,
        Self::Mac,
        Self::Aead,
        Self::Authenc,
        Self::Rsa,
        Self::Ecdsa,
    ];

    /// Returns the device service that this kind uses.
    pub(super) const fn service(self) -> Service {
        match self {
            Self::Cipher | Self::Authenc => Service::Cipher,
            Self::Hash => Service::Hash,
            Self::Mac => Service::Mac,
            Self::Aead => Service::Aead,
            Self::Rsa | Self::Ecdsa => Service::Akcipher,
        }
    }
}

/// An algorithm: a row of the table of its kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlgorithmId {
    pub(super) kind: Kind,
    pub(super) row: usize,
}

/// Returns the operation of a session or a request, for a direction.
pub(super) fn operation(direction: Direction) -> Operation {
    match direction {
        Direction::Encrypt => Operation::Encrypt,
        Direction::Decrypt => Operation::Decrypt,
    }
}
