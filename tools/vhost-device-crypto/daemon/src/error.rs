// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Errors of a daemon.

use std::io;
use std::path::Path;

use vhost_user_backend::Error as DaemonError;

/// An error of a daemon.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An operation on a file failed.
    #[error("{0}: {1}")]
    Path(String, io::Error),
    /// The file at a socket's path is not a socket.
    #[error("{0}: this file is not a socket")]
    NotSocket(String),
    /// Another process listens on the socket.
    #[error("{0}: another process listens on this socket")]
    InUse(String),
    /// The file descriptor is not an open socket.
    #[error("{0}: this file descriptor is not an open socket")]
    NoDescriptor(i32),
    /// The command line has neither a path nor a file descriptor.
    #[error("no socket is given")]
    NoSocket,
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// vhost-user-backend returned an error.
    #[error("{0}")]
    Daemon(DaemonError),
}

/// Adds the path of the file to an I/O error.
pub fn with_path(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    |error| Error::Path(path, error)
}
