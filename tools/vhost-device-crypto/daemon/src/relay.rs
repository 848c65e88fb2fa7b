// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Passes messages between the front end and the crate vhost-user-backend. Serves the messages that
//! the crates vhost and vhost-user-backend do not support. The relay
//!
//! - copies the socket of the back-end channel for [`crate::channel`],
//! - reads the index at which a ring starts, because vhost-user-backend does not pass it to a
//!   device,
//! - offers `VHOST_USER_PROTOCOL_F_STATUS`, and serves `SET_STATUS` and `GET_STATUS`,
//! - offers `VHOST_USER_PROTOCOL_F_CRYPTO_SESSION`, and serves its messages; see
//!   [`crate::session_message`].
//!
//! QEMU's `cryptodev-vhost-user` sends the messages for sessions. QEMU then serves the control
//! queue itself, does not send the features of the driver, and does not enable rings. The relay
//! recognizes this front end by its features: the protocol feature is set, and
//! `VIRTIO_F_VERSION_1`, which every driver of a crypto device accepts, is not. For this front end
//! the relay
//!
//! - enables each ring when the front end sets its kick,
//! - lets vhost-user-backend serve the ring with `VIRTIO_RING_F_EVENT_IDX`. A driver that has not
//!   accepted this feature ignores the event index that the device writes. Whether a driver needs a
//!   notification is decided by its flags, which are valid in both cases; see [`Split::by_flags`].
//!
//! [`Split::by_flags`]: virtio_crypto_device::ring::split::Split::by_flags

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use vhost::vhost_user::message::VhostUserProtocolFeatures;
use virtio_bindings::bindings::virtio_config::VIRTIO_F_VERSION_1;
use virtio_crypto_device::hooks::Hooks;
use zeroize::Zeroize;

use crate::backend::EVENT_IDX;
use crate::channel::BackChannel;
use crate::framing::{self, number, Framing, Message};
use crate::service::Service;
use crate::session_message;

/// `VHOST_USER_SET_FEATURES`
const SET_FEATURES: u32 = 2;

/// `VHOST_USER_SET_VRING_BASE`
const SET_VRING_BASE: u32 = 10;

/// `VHOST_USER_SET_VRING_KICK`
const SET_VRING_KICK: u32 = 12;

/// `VHOST_USER_GET_PROTOCOL_FEATURES`
const GET_PROTOCOL_FEATURES: u32 = 15;

/// `VHOST_USER_SET_PROTOCOL_FEATURES`
const SET_PROTOCOL_FEATURES: u32 = 16;

/// `VHOST_USER_SET_VRING_ENABLE`
const SET_VRING_ENABLE: u32 = 18;

/// `VHOST_USER_SET_BACKEND_REQ_FD`
const SET_BACKEND_REQ_FD: u32 = 21;

/// `VHOST_USER_SET_STATUS`
const SET_STATUS: u32 = 39;

/// `VHOST_USER_GET_STATUS`
const GET_STATUS: u32 = 40;

/// Flags of a message: the version, is a reply, and requires a reply.
const VERSION: u32 = 1;
const REPLY: u32 = 1 << 2;
const NEED_REPLY: u32 = 1 << 3;

/// Length of a header, in bytes. A header has the request, the flags, and the length of the body.
const HEADER_LEN: usize = 12;

const FRAMING: Framing = Framing {
    header_len: HEADER_LEN,
    body_len: |header| usize::try_from(number(header, 8)).ok(),
    // All messages of vhost-user are shorter.
    max_len: 1 << 16,
};

/// The socket of the front end. Both threads of the relay write to it.
struct Front(Mutex<UnixStream>);

impl Front {
    fn send(&self, message: &Message) -> io::Result<()> {
        framing::send(&self.0.lock().unwrap_or_else(PoisonError::into_inner), message)
    }

    /// Sends a reply.
    fn reply(&self, request: u32, body: &[u8]) -> io::Result<()> {
        self.send(&message(request, REPLY, body))
    }
}

fn message(request: u32, flags: u32, body: &[u8]) -> Message {
    let mut bytes = Vec::with_capacity(HEADER_LEN + body.len());
    for word in [request, VERSION | flags, body.len() as u32] {
        bytes.extend(word.to_ne_bytes());
    }
    bytes.extend(body);
    Message { bytes, files: Vec::new() }
}

/// Protocol features that the relay implements, and vhost-user-backend does not support.
const RELAY_FEATURES: u64 = VhostUserProtocolFeatures::STATUS.bits() | session_message::FEATURE;

/// Starts two threads that pass messages between `front` and `back` until one side closes its
/// socket.
pub fn start<H: Hooks>(
    service: Arc<Service<H>>,
    front: UnixStream,
    back: UnixStream,
) -> io::Result<()> {
    let to_front = Arc::new(Front(Mutex::new(front.try_clone()?)));
    let replies = (to_front.clone(), front.try_clone()?, back.try_clone()?);
    thread::Builder::new().name("to-front".into()).spawn(move || {
        let (to_front, front, back) = replies;
        log_error(relay_replies(&back, &to_front));
        close_both(&front, &back);
    })?;
    thread::Builder::new().name("to-back".into()).spawn(move || {
        log_error(relay_requests(&service, &front, &to_front, &back));
        close_both(&front, &back);
    })?;
    Ok(())
}

fn log_error(result: io::Result<()>) {
    match result {
        // The front end, vhost-user-backend or the other thread has closed the socket.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(error) => tracing::warn!("closing the connection to the front end: {error}"),
        Ok(()) => {}
    }
}

fn close_both(front: &UnixStream, back: &UnixStream) {
    for socket in [front, back] {
        // This fails if the socket is already closed.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// Returns the 64-bit number at the start of a message's body.
fn value(message: &Message) -> u64 {
    let [low, high] = [HEADER_LEN, HEADER_LEN + 4].map(|at| u64::from(number(&message.bytes, at)));
    if cfg!(target_endian = "big") {
        return high | low << 32;
    }
    low | high << 32
}

/// Replaces the 64-bit number at the start of a message's body, if the body is long enough.
fn set_value(message: &mut Message, value: u64) {
    if let Some(body) = message.bytes.get_mut(HEADER_LEN..HEADER_LEN + 8) {
        body.copy_from_slice(&value.to_ne_bytes());
    }
}

/// Passes messages from vhost-user-backend to the front end.
fn relay_replies(back: &UnixStream, front: &Front) -> io::Result<()> {
    while let Some(mut message) = framing::receive(back, FRAMING)? {
        if number(&message.bytes, 0) == GET_PROTOCOL_FEATURES {
            let features = value(&message) | RELAY_FEATURES;
            set_value(&mut message, features);
        }
        front.send(&message)?;
    }
    Ok(())
}

/// Passes messages from the front end to vhost-user-backend, or serves them.
fn relay_requests<H: Hooks>(
    service: &Service<H>,
    front: &UnixStream,
    to_front: &Front,
    back: &UnixStream,
) -> io::Result<()> {
    let mut status = 0;
    let mut protocol = 0;
    while let Some(mut message) = framing::receive(front, FRAMING)? {
        let (request, flags) = (number(&message.bytes, 0), number(&message.bytes, 4));
        let reply_ack = protocol & VhostUserProtocolFeatures::REPLY_ACK.bits() != 0;
        let acknowledge = || match reply_ack && flags & NEED_REPLY != 0 {
            true => to_front.reply(request, &0u64.to_ne_bytes()),
            false => Ok(()),
        };
        match (request, message.files.first()) {
            (SET_PROTOCOL_FEATURES, _) => {
                protocol = value(&message);
                set_value(&mut message, protocol & !RELAY_FEATURES);
            }
            (SET_FEATURES, _) => {
                let features = value(&message);
                let by_message = protocol & session_message::FEATURE != 0
                    && features & 1 << VIRTIO_F_VERSION_1 == 0;
                service.has_sessions_by_message.store(by_message, Ordering::SeqCst);
                if by_message {
                    set_value(&mut message, features | EVENT_IDX & !service.withheld);
                }
            }
            (session_message::CREATE | session_message::CLOSE, _) => {
                let reply = session_reply(service, protocol, request, &message);
                // A CREATE contains keys.
                message.bytes.zeroize();
                match reply? {
                    Some(body) => to_front.reply(request, &body)?,
                    None => acknowledge()?,
                }
                continue;
            }
            (SET_STATUS, _) => {
                status = value(&message) & 0xff;
                if status == 0 {
                    service.clear_status();
                }
                acknowledge()?;
                continue;
            }
            (GET_STATUS, _) => {
                to_front.reply(GET_STATUS, &status.to_ne_bytes())?;
                continue;
            }
            (SET_BACKEND_REQ_FD, Some(file)) => {
                let socket = UnixStream::from(file.try_clone()?);
                service.channel.set(Some(Arc::new(BackChannel(socket))));
            }
            (SET_VRING_KICK, Some(file)) => {
                // Kick the ring. The driver may have added requests while the ring was stopped, and
                // does not kick again for these.
                rustix::io::write(file, &1u64.to_ne_bytes())?;
                if service.has_sessions_by_message.load(Ordering::SeqCst) {
                    let ring = number(&message.bytes, HEADER_LEN) & 0xff;
                    framing::send(back, &enable_message(ring))?;
                }
            }
            // The body has the number of the ring and the index of its next request.
            (SET_VRING_BASE, _) => {
                service.place_ring(number(&message.bytes, 12), number(&message.bytes, 16));
            }
            _ => {}
        }
        framing::send(back, &message)?;
    }
    Ok(())
}

/// Returns the message that enables a ring.
fn enable_message(ring: u32) -> Message {
    let body = [ring, 1].map(u32::to_ne_bytes).concat();
    message(SET_VRING_ENABLE, 0, &body)
}

/// Serves a message that creates or closes a session. Returns the body of the reply to a CREATE.
fn session_reply<H: Hooks>(
    service: &Service<H>,
    protocol: u64,
    request: u32,
    message: &Message,
) -> io::Result<Option<Vec<u8>>> {
    let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
    if protocol & session_message::FEATURE == 0 {
        return Err(invalid("session message without the protocol feature"));
    }
    let body = message.bytes.get(HEADER_LEN..).unwrap_or_default();
    let error = || invalid("session message with an invalid length");
    match request {
        session_message::CREATE => {
            session_message::create(&service.device, body).map(Some).ok_or_else(error)
        }
        _ => session_message::close(&service.device, body).then_some(None).ok_or_else(error),
    }
}
