// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What a daemon fails with.

use std::io;
use std::path::Path;

use vhost_user_backend::Error as DaemonError;

/// An error of a daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file fails.
    #[error("{0}: {1}")]
    Path(String, io::Error),
    /// The file at a socket's path is not a socket.
    #[error("{0}: there is something that is not a socket")]
    NotSocket(String),
    /// A process listens at the socket.
    #[error("{0}: another process has this socket")]
    InUse(String),
    /// The descriptor is not an open socket.
    #[error("{0}: there is no socket that is open by this number")]
    NoDescriptor(i32),
    /// Neither a path nor a descriptor is given.
    #[error("there is no socket to serve")]
    NoSocket,
    /// An operation of the operating system fails.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// vhost-user-backend fails.
    #[error("{0}")]
    Daemon(DaemonError),
}

/// Names the file that an operation fails for.
pub fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    |error| Error::Path(path, error)
}
