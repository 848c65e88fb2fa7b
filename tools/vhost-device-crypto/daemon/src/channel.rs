// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The way from the device to the front end: what a device says of its own accord.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{send, SendFlags};

/// A front end that can be notified. A method does not wait for the driver or the front end, and does
/// not take a queue's lock: the caller may be a queue's worker.
pub trait FrontEnd: Send + Sync {
    /// Notifies the driver that the configuration has changed.
    fn config_change(&self) -> io::Result<()>;
}

/// The front end, if there is one that listens.
#[derive(Default)]
pub struct Channel {
    front: Mutex<Option<Arc<dyn FrontEnd>>>,
    config_changes: AtomicU64,
}

impl Channel {
    /// The front end begins to listen, or is gone.
    pub fn set(&self, front: Option<Arc<dyn FrontEnd>>) {
        *self.front.lock().unwrap_or_else(PoisonError::into_inner) = front;
    }

    /// The front end; an error if none listens.
    pub fn front(&self) -> io::Result<Arc<dyn FrontEnd>> {
        let front = self.front.lock().unwrap_or_else(PoisonError::into_inner).clone();
        front.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotConnected, "there is no channel to the front end")
        })
    }

    /// Tells the front end that the configuration has changed.
    pub fn config_change(&self) -> io::Result<()> {
        self.front()?.config_change()?;
        self.config_changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// How often it was told.
    pub fn config_changes(&self) -> u64 {
        self.config_changes.load(Ordering::Relaxed)
    }
}

/// vhost-user's channel for what the back end has to say.
///
/// The crate vhost takes the channel's socket, but has no way to send the one message a
/// device like this needs, so this is done here; the module `relay` brings the socket.
pub struct BackChannel(pub UnixStream);

/// `VHOST_USER_BACKEND_CONFIG_CHANGE_MSG`
const CONFIG_CHANGE: u32 = 2;

/// A message's flags: version 1, no reply wanted.
const FLAGS: u32 = 1;

impl FrontEnd for BackChannel {
    fn config_change(&self) -> io::Result<()> {
        let mut message = [0; 12];
        message[..4].copy_from_slice(&CONFIG_CHANGE.to_ne_bytes());
        message[4..8].copy_from_slice(&FLAGS.to_ne_bytes());
        // Without waiting: a front end that does not listen cannot stop the device. There
        // is room for all of it or for nothing.
        send(&self.0, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        Ok(())
    }
}
