// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The sockets to which front ends connect: at a path, or inherited as an open file descriptor.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::net::sockopt::socket_acceptconn;

use crate::error::{with_path, Error};

/// The source of front ends.
#[derive(Debug)]
pub enum Socket {
    /// A socket that listens. Any number of front ends can connect, one after the other.
    Listener(UnixListener),
    /// A connected socket, for a single front end.
    Connection(UnixStream),
}

impl Socket {
    /// Waits for the next front end and returns its connection.
    pub fn accept(&self) -> io::Result<UnixStream> {
        match self {
            Socket::Listener(listener) => listener.accept().map(|(front, _)| front),
            Socket::Connection(front) => front.try_clone(),
        }
    }

    /// Returns whether another front end can connect after the first.
    pub fn accepts_more(&self) -> bool {
        matches!(self, Socket::Listener(_))
    }
}

/// Takes over an open socket that this process has inherited. An option has its number. Must be
/// called at most once for a number.
pub fn inherited(number: RawFd) -> Result<Socket, Error> {
    let error = || Error::NoDescriptor(number);
    // Standard input, output and error are used by the process itself.
    if number <= libc::STDERR_FILENO {
        return Err(error());
    }
    // SAFETY: `F_SETFD` accesses no memory, and fails if the file descriptor is not open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(error());
    }
    // SAFETY: The file descriptor is open, because `fcntl` has succeeded. This process does not
    // close it before this function returns.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let listens = socket_acceptconn(borrowed).map_err(|_| error())?;
    // SAFETY: The file descriptor is open. Nothing else in this process owns it, because it comes
    // from an option that is evaluated once.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(match listens {
        true => Socket::Listener(socket.into()),
        false => Socket::Connection(socket.into()),
    })
}

/// Listens on a socket at a path. Replaces a stale socket, which has no listener.
pub fn bind(path: &Path) -> Result<UnixListener, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            if has_owner(path).map_err(with_path(path))? {
                return Err(Error::InUse(path.display().to_string()));
            }
            fs::remove_file(path).map_err(with_path(path))?;
        }
        Ok(_) => return Err(Error::NotSocket(path.display().to_string())),
        Err(_) => {}
    }
    UnixListener::bind(path).map_err(with_path(path))
}

/// Returns whether a process has opened the socket at a path.
///
/// Connects a datagram socket, so the owner of a stream socket does not get a connection. The
/// kernel first checks for an owner, and then the type of the socket.
fn has_owner(path: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(path) {
        // The socket has no owner.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        // The socket has an owner, but is not a datagram socket.
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => Ok(true),
        result => result.map(|()| true),
    }
}
