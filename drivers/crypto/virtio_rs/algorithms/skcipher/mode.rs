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
    /// A device does so many bytes from the beginning on, software the rest.
    Device(u32),
}

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
        let Some(rest) = len.checked_rem(block) else {
            return Plan::Refuse;
        };
        let whole = len - rest;
        match self {
            Self::Ecb | Self::Cbc if rest != 0 => Plan::Refuse,
            Self::Xts if len < block => Plan::Refuse,
            // The last two blocks are tied together.
            Self::Xts if rest != 0 => Plan::Software,
            _ if len == 0 => Plan::Nothing,
            _ if whole == 0 => Plan::Software,
            _ => Plan::Device(whole),
        }
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms_mode)]
mod tests {
    use super::*;

    #[test]
    fn ecb_and_cbc_take_whole_blocks_and_nothing() {
        for mode in [Mode::Ecb, Mode::Cbc] {
            for block in [8, 16] {
                assert_eq!(mode.plan(block, 0), Plan::Nothing);
                assert_eq!(mode.plan(block, block), Plan::Device(block));
                assert_eq!(mode.plan(block, 10 * block), Plan::Device(10 * block));
                for len in [1, block - 1, block + 1, 10 * block - 1, u32::MAX] {
                    assert_eq!(mode.plan(block, len), Plan::Refuse);
                }
                assert_eq!(mode.block_size(block), block);
            }
        }
    }

    #[test]
    fn ctr_takes_everything_and_leaves_the_last_part_of_a_block() {
        for block in [8, 16] {
            let mode = Mode::Ctr;
            assert_eq!(mode.plan(block, 0), Plan::Nothing);
            for len in [1, block - 1] {
                assert_eq!(mode.plan(block, len), Plan::Software);
            }
            assert_eq!(mode.plan(block, block), Plan::Device(block));
            assert_eq!(mode.plan(block, block + 1), Plan::Device(block));
            assert_eq!(mode.plan(block, 2 * block - 1), Plan::Device(block));
            let most = u32::MAX - (block - 1);
            assert_eq!(mode.plan(block, u32::MAX), Plan::Device(most));
            assert_eq!(mode.block_size(block), 1);
        }
    }

    #[test]
    fn xts_refuses_less_than_a_block_and_leaves_what_steals() {
        let mode = Mode::Xts;
        for len in [0, 1, 15] {
            assert_eq!(mode.plan(16, len), Plan::Refuse);
        }
        for len in [16, 32, 4096] {
            assert_eq!(mode.plan(16, len), Plan::Device(len));
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
