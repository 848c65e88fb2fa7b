// SPDX-License-Identifier: GPL-2.0
//! Runs the process of the test device: opens sockets, serves front ends, and exits.

use std::fs;
use std::io;
use std::sync::Arc;
use std::thread;

use vhost_device_crypto::connection::{handle_connection, serve_socket};
use vhost_device_crypto::error::{with_path, Error as DaemonError};
use vhost_device_crypto::socket::{self, Socket};
use vhost_device_crypto::{hardening, process};
use virtio_crypto_device::protocol::feature;

use crate::instrument;
use crate::options::Serve;
use crate::test_device::{FrontEnd, Settings, TestDevice};
use crate::trace::Trace;
use crate::vfio::function::Function;
use crate::vfio::server;
use crate::{monitor, periodic_faults};

/// An error of the process.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of code shared with the daemon.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A system call failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A fault is invalid.
    #[error("{0}")]
    Fault(String),
}

/// Serves the devices until all have ended, and then exits. Returns only if a device cannot start.
pub fn serve(options: &Serve) -> Result<(), Error> {
    process::raise_file_limit();
    if !options.core_dumps {
        hardening::forbid_core_dumps()?;
    }
    let mut inherited = options.socket_fd.map(socket::inherited).transpose()?;
    let devices = (0..options.socket_count).map(|number| create_device(options, number));
    let devices = devices.collect::<Result<Vec<_>, _>>()?;
    // The devices end together: `finish` of any device cleans up all of them.
    devices.iter().for_each(|device| device.share_process(&devices));
    let first = devices[0].clone();
    process::on_termination(move || first.finish(0))?;
    // Each device, its PCI function for vfio-user, and the socket for its front end.
    let mut endpoints = Vec::new();
    for (number, device) in devices.iter().enumerate() {
        periodic_faults::start(device.clone())?;
        device.wakeup.wake();
        if let Some(path) = options.numbered(&options.monitor, number) {
            monitor::start(device.clone(), socket::bind(&path)?)?;
        }
        let function = match options.front_end {
            FrontEnd::VhostUser => None,
            FrontEnd::VfioUser => Some(Function::new(device.clone())?),
        };
        let socket = match (inherited.take(), options.numbered(&options.socket_path, number)) {
            (Some(inherited), _) => inherited,
            (None, Some(path)) => Socket::Listener(socket::bind(&path)?),
            (None, None) => return Err(DaemonError::NoSocket.into()),
        };
        endpoints.push((device.clone(), function, socket));
    }
    let keep_serving = options.keep_serving;
    let threads: Vec<_> = endpoints
        .into_iter()
        .map(|(device, function, socket)| {
            thread::Builder::new().name("device".into()).spawn(move || {
                let service = &device.service;
                let status =
                    serve_socket(service, &socket, keep_serving, |front| match &function {
                        None => handle_connection(service, front),
                        Some(function) => Ok(server::handle_connection(function, front)?),
                    });
                status.unwrap_or_else(|error| {
                    tracing::error!("serving failed: {error}");
                    1
                })
            })
        })
        .collect::<io::Result<_>>()?;
    // Every join succeeds: `exit_on_panic` ends the process if a thread panics.
    let status = threads.into_iter().filter_map(|thread| thread.join().ok()).max();
    devices[0].finish(status.unwrap_or(1))
}

/// Creates a device with its settings and the faults of the command line.
fn create_device(options: &Serve, number: usize) -> Result<Arc<TestDevice>, Error> {
    let trace = match options.numbered(&options.trace, number) {
        Some(path) => Trace::new(Box::new(fs::File::create(&path).map_err(with_path(&path))?)),
        None => Trace::default(),
    };
    let capabilities = options.capabilities();
    if !feature::consistent(capabilities.features) {
        tracing::warn!("stateless modes are offered without revision-1, which they require");
    }
    let sockets = [&options.monitor, &options.socket_path];
    let settings = Settings {
        front_end: options.front_end,
        report: options.numbered(&options.report, number),
        sockets: sockets.iter().filter_map(|path| options.numbered(path, number)).collect(),
        withheld_features: options.withheld_features(),
        function: options.function_settings(),
    };
    let device = instrument::device(capabilities, trace);
    device.set_ready(!options.not_ready);
    for fault in &options.faults {
        settings.check(fault).map_err(Error::Fault)?;
        device.hooks.faults.add(fault.clone());
    }
    Ok(TestDevice::new(device, settings)?)
}
