// SPDX-License-Identifier: GPL-2.0

//! Helpers of the unit tests of request layouts.

/// Returns the 32-bit word at byte `offset`.
pub(super) fn word(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap())
}

/// Returns true if the words at the offsets in `expected` have the expected values, and all other
/// words are 0.
pub(super) fn has_words(bytes: &[u8], expected: &[(usize, u32)]) -> bool {
    (0..bytes.len()).step_by(4).all(|offset| {
        let entry = expected.iter().find(|(start, _)| *start == offset);
        word(bytes, offset) == entry.map_or(0, |(_, value)| *value)
    }) && expected.iter().all(|(start, _)| start + 4 <= bytes.len())
}
