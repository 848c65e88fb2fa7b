// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Messages of a front end over a unix socket: a header, a body, and file descriptors.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    recvmsg, sendmsg, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};

/// The most descriptors there are with a message.
const MAX_FILES: usize = 32;

/// How the messages of a protocol are told apart.
#[derive(Clone, Copy)]
pub struct Framing {
    /// The length of a header, in bytes.
    pub header_len: usize,
    /// The length of what follows this header; `None` if it cannot be.
    pub body_len: fn(&[u8]) -> Option<usize>,
    /// The most bytes that may follow a header.
    pub max_len: usize,
}

/// A message.
pub struct Message {
    /// Its header and body.
    pub bytes: Vec<u8>,
    /// Its file descriptors.
    pub files: Vec<OwnedFd>,
}

/// The number at this place of a message, in the machine's own order; 0 beyond the end.
pub fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// A whole message, or `None` if there are no more. Descriptors come with a message's
/// first byte, so that no read must reach beyond a message's end.
pub fn receive(mut socket: &UnixStream, framing: Framing) -> io::Result<Option<Message>> {
    let mut bytes = vec![0; framing.header_len];
    let mut files = Vec::new();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FILES))];
    let mut len = 0;
    while len < framing.header_len {
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
    let bad = || io::Error::new(io::ErrorKind::InvalidData, "a message has a bad length");
    let body_len = (framing.body_len)(&bytes).ok_or_else(bad)?;
    if body_len > framing.max_len {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message is too long"));
    }
    bytes.resize(framing.header_len + body_len, 0);
    socket.read_exact(&mut bytes[framing.header_len..])?;
    Ok(Some(Message { bytes, files }))
}

/// Sends a message.
pub fn send(mut socket: &UnixStream, message: &Message) -> io::Result<()> {
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
