// SPDX-License-Identifier: GPL-2.0

//! How requests travel to a device and come back: its queues, sessions and states.

pub(crate) mod controlq;
pub(crate) mod dataq;
pub(crate) mod device;
pub(crate) mod key;
pub(crate) mod session;
