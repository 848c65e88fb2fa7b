// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A daemon that offers virtio crypto devices to guests over vhost-user.
//!
//! ```text
//! process          limits and signals
//! metrics          counters for monitoring
//! socket           the sockets to which front ends connect
//! connection       serves one front end after the other
//! relay            serves messages that the crate vhost does not support
//! session_message  messages that create and close sessions
//! backend          the interface to the crate vhost-user-backend
//! service          the state that the threads of a device share
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
