// SPDX-License-Identifier: GPL-2.0

//! The algorithms that the driver registers, and the devices that support them.
//!
//! Each file uses only files that come before it in this list:
//!
//! 1. `algorithm_id`, `fallback_stats`, `iv`: identities of algorithms, counters of fallbacks, IVs;
//! 2. `devices`: the devices and their capabilities;
//! 3. `tfm_key`, `offload`, `akcipher_key`: keys, and the common path of requests;
//! 4. `skcipher`, `digest`, `aead`, `authenc`, `rsa`, `ecdsa`: the kinds of algorithms;
//! 5. `catalogue`: the algorithms of all kinds;
//! 6. `detect`: capability detection;
//! 7. `registry`: registration with the crypto API.

mod aead;
mod akcipher_key;
mod algorithm_id;
mod authenc;
mod catalogue;
mod detect;
mod devices;
mod digest;
mod ecdsa;
mod fallback_stats;
mod iv;
mod offload;
mod registry;
mod rsa;
mod skcipher;
mod tfm_key;

pub(crate) use self::registry::Registry;
use self::{
    algorithm_id::{
        operation,
        AlgorithmId,
        Kind, //
    },
    devices::Devices, //
};
