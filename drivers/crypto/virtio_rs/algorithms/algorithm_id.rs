// SPDX-License-Identifier: GPL-2.0

//! The kinds of algorithms, and which algorithm of a kind is meant.

use crate::{
    crypto::Direction,
    wire::algorithm::{
        Operation,
        Service, //
    }, //
};

/// A kind of algorithm. Each has a table, with a row for each algorithm the driver knows.
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
    /// Chains of a cipher and a MAC.
    Authenc,
    /// RSA, of which there is one.
    Rsa,
    /// ECDSA, on each curve.
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

    /// Returns the service of the device that has them.
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

/// A row of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AlgorithmId {
    pub(super) kind: Kind,
    pub(super) row: usize,
}

/// Returns what a session is for that does this.
pub(super) fn operation(direction: Direction) -> Operation {
    match direction {
        Direction::Encrypt => Operation::Encrypt,
        Direction::Decrypt => Operation::Decrypt,
    }
}
