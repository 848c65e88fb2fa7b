// SPDX-License-Identifier: GPL-2.0

//! The device-specific configuration space.

use super::Device;
use crate::bindings::helpers;
use kernel::{
    device,
    prelude::*, //
};

impl Device<device::Bound> {
    /// Reads the first `N` 32-bit words of the configuration space, all of the same generation.
    ///
    /// The words are little-endian. They are read one by one, as the specification requires for 32-bit and
    /// 64-bit fields (PCI, "Device-specific configuration").
    ///
    /// Context: process, may sleep; while a driver is bound.
    ///
    /// # Errors
    ///
    /// `EAGAIN` if the device changes the configuration during every attempt to read it.
    pub(crate) fn read_config<const N: usize>(&self) -> Result<[[u8; 4]; N]> {
        /// The number of attempts.
        const ATTEMPTS: usize = 16;

        for _ in 0..ATTEMPTS {
            let mut words = [[0; 4]; N];
            let generation = self.config_generation();
            for (index, word) in words.iter_mut().enumerate() {
                self.read_word(u32::try_from(index * 4)?, word);
            }
            if self.config_generation() == generation {
                return Ok(words);
            }
        }
        Err(EAGAIN)
    }

    /// Reads the 32-bit word at byte `offset`, little-endian.
    ///
    /// Context: process, may sleep; while a driver is bound.
    pub(crate) fn read_config_word(&self, offset: u32) -> [u8; 4] {
        let mut word = [0; 4];
        self.read_word(offset, &mut word);
        word
    }

    fn read_word(&self, offset: u32, word: &mut [u8; 4]) {
        // SAFETY: The device is valid and bound. `word` is valid for writes of 4 bytes.
        unsafe { helpers::virtio_config_get(self.as_raw(), offset, word.as_mut_ptr().cast(), 4) };
    }

    fn config_generation(&self) -> u32 {
        // SAFETY: By the type invariant the device is valid, and it is bound.
        unsafe { helpers::virtio_config_generation(self.as_raw()) }
    }
}
