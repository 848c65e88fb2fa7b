// SPDX-License-Identifier: GPL-2.0
//! Counts violations of the specification's requirements on drivers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use virtio_crypto_device::requirement::Requirement;

/// Defines numbers and texts of the requirements.
macro_rules! requirements {
    ($($item:ident = $number:literal, $text:literal;)*) => {
        /// All requirements that the device checks.
        pub const ALL: &[Requirement] = &[$(Requirement::$item),*];

        /// Returns the number of a requirement in the project's documents, for example `D-15`.
        pub fn number(requirement: Requirement) -> &'static str {
            match requirement { $(Requirement::$item => $number,)* }
        }

        /// Returns what a requirement requires.
        pub fn text(requirement: Requirement) -> &'static str {
            match requirement { $(Requirement::$item => $text,)* }
        }
    };
}

requirements! {
    Ready = "D-3", "no request while the device is not ready";
    MaxSize = "D-8", "no request longer than max_size";
    MaxCipherKeyLen = "D-9", "no key longer than max_cipher_key_len";
    MaxAuthKeyLen = "D-10", "no key longer than max_auth_key_len";
    Features = "D-12", "no feature without those it needs";
    CreateOpcode = "D-13", "a CREATE has a service's opcode";
    ControlOrder = "D-14", "control requests are header, fixed fields, keys, outcome";
    Reserved = "D-15", "the control header's reserved word is 0";
    DestroyOpcode = "D-16", "a DESTROY has the opcode of the session's service";
    DestroyId = "D-17", "a DESTROY names a session there is";
    DataOpcode = "D-18", "a data request has an opcode there is, of the session's service";
    Direction = "D-20", "a data request has its session's direction";
    SessionId = "D-23", "a data request names a session there is";
    Mode = "D-24", "the flag tells session mode from stateless mode";
    SessionFlag = "D-25", "without a stateless mode, revision 1 sets the session flag";
    OpType = "D-26", "op_type is that of a cipher or of a chain";
    DataOrder = "D-27", "data requests are header, fixed fields, input, output, status";
    Unused = "D-28", "what the layout does not use is 0";
    Raw = "D-29", "without padding numbers are as long as the modulus, and nothing is signed or verified";
    AadLen = "aad", "a request has as much associated data as its session says";
    Exact = "exact", "requests are as long as their fields say";
    NoEmpty = "empty", "no descriptor is without bytes";
    Chain = "chain", "chains of descriptors are whole, and in the guest's memory";
    Ring = "ring", "rings are whole, and in the guest's memory";
    WritableLast = "D-32", "device-writable descriptors come after the readable ones";
    Negotiation = "D-38", "features are not written after FEATURES_OK before a reset";
}

/// A requirement that was not met, and how often.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    /// `D-` and its number.
    pub requirement: &'static str,
    /// What it asks for.
    pub text: &'static str,
    /// How often it was not met.
    pub count: u64,
}

/// What the driver has done wrong so far.
#[derive(Debug, Default)]
pub struct Violations(Mutex<BTreeMap<Requirement, u64>>);

impl Violations {
    /// Counts one.
    pub fn record(&self, requirement: Requirement) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(requirement).or_insert(0);
        if *count == 0 {
            let (number, text) = (number(requirement), text(requirement));
            tracing::warn!("the driver violates {number}: {text}");
        }
        *count += 1;
    }

    /// Counts one unless the driver has done as asked.
    pub fn check(&self, requirement: Requirement, met: bool) {
        if !met {
            self.record(requirement);
        }
    }

    /// All there were.
    pub fn list(&self) -> Vec<Violation> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let violation = |(requirement, count): (&Requirement, &u64)| Violation {
            requirement: number(*requirement),
            text: text(*requirement),
            count: *count,
        };
        counts.iter().map(violation).collect()
    }
}
