// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! What concerns the process as a whole: limits and signals.

use std::io;
use std::sync::OnceLock;
use std::thread;

use libc::{c_int, c_void, siginfo_t, SIGINT, SIGTERM};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::signal::register_signal_handler;

/// The exit status of a program that panics, whichever of its threads does.
const PANICKED: i32 = 101;

/// Ends the process when one of its threads panics: a device without that thread hangs its guest.
pub fn exit_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(PANICKED)
    }));
}

/// Raises the limit of open files. Each ring needs about ten, and vhost-user-backend does not close all
/// of them when a front end disconnects.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    if let Err(error) = raised {
        tracing::warn!("there may be too few file descriptors: {error}");
    }
}

/// Written to by the signal handler.
static SIGNAL: OnceLock<EventFd> = OnceLock::new();

extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    if let Some(event) = SIGNAL.get() {
        // A signal handler cannot report a failure.
        let _ = event.write(1);
    }
}

/// Calls `end` in a thread of its own at the first SIGTERM or SIGINT.
pub fn on_termination(end: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let event = EventFd::new(libc::EFD_CLOEXEC)?;
    let for_handler = event.try_clone()?;
    SIGNAL.get_or_init(|| for_handler);
    let wait = move || loop {
        match event.read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return end(),
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    for signal in [SIGTERM, SIGINT] {
        register_signal_handler(signal, on_signal).map_err(io::Error::from)?;
    }
    Ok(())
}
