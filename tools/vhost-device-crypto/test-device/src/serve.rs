// SPDX-License-Identifier: GPL-2.0
//! The process that is the device: listens, serves a front end, and ends.

use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread;

use libc::{c_int, c_void, siginfo_t, SIGINT, SIGTERM};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use vhost::vhost_user::{Error as VhostError, Listener};
use vhost_user_backend::{Error as DaemonError, VhostUserDaemon};
use vm_memory::{GuestMemoryAtomic, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::signal::register_signal_handler;
use vmm_sys_util::tempdir::TempDir;

use crate::backend::Backend;
use crate::device::Device;
use crate::options::Serve;
use crate::protocol::feature;
use crate::service::{FrontEnd, Service, Settings};
use crate::socket::{self, Socket};
use crate::trace::Trace;
use crate::vfio::function::Function;
use crate::vfio::server;
use crate::{hardening, monitor, relay, ticker};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)]
pub enum Error {
    #[error("{0}: {1}")]
    Path(String, io::Error),
    #[error("{0}: there is something that is not a socket")]
    NotSocket(String),
    #[error("{0}: another process has this socket")]
    InUse(String),
    #[error("{0}: there is no socket that is open by this number")]
    NoDescriptor(i32),
    #[error("there is no socket to serve")]
    NoSocket,
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("{0}")]
    Daemon(DaemonError),
    #[error("{0}")]
    Fault(String),
}

/// Serves the device, or as many as there are to be, until all end; returns only if one of them cannot
/// begin.
pub fn serve(options: &Serve) -> Result<(), Error> {
    allow_files();
    if !options.core_dumps {
        hardening::forbid_core_dumps()?;
    }
    let mut given = options.socket_fd.map(socket::given).transpose()?;
    let services = (0..options.socket_count).map(|number| begin(options, number));
    let services = services.collect::<Result<Vec<_>, _>>()?;
    services.iter().for_each(|service| service.share_process(&services));
    end_by_signal(services[0].clone())?;
    let mut devices = Vec::new();
    for (number, service) in services.iter().enumerate() {
        ticker::start(service.clone())?;
        service.ticker.wake();
        if let Some(path) = options.numbered(&options.monitor, number) {
            monitor::start(service.clone(), socket::bind(&path)?)?;
        }
        let function = match options.front_end {
            FrontEnd::VhostUser => None,
            FrontEnd::VfioUser => Some(Function::new(service.clone())?),
        };
        let socket = match (given.take(), options.numbered(&options.socket_path, number)) {
            (Some(given), _) => given,
            (None, Some(path)) => Socket::Listener(socket::bind(&path)?),
            (None, None) => return Err(Error::NoSocket),
        };
        devices.push((service.clone(), function, socket));
    }
    let keep_serving = options.keep_serving;
    let threads: Vec<_> = devices
        .into_iter()
        .map(|(service, function, socket)| {
            thread::Builder::new().name("device".into()).spawn(move || {
                serve_one(&service, function.as_ref(), &socket, keep_serving).unwrap_or_else(
                    |error| {
                        tracing::error!("the device ends: {error}");
                        1
                    },
                )
            })
        })
        .collect::<io::Result<_>>()?;
    // A thread that panics ends the process by itself.
    let status = threads.into_iter().filter_map(|thread| thread.join().ok()).max();
    services[0].finish(status.unwrap_or(1))
}

/// Makes one of the devices.
fn begin(options: &Serve, number: usize) -> Result<Arc<Service>, Error> {
    let trace = match options.numbered(&options.trace, number) {
        Some(path) => Trace::new(Box::new(fs::File::create(&path).map_err(at(&path))?)),
        None => Trace::default(),
    };
    let offer = options.offer();
    if !feature::consistent(offer.features) {
        tracing::warn!("stateless modes are offered without revision-1, which they need");
    }
    let sockets = [&options.monitor, &options.socket_path];
    let settings = Settings {
        front_end: options.front_end,
        report: options.numbered(&options.report, number),
        sockets: sockets.iter().filter_map(|path| options.numbered(path, number)).collect(),
        without: options.without(),
        function: options.function(),
    };
    let device = Device::new(offer, trace);
    device.set_ready(!options.not_ready);
    for fault in &options.faults {
        settings.check(fault).map_err(Error::Fault)?;
        device.faults.add(fault.clone());
    }
    Ok(Service::new(device, settings)?)
}

/// Serves one device's front ends, one after the other; returns how that has ended, as a process does.
fn serve_one(
    service: &Arc<Service>,
    function: Option<&Arc<Function>>,
    socket: &Socket,
    keep_serving: bool,
) -> io::Result<i32> {
    loop {
        let front = socket.accept()?;
        tracing::info!("a front end has connected");
        let result = match function {
            None => converse(service, front),
            Some(function) => server::converse(function, front).map_err(Error::Io),
        };
        match &result {
            Ok(()) => tracing::info!("the front end has disconnected"),
            Err(error) => tracing::error!("the connection to the front end ends: {error}"),
        }
        service.release();
        if !keep_serving || !socket.has_more() {
            return Ok(i32::from(result.is_err()));
        }
        service.device.start(0);
        service.features.store(0, Ordering::SeqCst);
    }
}

/// Serves one front end of vhost-user until it is gone.
pub fn converse(service: &Arc<Service>, front: UnixStream) -> Result<(), Error> {
    let memory = GuestMemoryAtomic::new(GuestMemoryMmap::new());
    let backend = Backend::new(service.clone(), memory.clone());
    let name = "vhost-user".to_string();
    let mut daemon = VhostUserDaemon::new(name, backend.clone(), memory).map_err(Error::Daemon)?;
    backend.employ(&daemon.get_epoll_handlers())?;
    // The daemon takes no socket that is connected already, so it gets one to listen at,
    // in a directory that nobody else can enter.
    let directory = TempDir::new_with_prefix(std::env::temp_dir().join("crypto-test-device-"));
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
        queue.dismiss();
    }
    match result {
        Ok(())
        | Err(DaemonError::HandleRequest(VhostError::Disconnected | VhostError::PartialMessage)) => {
            Ok(())
        }
        Err(error) => Err(Error::Daemon(error)),
    }
}

/// Each ring needs about ten descriptors, and vhost-user-backend does not give all of them
/// back when a front end disconnects.
fn allow_files() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    if let Err(error) = raised {
        tracing::warn!("there may be too few file descriptors: {error}");
    }
}

pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.display().to_string();
    |error| Error::Path(path, error)
}

/// Written to by the signal handler.
static SIGNAL: OnceLock<EventFd> = OnceLock::new();

extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    if let Some(event) = SIGNAL.get() {
        // There is nobody to tell if it fails.
        let _ = event.write(1);
    }
}

/// SIGTERM and SIGINT end the process as if the front end were gone.
fn end_by_signal(service: Arc<Service>) -> Result<(), Error> {
    let event = EventFd::new(libc::EFD_CLOEXEC)?;
    let for_handler = event.try_clone()?;
    SIGNAL.get_or_init(|| for_handler);
    let wait = move || loop {
        match event.read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => service.finish(0),
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    for signal in [SIGTERM, SIGINT] {
        register_signal_handler(signal, on_signal).map_err(io::Error::from)?;
    }
    Ok(())
}
