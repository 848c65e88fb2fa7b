// SPDX-License-Identifier: GPL-2.0

//! A device as the target of requests: its queues, its sessions and its state.

pub(crate) mod controlq;
pub(crate) mod dataq;
pub(crate) mod device;
pub(crate) mod session;
