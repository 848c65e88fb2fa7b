// SPDX-License-Identifier: GPL-2.0
//! The back end's own channel to the front end.
//!
//! The crate vhost takes the channel's socket, but has no way to send the one message a
//! device like this needs, so this is done here; [`crate::relay`] brings the socket.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::net::{send, SendFlags};

/// `VHOST_USER_BACKEND_CONFIG_CHANGE_MSG`
const CONFIG_CHANGE: u32 = 2;

/// A message's flags: version 1, no reply wanted.
const FLAGS: u32 = 1;

/// The channel, if the front end has made one.
#[derive(Debug, Default)]
pub struct Channel {
    socket: Mutex<Option<UnixStream>>,
    config_changes: AtomicU64,
}

impl Channel {
    /// The front end has made a channel, or closed it.
    pub fn set(&self, socket: Option<UnixStream>) {
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = socket;
    }

    /// Tells the front end that the configuration has changed.
    pub fn config_change(&self) -> io::Result<()> {
        let socket = self.socket.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(socket) = &*socket else {
            return Err(io::Error::new(
                io::ErrorKind::NotConnected,
                "there is no channel to the front end",
            ));
        };
        let mut message = [0; 12];
        message[..4].copy_from_slice(&CONFIG_CHANGE.to_ne_bytes());
        message[4..8].copy_from_slice(&FLAGS.to_ne_bytes());
        // Without waiting: a front end that does not listen cannot stop the device. There
        // is room for all of it or for nothing.
        send(socket, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        self.config_changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How often it was told.
    pub fn config_changes(&self) -> u64 {
        self.config_changes.load(Ordering::Relaxed)
    }
}
