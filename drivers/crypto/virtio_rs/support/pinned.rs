// SPDX-License-Identifier: GPL-2.0

//! Something that must not move, in something that may.

use core::{
    ops::Deref,
    pin::Pin, //
};
use kernel::prelude::*;

/// A pinned value in memory of its own.
pub(crate) struct Pinned<T>(Pin<KBox<T>>);

impl<T> Pinned<T> {
    /// Creates the value.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn new(init: impl PinInit<T>) -> Result<Self> {
        Ok(Self(KBox::pin_init(init, GFP_KERNEL)?))
    }
}

impl<T> Deref for Pinned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}
