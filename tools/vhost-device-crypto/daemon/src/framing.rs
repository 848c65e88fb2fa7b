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

/// Maximum number of file descriptors of a message.
const MAX_FILES: usize = 32;

/// The message format of a protocol: a header of fixed length, and a body.
#[derive(Clone, Copy)]
pub struct Framing {
    /// Length of a header, in bytes.
    pub header_len: usize,
    /// Returns the length of the body that follows this header, or `None` if the header is invalid.
    pub body_len: fn(&[u8]) -> Option<usize>,
    /// Maximum length of a body, in bytes.
    pub max_len: usize,
}

/// A message.
pub struct Message {
    /// Header and body.
    pub bytes: Vec<u8>,
    /// The file descriptors.
    pub files: Vec<OwnedFd>,
}

/// Returns the 32-bit number at an offset of a message, in native byte order. Returns 0 if the
/// number is not completely in the message.
pub fn number(bytes: &[u8], at: usize) -> u32 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk());
    bytes.map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// Receives a message. Returns `None` if the sender has closed the connection. File descriptors
/// belong to the first byte of a message, so no read may extend into the next message.
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
    let invalid = |text| io::Error::new(io::ErrorKind::InvalidData, text);
    let body_len = (framing.body_len)(&bytes).ok_or_else(|| invalid("invalid message length"))?;
    if body_len > framing.max_len {
        return Err(invalid("message too long"));
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
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too many file descriptors"));
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
