// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The channel by which the device sends notifications to the front end.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::net::{send, SendFlags};

/// A front end that can be notified. The caller may be the worker of a queue. The methods therefore
/// do not wait for the driver or the front end, and take no lock of a queue.
pub trait FrontEnd: Send + Sync {
    /// Notifies the driver that the configuration has changed.
    fn config_change(&self) -> io::Result<()>;
}

/// The connected front end, if it accepts notifications, and a counter of notifications.
#[derive(Default)]
pub struct Channel {
    front: Mutex<Option<Arc<dyn FrontEnd>>>,
    config_changes: AtomicU64,
}

impl Channel {
    /// Sets the front end, or `None` after it has disconnected.
    pub fn set(&self, front: Option<Arc<dyn FrontEnd>>) {
        *self.front.lock().unwrap_or_else(PoisonError::into_inner) = front;
    }

    /// Returns the front end, or an error if none accepts notifications.
    pub fn front(&self) -> io::Result<Arc<dyn FrontEnd>> {
        let front = self.front.lock().unwrap_or_else(PoisonError::into_inner).clone();
        front.ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotConnected, "no channel to the front end")
        })
    }

    /// Sends a config change notification.
    pub fn config_change(&self) -> io::Result<()> {
        self.front()?.config_change()?;
        self.config_changes.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Returns the number of config change notifications sent.
    pub fn config_changes(&self) -> u64 {
        self.config_changes.load(Ordering::Relaxed)
    }
}

/// The back-end channel of vhost-user: a socket for messages from the device to the front end.
///
/// The crate vhost receives this socket, but cannot send the config change message. The module
/// `relay` therefore makes a copy of the socket, and this type sends the message.
pub struct BackChannel(pub UnixStream);

/// `VHOST_USER_BACKEND_CONFIG_CHANGE_MSG`
const CONFIG_CHANGE: u32 = 2;

/// Flags of the message: version 1, no reply required.
const FLAGS: u32 = 1;

impl FrontEnd for BackChannel {
    fn config_change(&self) -> io::Result<()> {
        let mut message = [0; 12];
        message[..4].copy_from_slice(&CONFIG_CHANGE.to_ne_bytes());
        message[4..8].copy_from_slice(&FLAGS.to_ne_bytes());
        // Do not wait. A front end that does not read must not stop the device. A full socket
        // rejects the whole message.
        send(&self.0, &message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
        Ok(())
    }
}
