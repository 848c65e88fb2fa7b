// SPDX-License-Identifier: GPL-2.0
//! Counts violations of the requirements on drivers.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use serde::Serialize;
use virtio_crypto_device::requirement::Requirement;

/// Defines the numbers and texts of the requirements.
macro_rules! requirements {
    ($($item:ident = $number:literal, $text:literal;)*) => {
        /// All requirements that the device checks.
        pub const ALL: &[Requirement] = &[$(Requirement::$item),*];

        /// Returns the number of a requirement in the project's documents, for example `D-15`.
        pub fn number(requirement: Requirement) -> &'static str {
            match requirement { $(Requirement::$item => $number,)* }
        }

        /// Returns the text of a requirement.
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
    Features = "D-12", "no feature without its dependencies";
    CreateOpcode = "D-13", "a CREATE has a defined opcode";
    ControlOrder = "D-14", "control requests are header, fixed-length fields, keys, response";
    Reserved = "D-15", "the control header's reserved word is 0";
    DestroyOpcode = "D-16", "a DESTROY has the opcode of the session's service";
    DestroyId = "D-17", "a DESTROY names an existing session";
    DataOpcode = "D-18", "a data request has a defined opcode of the session's service";
    Direction = "D-20", "a data request has its session's direction";
    SessionId = "D-23", "a data request names an existing session";
    Mode = "D-24", "the flag is 1 for session mode or 0 for stateless mode";
    SessionFlag = "D-25", "without a stateless mode, revision 1 sets the session flag";
    OpType = "D-26", "op_type is that of a cipher or of a chain";
    DataOrder = "D-27", "data requests are header, fixed-length fields, input, output, status";
    Unused = "D-28", "unused bytes are 0";
    Raw = "D-29", "RSA without padding: inputs are as long as the modulus, and nothing is signed or verified";
    AadLen = "aad", "associated data has the length in the parameters of the session";
    Exact = "exact", "the total length of the descriptors is that of the request's fields";
    NoEmpty = "empty", "no descriptor has a length of 0";
    Chain = "chain", "descriptor chains are complete, and in guest memory";
    Ring = "ring", "rings are complete, and in guest memory";
    WritableLast = "D-32", "device-writable descriptors come after the readable ones";
    Negotiation = "D-38", "after FEATURES_OK features are not written before a reset";
}

/// A violated requirement with the number of violations.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Violation {
    /// The number of the requirement.
    pub requirement: &'static str,
    /// The text of the requirement.
    pub text: &'static str,
    /// Number of violations.
    pub count: u64,
}

/// The violations of a driver.
#[derive(Debug, Default)]
pub struct Violations(Mutex<BTreeMap<Requirement, u64>>);

impl Violations {
    /// Counts a violation.
    pub fn record(&self, requirement: Requirement) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(requirement).or_insert(0);
        if *count == 0 {
            let (number, text) = (number(requirement), text(requirement));
            tracing::warn!("driver violates {number}: {text}");
        }
        *count += 1;
    }

    /// Counts a violation unless the requirement is met.
    pub fn check(&self, requirement: Requirement, met: bool) {
        if !met {
            self.record(requirement);
        }
    }

    /// Returns all violations.
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
