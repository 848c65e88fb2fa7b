// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Requirements on drivers that a device can check.

/// A requirement on drivers. The device reports to [`Hooks::check`](crate::hooks::Hooks::check)
/// whether a driver meets it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Requirement {
    /// No request while the device is not ready.
    Ready,
    /// No request longer than `max_size`.
    MaxSize,
    /// No key longer than `max_cipher_key_len`.
    MaxCipherKeyLen,
    /// No key longer than `max_auth_key_len`.
    MaxAuthKeyLen,
    /// No feature without its dependencies.
    Features,
    /// A CREATE has a defined opcode.
    CreateOpcode,
    /// Control requests are header, fixed-length fields, keys, response.
    ControlOrder,
    /// The control header's reserved word is 0.
    Reserved,
    /// A DESTROY has the opcode of the session's service.
    DestroyOpcode,
    /// A DESTROY names an existing session.
    DestroyId,
    /// A data request has a defined opcode of the session's service.
    DataOpcode,
    /// A data request has its session's direction.
    Direction,
    /// A data request names an existing session.
    SessionId,
    /// The flag is 1 for session mode or 0 for stateless mode.
    Mode,
    /// Without a stateless mode, revision 1 sets the session flag.
    SessionFlag,
    /// `op_type` is that of a cipher or of a chain.
    OpType,
    /// Data requests are header, fixed-length fields, input, output, status.
    DataOrder,
    /// Unused bytes are 0.
    Unused,
    /// RSA without padding: inputs are as long as the modulus, and nothing is signed or verified.
    Raw,
    /// Associated data has the length in the parameters of the session.
    AadLen,
    /// The total length of the descriptors is that of the request's fields.
    Exact,
    /// No descriptor has a length of 0.
    NoEmpty,
    /// Descriptor chains are complete, and in the guest's memory.
    Chain,
    /// Rings are complete, and in the guest's memory.
    Ring,
    /// Device-writable descriptors come after the readable ones.
    WritableLast,
    /// After FEATURES_OK features are not written before a reset.
    Negotiation,
}
