// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Sockets that a front end connects to: at a path, or open already.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use rustix::net::sockopt::socket_acceptconn;

use crate::error::{at, Error};

/// Where front ends come from.
#[derive(Debug)]
pub enum Socket {
    /// A socket that they connect to.
    Listener(UnixListener),
    /// The connection to the only one.
    Connection(UnixStream),
}

impl Socket {
    /// The next front end.
    pub fn accept(&self) -> io::Result<UnixStream> {
        match self {
            Socket::Listener(listener) => listener.accept().map(|(front, _)| front),
            Socket::Connection(front) => front.try_clone(),
        }
    }

    /// Whether there may be another one.
    pub fn has_more(&self) -> bool {
        matches!(self, Socket::Listener(_))
    }
}

/// Takes a socket that whoever has started the process has left open for it.
pub fn inherited(number: RawFd) -> Result<Socket, Error> {
    let bad = || Error::NoDescriptor(number);
    // The first three are the process's own, whatever they are.
    if number <= libc::STDERR_FILENO {
        return Err(bad());
    }
    // SAFETY: The call is about a number, which need not be that of anything open.
    if unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) } != 0 {
        return Err(bad());
    }
    // SAFETY: It is open, as the last call has succeeded, and nothing closes it before this returns.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let listens = socket_acceptconn(borrowed).map_err(|_| bad())?;
    // SAFETY: It is open, and was left to this process by an option that is looked at once.
    let socket = unsafe { OwnedFd::from_raw_fd(number) };
    Ok(match listens {
        true => Socket::Listener(socket.into()),
        false => Socket::Connection(socket.into()),
    })
}

/// Listens at a path, where there may be a socket that nobody listens at any more.
pub fn bind(path: &Path) -> Result<UnixListener, Error> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.file_type().is_socket() => {
            if is_in_use(path).map_err(at(path))? {
                return Err(Error::InUse(path.display().to_string()));
            }
            fs::remove_file(path).map_err(at(path))?;
        }
        Ok(_) => return Err(Error::NotSocket(path.display().to_string())),
        Err(_) => {}
    }
    UnixListener::bind(path).map_err(at(path))
}

/// Whether somebody has a socket open that is at a path. A datagram does not go to one for
/// connections, whose owner hears nothing of this; it only matters that there is one.
fn is_in_use(path: &Path) -> io::Result<bool> {
    match UnixDatagram::unbound()?.connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(false),
        Err(error) if error.raw_os_error() == Some(libc::EPROTOTYPE) => Ok(true),
        result => result.map(|()| true),
    }
}
