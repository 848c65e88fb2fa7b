// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A daemon that offers virtio crypto devices to guests over vhost-user.
//!
//! ```text
//! process          limits and signals
//! metrics          counters for monitoring
//! socket           where front ends connect
//! connection       one front end after the other
//! relay            messages that the crate vhost does not pass on
//! session_message  sessions that the front end creates
//! backend          the device as vhost-user-backend sees it
//! service          what the threads of a device share
//! ```

pub mod backend;
pub mod channel;
pub mod connection;
pub mod error;
pub mod framing;
pub mod hardening;
pub mod metrics;
pub mod options;
pub mod process;
mod relay;
pub mod serve;
pub mod service;
pub mod session_message;
pub mod socket;
pub mod vring;
