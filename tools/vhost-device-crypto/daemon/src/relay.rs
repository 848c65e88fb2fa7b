// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Stands between the front end and the crate vhost-user-backend, and hands on what they
//! say; on the way it takes a copy of the socket that [`crate::channel`] needs, and of where rings
//! go on, which vhost-user-backend does not tell a device.

use std::io;
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use crate::channel::BackChannel;
use crate::framing::{self, number, Framing};
use crate::service::Service;
use virtio_crypto_device::hooks::Hooks;

/// `VHOST_USER_SET_VRING_BASE`
const SET_VRING_BASE: u32 = 10;

/// `VHOST_USER_SET_VRING_KICK`
const SET_VRING_KICK: u32 = 12;

/// `VHOST_USER_SET_BACKEND_REQ_FD`
const SET_BACKEND_REQ_FD: u32 = 21;

/// A header is request, flags, and the length of what follows. No message is so long.
const FRAMING: Framing = Framing {
    header_len: 12,
    body_len: |header| usize::try_from(number(header, 8)).ok(),
    max_len: 1 << 16,
};

/// Begins to hand on, until one of the two closes its socket.
pub fn start<H: Hooks>(
    service: Arc<Service<H>>,
    front: UnixStream,
    back: UnixStream,
) -> io::Result<()> {
    let (front_too, back_too) = (front.try_clone()?, back.try_clone()?);
    thread::Builder::new().name("to-front".into()).spawn(move || {
        report(answers(&back_too, &front_too));
        close(&front_too, &back_too);
    })?;
    thread::Builder::new().name("to-back".into()).spawn(move || {
        report(requests(&service, &front, &back));
        close(&front, &back);
    })?;
    Ok(())
}

fn report(result: io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!("the connection to the front end ends: {error}");
    }
}

fn close(front: &UnixStream, back: &UnixStream) {
    for socket in [front, back] {
        // It may be closed already.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// No answer of this device's brings descriptors.
fn answers(mut back: &UnixStream, mut front: &UnixStream) -> io::Result<()> {
    match io::copy(&mut back, &mut front) {
        // The front end is gone, as usual, or the other thread has closed its socket.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
        result => result.map(|_| ()),
    }
}

fn requests<H: Hooks>(
    service: &Service<H>,
    front: &UnixStream,
    back: &UnixStream,
) -> io::Result<()> {
    while let Some(message) = framing::receive(front, FRAMING)? {
        match (number(&message.bytes, 0), message.files.first()) {
            (SET_BACKEND_REQ_FD, Some(file)) => {
                let socket = UnixStream::from(file.try_clone()?);
                service.channel.set(Some(Arc::new(BackChannel(socket))));
            }
            // What the driver has put into a ring that was stopped nobody tells of once more.
            (SET_VRING_KICK, Some(file)) => {
                rustix::io::write(file, &1u64.to_ne_bytes())?;
            }
            // The ring's number, and the place of its next request.
            (SET_VRING_BASE, _) => {
                service.place_ring(number(&message.bytes, 12), number(&message.bytes, 16));
            }
            _ => {}
        }
        match framing::send(back, &message) {
            // It did not like what it was told, and has said so.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}
