// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs the daemon: creates a device for each guest, serves front ends, and ends the process.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use virtio_crypto_device::device::Device;
use virtio_crypto_device::log_limit;

use crate::connection::{handle_connection, serve_socket};
use crate::error::Error;
use crate::options::Options;
use crate::service::Service;
use crate::socket::{self, Socket};
use crate::{hardening, metrics, process};

/// Serves all guests. Returns after an error, or if the socket is a connection that was passed as a
/// file descriptor and its front end has disconnected.
pub fn serve(options: &Options) -> Result<i32, Error> {
    process::raise_file_limit();
    hardening::forbid_core_dumps()?;
    hardening::lock_memory();
    log_limit::GUEST.set(options.limits.max_log_lines);
    let mut guests = Vec::new();
    let mut paths = Vec::new();
    if let Some(number) = options.sockets.socket_fd {
        guests.push((create_device(options)?, socket::inherited(number)?));
    } else {
        for guest in 0..options.sockets.socket_count {
            let path = options.sockets.path(guest).ok_or(Error::NoSocket)?;
            guests.push((create_device(options)?, Socket::Listener(socket::bind(&path)?)));
            paths.push(path);
        }
    }
    let services: Vec<_> = guests.iter().map(|(service, _)| service.clone()).collect();
    if let Some(path) = &options.metrics_socket {
        metrics::start(socket::bind(path)?, services.clone())?;
        paths.push(path.clone());
    }
    let sockets = paths.clone();
    process::on_termination(move || terminate(&services, &sockets))?;
    let threads: Vec<_> = guests
        .into_iter()
        .map(|(service, socket)| {
            thread::Builder::new().name("guest".into()).spawn(move || {
                let handle = |front| handle_connection(&service, front);
                serve_socket(&service, &socket, true, handle)
            })
        })
        .collect::<io::Result<_>>()?;
    let mut status = 0;
    for thread in threads {
        // Every join succeeds: `exit_on_panic` ends the process if a thread panics.
        if let Ok(result) = thread.join() {
            status = status.max(result?);
        }
    }
    remove_sockets(&paths);
    Ok(status)
}

fn create_device(options: &Options) -> Result<Arc<Service>, Error> {
    Ok(Arc::new(Service::new(Device::new(options.capabilities(), ()), 0)?))
}

/// Serves the requests that are in the rings, and then ends the process. Called after a signal.
fn terminate(services: &[Arc<Service>], sockets: &[PathBuf]) {
    thread::scope(|scope| {
        for service in services {
            scope.spawn(|| service.drain());
        }
    });
    remove_sockets(sockets);
    std::process::exit(0);
}

fn remove_sockets(sockets: &[PathBuf]) {
    for path in sockets {
        // Another process may already have removed the socket.
        let _ = std::fs::remove_file(path);
    }
}
