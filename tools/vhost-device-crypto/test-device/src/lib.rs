// SPDX-License-Identifier: GPL-2.0
//! A virtio crypto device for tests of drivers: it injects faults, counts violations of the
//! specification, traces requests, and has a vfio-user front end.
//!
//! The crate `virtio_crypto_device` implements the device. It calls hooks at defined points, which
//! [`instrument`] implements.

pub mod counters;
pub mod ctl;
pub mod fault;
pub mod front_end;
pub mod held;
pub mod instrument;
pub mod monitor;
pub mod options;
pub mod periodic_faults;
pub mod report;
pub mod serve;
pub mod test_device;
pub mod trace;
pub mod vfio;
pub mod violations;
pub mod wakeup;
