// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Passes messages between the front end and the crate vhost-user-backend, which does not have all of
//! them.
//!
//! - It keeps a copy of the socket that [`crate::channel`] needs.
//! - It notes where rings go on, which vhost-user-backend does not pass to a device.
//! - It offers `VHOST_USER_PROTOCOL_F_STATUS` and answers `SET_STATUS` and `GET_STATUS`, for which the
//!   crates have no method.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use vhost::vhost_user::message::VhostUserProtocolFeatures;
use virtio_crypto_device::hooks::Hooks;

use crate::channel::BackChannel;
use crate::framing::{self, number, Framing, Message};
use crate::service::Service;

/// `VHOST_USER_SET_VRING_BASE`
const SET_VRING_BASE: u32 = 10;

/// `VHOST_USER_SET_VRING_KICK`
const SET_VRING_KICK: u32 = 12;

/// `VHOST_USER_GET_PROTOCOL_FEATURES`
const GET_PROTOCOL_FEATURES: u32 = 15;

/// `VHOST_USER_SET_PROTOCOL_FEATURES`
const SET_PROTOCOL_FEATURES: u32 = 16;

/// `VHOST_USER_SET_BACKEND_REQ_FD`
const SET_BACKEND_REQ_FD: u32 = 21;

/// `VHOST_USER_SET_STATUS`
const SET_STATUS: u32 = 39;

/// `VHOST_USER_GET_STATUS`
const GET_STATUS: u32 = 40;

/// Flags of a message: the version, that it is a reply, and that it needs one.
const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// The length of a header, in bytes: request, flags, and the length of the body.
const HEADER_LEN: usize = 12;

/// No message is as long as this.
const FRAMING: Framing = Framing {
    header_len: HEADER_LEN,
    body_len: |header| usize::try_from(number(header, 8)).ok(),
    max_len: 1 << 16,
};

/// The socket of the front end, to which both threads write.
struct Front(Mutex<UnixStream>);

impl Front {
    fn send(&self, message: &Message) -> io::Result<()> {
        framing::send(&self.0.lock().unwrap_or_else(PoisonError::into_inner), message)
    }

    /// Sends a reply that is one number.
    fn reply(&self, request: u32, value: u64) -> io::Result<()> {
        let mut bytes = Vec::new();
        for word in [request, VERSION | REPLY, 8] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(value.to_ne_bytes());
        self.send(&Message { bytes, files: Vec::new() })
    }
}

/// Passes messages on, until one of the two closes its socket.
pub fn start<H: Hooks>(
    service: Arc<Service<H>>,
    front: UnixStream,
    back: UnixStream,
) -> io::Result<()> {
    let to_front = Arc::new(Front(Mutex::new(front.try_clone()?)));
    let (to_front_too, front_too, back_too) =
        (to_front.clone(), front.try_clone()?, back.try_clone()?);
    thread::Builder::new().name("to-front".into()).spawn(move || {
        report(replies(&back_too, &to_front_too));
        close(&front_too, &back_too);
    })?;
    thread::Builder::new().name("to-back".into()).spawn(move || {
        report(requests(&service, &front, &to_front, &back));
        close(&front, &back);
    })?;
    Ok(())
}

fn report(result: io::Result<()>) {
    match result {
        // The other side, or the other thread, has closed the socket.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => tracing::warn!("the connection to the front end ends: {error}"),
        Ok(()) => {}
    }
}

fn close(front: &UnixStream, back: &UnixStream) {
    for socket in [front, back] {
        // It may be closed already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// Returns the number that is the body of a message.
fn value(message: &Message) -> u64 {
    let [low, high] = [HEADER_LEN, HEADER_LEN + 4].map(|at| u64::from(number(&message.bytes, at)));
    if cfg!(target_endian = "big") {
        return high | low << 32;
    }
    low | high << 32
}

/// Changes the number that is the body of a message, if it has one.
fn set_value(message: &mut Message, value: u64) {
    if let Some(body) = message.bytes.get_mut(HEADER_LEN..HEADER_LEN + 8) {
        body.copy_from_slice(&value.to_ne_bytes());
    }
}

fn replies(back: &UnixStream, front: &Front) -> io::Result<()> {
    while let Some(mut message) = framing::receive(back, FRAMING)? {
        if number(&message.bytes, 0) == GET_PROTOCOL_FEATURES {
            let features = value(&message) | VhostUserProtocolFeatures::STATUS.bits();
            set_value(&mut message, features);
        }
        front.send(&message)?;
    }
    Ok(())
}

fn requests<H: Hooks>(
    service: &Service<H>,
    front: &UnixStream,
    to_front: &Front,
    back: &UnixStream,
) -> io::Result<()> {
    let mut status = 0;
    let mut acknowledges = false;
    while let Some(mut message) = framing::receive(front, FRAMING)? {
        let (request, flags) = (number(&message.bytes, 0), number(&message.bytes, 4));
        match (request, message.files.first()) {
            (SET_PROTOCOL_FEATURES, _) => {
                let features = value(&message);
                acknowledges = features & VhostUserProtocolFeatures::REPLY_ACK.bits() != 0;
                set_value(&mut message, features & !VhostUserProtocolFeatures::STATUS.bits());
            }
            (SET_STATUS, _) => {
                status = value(&message) & 0xff;
                if status == 0 {
                    service.clear_status();
                }
                if acknowledges && flags & NEED_REPLY != 0 {
                    to_front.reply(SET_STATUS, 0)?;
                }
                continue;
            }
            (GET_STATUS, _) => {
                to_front.reply(GET_STATUS, status)?;
                continue;
            }
            (SET_BACKEND_REQ_FD, Some(file)) => {
                let socket = UnixStream::from(file.try_clone()?);
                service.channel.set(Some(Arc::new(BackChannel(socket))));
            }
            // The driver does not kick again for what it has put into a ring that was stopped.
            (SET_VRING_KICK, Some(file)) => {
                rustix::io::write(file, &1u64.to_ne_bytes())?;
            }
            // The ring's number, and the place of its next request.
            (SET_VRING_BASE, _) => {
                service.place_ring(number(&message.bytes, 12), number(&message.bytes, 16));
            }
            _ => {}
        }
        framing::send(back, &message)?;
    }
    Ok(())
}
