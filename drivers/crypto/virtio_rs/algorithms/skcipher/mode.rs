// SPDX-License-Identifier: GPL-2.0

//! Modes of operation: what a request may be like, and who does it.

/// How blocks make a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// Each block by itself.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// Counter.
    Ctr,
    /// XEX with a tweak and ciphertext stealing.
    Xts,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Plan {
    /// It has a length the mode does not know: `EINVAL`, as all implementations have it.
    Refuse,
    /// There is nothing to do.
    Nothing,
    /// Software does all of it.
    Software,
    /// A device does it, once so many bytes were added to make the last block whole.
    Device { padding: u32 },
}

/// The most bytes that can be missing in a block.
pub(super) const MAX_PADDING: usize = 15;

impl Mode {
    /// Returns the size of the IV in bytes, for a cipher with blocks of `block` bytes.
    pub(super) const fn iv_size(self, block: u32) -> u32 {
        match self {
            Self::Ecb => 0,
            Self::Cbc | Self::Ctr | Self::Xts => block,
        }
    }

    /// Returns what the crypto framework takes for the block size: what data must be a multiple of.
    /// That of XTS, too, though it steals.
    pub(super) const fn block_size(self, block: u32) -> u32 {
        match self {
            Self::Ctr => 1,
            Self::Ecb | Self::Cbc | Self::Xts => block,
        }
    }

    /// Says what becomes of a request of `len` bytes, for a cipher with blocks of `block` bytes.
    ///
    /// Devices get whole blocks only: the specification does not say how a mode goes on where a
    /// block is not whole, and QEMU refuses it.
    pub(super) fn plan(self, block: u32, len: u32) -> Plan {
        // All blocks have a power of two of bytes.
        let mask = block.wrapping_sub(1);
        let (rest, padding) = (len & mask, len.wrapping_neg() & mask);
        match self {
            Self::Ecb | Self::Cbc if rest != 0 => Plan::Refuse,
            Self::Xts if len < block => Plan::Refuse,
            // The last two blocks are tied together.
            Self::Xts if rest != 0 => Plan::Software,
            _ if len == 0 => Plan::Nothing,
            _ if len.checked_add(padding).is_none() => Plan::Software,
            _ => Plan::Device { padding },
        }
    }

    /// Returns how many bytes software does before a device gets the rest, of a request for a
    /// device of `len` bytes and `padding`; the device takes `room` bytes at a time. None if it can
    /// do nothing of it.
    ///
    /// It is the first part that software does: the IV for what follows is known then, whatever
    /// the mode, and the last part of a scatterlist can be had without copying it.
    pub(super) fn head(self, block: u32, len: u32, padding: u32, room: u64) -> Option<u32> {
        let total = u64::from(len) + u64::from(padding);
        if total <= room {
            return Some(0);
        }
        let part = room - room.checked_rem(block.into())?;
        match self {
            // There is no IV to go on with.
            Self::Xts => None,
            _ if part == 0 => None,
            _ => u32::try_from(total - part).ok(),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_mode)]
mod tests {
    use super::*;

    const WHOLE: Plan = Plan::Device { padding: 0 };

    #[test]
    fn ecb_and_cbc_take_whole_blocks_and_nothing() {
        for mode in [Mode::Ecb, Mode::Cbc] {
            for block in [8, 16] {
                assert_eq!(mode.plan(block, 0), Plan::Nothing);
                assert_eq!(mode.plan(block, block), WHOLE);
                assert_eq!(mode.plan(block, 10 * block), WHOLE);
                for len in [1, block - 1, block + 1, 10 * block - 1, u32::MAX] {
                    assert_eq!(mode.plan(block, len), Plan::Refuse);
                }
                assert_eq!(mode.block_size(block), block);
            }
        }
    }

    #[test]
    fn ctr_takes_everything_and_fills_up_the_last_block() {
        for block in [8, 16] {
            let mode = Mode::Ctr;
            assert_eq!(mode.plan(block, 0), Plan::Nothing);
            for whole in [0, block, 100 * block] {
                for rest in 1..block {
                    let padding = block - rest;
                    assert_eq!(mode.plan(block, whole + rest), Plan::Device { padding });
                    assert!(padding as usize <= MAX_PADDING);
                }
                assert_eq!(mode.plan(block, whole + block), WHOLE);
            }
            // There is no number for that many.
            assert_eq!(mode.plan(block, u32::MAX), Plan::Software);
            assert_eq!(mode.block_size(block), 1);
        }
    }

    #[test]
    fn what_is_too_long_for_a_device_begins_in_software() {
        for mode in [Mode::Ecb, Mode::Cbc, Mode::Ctr] {
            assert_eq!(mode.head(16, 4096, 0, 4096), Some(0));
            assert_eq!(mode.head(16, 4096, 0, 4095), Some(16));
            assert_eq!(mode.head(16, 4096, 0, 100), Some(4096 - 96));
            assert_eq!(mode.head(16, 4096, 0, 15), None);
            assert_eq!(mode.head(8, 4096, 0, 0), None);
        }
        assert_eq!(Mode::Ctr.head(16, 4093, 3, 4096), Some(0));
        assert_eq!(Mode::Ctr.head(16, 4093, 3, 4095), Some(16));
        assert_eq!(Mode::Ctr.head(16, 17, 15, 16), Some(16));
        assert_eq!(Mode::Ctr.head(16, 1, 15, 15), None);
    }

    #[test]
    fn xts_is_not_divided() {
        assert_eq!(Mode::Xts.head(16, 4096, 0, 4096), Some(0));
        assert_eq!(Mode::Xts.head(16, 4096, 0, 4095), None);
    }

    #[test]
    fn xts_refuses_less_than_a_block_and_leaves_what_steals() {
        let mode = Mode::Xts;
        for len in [0, 1, 15] {
            assert_eq!(mode.plan(16, len), Plan::Refuse);
        }
        for len in [16, 32, 4096] {
            assert_eq!(mode.plan(16, len), WHOLE);
        }
        for len in [17, 31, 4095, u32::MAX] {
            assert_eq!(mode.plan(16, len), Plan::Software);
        }
    }

    #[test]
    fn only_ecb_has_no_iv() {
        assert_eq!(Mode::Ecb.iv_size(16), 0);
        for mode in [Mode::Cbc, Mode::Ctr, Mode::Xts] {
            assert_eq!(mode.iv_size(8), 8);
            assert_eq!(mode.iv_size(16), 16);
        }
    }
}
