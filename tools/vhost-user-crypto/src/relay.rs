// SPDX-License-Identifier: GPL-2.0
//! Stands between the front end and the crate vhost-user-backend, and hands on what they
//! say; on the way it takes a copy of the socket that [`crate::channel`] needs.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread;

use rustix::net::{
    recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

use crate::service::Service;

/// `VHOST_USER_SET_BACKEND_REQ_FD`
const SET_BACKEND_REQ_FD: u32 = 21;

/// A message's header: request, flags, and the length of what follows.
const HEADER_LEN: usize = 12;

/// More than the longest message there is.
const MAX_LEN: usize = 1 << 16;

/// The most descriptors there are with a message.
const MAX_FILES: usize = 32;

/// A message of the front end's.
struct Message {
    bytes: Vec<u8>,
    files: Vec<OwnedFd>,
}

/// Begins to hand on, until one of the two closes its socket.
pub fn start(service: Arc<Service>, front: UnixStream, back: UnixStream) -> io::Result<()> {
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

fn requests(service: &Service, front: &UnixStream, back: &UnixStream) -> io::Result<()> {
    while let Some(message) = receive(front)? {
        let request = message.bytes.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes));
        if let (Some(SET_BACKEND_REQ_FD), Some(file)) = (request, message.files.first()) {
            service.channel.set(Some(file.try_clone()?.into()));
        }
        match send(back, &message) {
            // It did not like what it was told, and has said so.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            result => result?,
        }
    }
    Ok(())
}

/// A whole message, or `None` if there are no more. Descriptors come with a message's
/// first byte, so that no read must reach beyond a message's end.
fn receive(mut socket: &UnixStream) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; HEADER_LEN];
    let mut files = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut len = 0;
    while len < HEADER_LEN {
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut buffers = [IoSliceMut::new(&mut bytes[len..])];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = match recvmsg(socket, &mut buffers, &mut control, flags) {
            Err(rustix::io::Errno::INTR) => continue,
            Err(rustix::io::Errno::CONNRESET) => return Ok(None),
            received => received?.bytes,
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(rights) = message {
                files.extend(rights);
            }
        }
        match received {
            0 if len == 0 => return Ok(None),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => len += received,
        }
    }
    let body_len = bytes[8..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    if body_len as usize > MAX_LEN {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    bytes.resize(HEADER_LEN + body_len as usize, 0);
    socket.read_exact(&mut bytes[HEADER_LEN..])?;
    Ok(Some(Message { bytes, files }))
}

fn send(mut socket: &UnixStream, message: &Message) -> io::Result<()> {
    let files: Vec<_> = message.files.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !files.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too many descriptors"));
    }
    let sent = loop {
        let bytes = [IoSlice::new(&message.bytes)];
        match sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL) {
            Err(rustix::io::Errno::INTR) => {}
            sent => break sent?,
        }
    };
    socket.write_all(&message.bytes[sent..])
}
