// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Panics, limits and signals of the process.

use std::io;
use std::sync::OnceLock;
use std::thread;

use libc::{c_int, c_void, siginfo_t, SIGINT, SIGTERM};
use rustix::process::{getrlimit, setrlimit, Resource, Rlimit};
use vmm_sys_util::eventfd::EventFd;
use vmm_sys_util::signal::register_signal_handler;

/// Exit status after a panic, the same as that of the Rust runtime.
const PANIC_STATUS: i32 = 101;

/// Ends the process when one of its threads panics. A device that lacks a thread would hang its
/// guest.
pub fn exit_on_panic() {
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        print(panic);
        std::process::exit(PANIC_STATUS)
    }));
}

/// Raises the soft limit of open files to the hard limit. Each ring needs about ten files, and
/// vhost-user-backend does not close all of them when a front end disconnects.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum;
    let raised = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    if let Err(error) = raised {
        tracing::warn!("raising the limit of open files failed: {error}");
    }
}

/// The eventfd that the signal handler writes.
static SIGNAL: OnceLock<EventFd> = OnceLock::new();

extern "C" fn on_signal(_: c_int, _: *mut siginfo_t, _: *mut c_void) {
    if let Some(event) = SIGNAL.get() {
        // A signal handler cannot report an error.
        let _ = event.write(1);
    }
}

/// Calls `terminate` in a separate thread at the first SIGTERM or SIGINT.
pub fn on_termination(terminate: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let event = EventFd::new(libc::EFD_CLOEXEC)?;
    let handler_event = event.try_clone()?;
    SIGNAL.get_or_init(|| handler_event);
    let wait = move || loop {
        match event.read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => return terminate(),
        }
    };
    thread::Builder::new().name("signals".into()).spawn(wait)?;
    for signal in [SIGTERM, SIGINT] {
        register_signal_handler(signal, on_signal).map_err(io::Error::from)?;
    }
    Ok(())
}
