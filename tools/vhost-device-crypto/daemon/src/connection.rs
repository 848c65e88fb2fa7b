// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Serves vhost-user front ends.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::Arc;

use vhost::vhost_user::{Error as VhostError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserDaemon};
use virtio_crypto_device::hooks::Hooks;
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::tempdir::TempDir;

use crate::backend::Backend;
use crate::error::Error;
use crate::relay;
use crate::service::Service;
use crate::socket::Socket;

/// Serves one front end until it disconnects.
pub fn handle_connection<H: Hooks>(
    service: &Arc<Service<H>>,
    front: UnixStream,
) -> Result<(), Error> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let backend = Backend::new(service.clone(), memory.clone());
    let name = "vhost-user".to_string();
    let mut daemon = VhostUserDaemon::new(name, backend.clone(), memory).map_err(Error::Daemon)?;
    backend.attach_workers(&daemon.get_epoll_handlers())?;
    // `VhostUserDaemon` only accepts a socket that listens. Create one in a directory that only
    // this user can enter, and connect to it. The relay passes messages between the two
    // connections.
    let directory = TempDir::new_with_prefix(std::env::temp_dir().join("vhost-device-crypto-"));
    let directory = directory.map_err(io::Error::from)?;
    let path = directory.as_path().join("socket");
    let mut listener = Listener::new(&path, false).map_err(io::Error::from)?;
    let back = UnixStream::connect(&path)?;
    daemon.start(&mut listener).map_err(Error::Daemon)?;
    drop((listener, directory));
    service.connected.store(true, Ordering::SeqCst);
    relay::start(service.clone(), front, back)?;
    let result = daemon.wait();
    service.connected.store(false, Ordering::SeqCst);
    service.channel.set(None);
    for queue in &service.queues {
        queue.detach_worker();
    }
    match result {
        Ok(())
        | Err(DaemonError::HandleRequest(VhostError::Disconnected | VhostError::PartialMessage)) => {
            Ok(())
        }
        Err(error) => Err(Error::Daemon(error)),
    }
}

/// Serves the front ends of a socket with `handle`, one after the other. If `keep_serving` is
/// false, serves only the first. Returns the exit status of the process.
pub fn serve_socket<H: Hooks>(
    service: &Service<H>,
    socket: &Socket,
    keep_serving: bool,
    handle: impl Fn(UnixStream) -> Result<(), Error>,
) -> io::Result<i32> {
    loop {
        let front = socket.accept()?;
        tracing::info!("front end connected");
        let result = handle(front);
        match &result {
            Ok(()) => tracing::info!("front end disconnected"),
            Err(error) => tracing::error!("connection to the front end failed: {error}"),
        }
        service.release();
        if !keep_serving || !socket.accepts_more() {
            return Ok(i32::from(result.is_err()));
        }
        service.restart();
    }
}
