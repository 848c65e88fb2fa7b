// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Passes messages between the front end and the crate vhost-user-backend, which does not have all of
//! them.
//!
//! - It keeps a copy of the socket that [`crate::channel`] needs.
//! - It notes where rings go on, which vhost-user-backend does not pass to a device.
//! - It offers `VHOST_USER_PROTOCOL_F_STATUS` and answers `SET_STATUS` and `GET_STATUS`, for which the
//!   crates have no method.
//! - It offers `VHOST_USER_PROTOCOL_F_CRYPTO_SESSION` and serves its messages, for which the crates have no
//!   method, too: see [`crate::session_message`].
//!
//! QEMU's `cryptodev-vhost-user` sends these messages. It has the control queue, keeps the driver's
//! features to itself, and enables no ring. Without `VIRTIO_F_VERSION_1`, which no driver of a crypto device
//! can do without, a front end is taken for this one. Then each ring is enabled with its kick, and is
//! served as if the driver had accepted `VIRTIO_RING_F_EVENT_IDX`, which is right for one that has not, too:
//! the index has a place in every used ring, and the driver's notifications depend on its flags.

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

/// Features of the protocol that vhost-user-backend does not know of.
const OWN_FEATURES: u64 = VhostUserProtocolFeatures::STATUS.bits() | session_message::FEATURE;

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
            let features = value(&message) | OWN_FEATURES;
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
    let mut protocol = 0;
    while let Some(mut message) = framing::receive(front, FRAMING)? {
        let (request, flags) = (number(&message.bytes, 0), number(&message.bytes, 4));
        let acknowledges = protocol & VhostUserProtocolFeatures::REPLY_ACK.bits() != 0;
        let acknowledge = || match acknowledges && flags & NEED_REPLY != 0 {
            true => to_front.reply(request, &0u64.to_ne_bytes()),
            false => Ok(()),
        };
        match (request, message.files.first()) {
            (SET_PROTOCOL_FEATURES, _) => {
                protocol = value(&message);
                set_value(&mut message, protocol & !OWN_FEATURES);
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
                // There may be keys in it.
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
            // The driver does not kick again for what it has put into a ring that was stopped.
            (SET_VRING_KICK, Some(file)) => {
                rustix::io::write(file, &1u64.to_ne_bytes())?;
                if service.has_sessions_by_message.load(Ordering::SeqCst) {
                    framing::send(back, &enable(number(&message.bytes, HEADER_LEN) & 0xff))?;
                }
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

/// The message that enables a ring.
fn enable(ring: u32) -> Message {
    let body = [ring, 1].map(u32::to_ne_bytes).concat();
    message(SET_VRING_ENABLE, 0, &body)
}

/// Serves a message about a session. Returns the body of its reply, if it has one.
fn session_reply<H: Hooks>(
    service: &Service<H>,
    protocol: u64,
    request: u32,
    message: &Message,
) -> io::Result<Option<Vec<u8>>> {
    let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
    if protocol & session_message::FEATURE == 0 {
        return Err(invalid("a message about a session was not negotiated"));
    }
    let body = message.bytes.get(HEADER_LEN..).unwrap_or_default();
    let bad = || invalid("a message about a session has a bad length");
    match request {
        session_message::CREATE => {
            session_message::create(&service.device, body).map(Some).ok_or_else(bad)
        }
        _ => session_message::close(&service.device, body).then_some(None).ok_or_else(bad),
    }
}
