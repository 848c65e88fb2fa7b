// SPDX-License-Identifier: GPL-2.0
//! A virtio crypto device behind vhost-user or vfio-user.

pub mod arithmetic;
pub mod backend;
mod chaining;
pub mod channel;
mod control;
pub mod counters;
pub mod ctl;
mod data;
pub mod descriptors;
pub mod device;
pub mod failure;
pub mod fault;
pub mod hardening;
mod libcrypto;
mod log_limit;
pub mod memory;
pub mod monitor;
pub mod offer;
mod operate;
pub mod options;
pub mod protocol;
pub mod queue;
pub mod relay;
pub mod report;
pub mod requirement;
pub mod ring;
pub mod serve;
pub mod service;
mod session;
pub mod socket;
mod table;
pub mod ticker;
pub mod trace;
pub mod vfio;
mod wire;
