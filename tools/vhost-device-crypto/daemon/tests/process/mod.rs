// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! Runs the daemon as a process.

#![allow(dead_code)] // each test program uses only some of these functions

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crypto_test_driver::front::{has_listener, wait, Front};
use rustix::process::{kill_process, Pid, Signal};
use vmm_sys_util::tempdir::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_vhost-device-crypto");

/// A daemon, and a folder with its sockets.
pub struct Daemon {
    pub child: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts a daemon for one guest.
    pub fn start(arguments: &[&str]) -> Self {
        Daemon::start_with(arguments, &["socket"])
    }

    /// Starts a daemon and waits until it listens on these sockets. `DIR` in an argument is
    /// replaced by the folder of the sockets.
    pub fn start_with(arguments: &[&str], sockets: &[&str]) -> Self {
        let directory = TempDir::new_with_prefix("/tmp/vhost-device-crypto-test-").unwrap();
        let folder = directory.as_path().to_str().unwrap();
        let child = Command::new(PROGRAM)
            .arg("--socket-path")
            .arg(directory.as_path().join("socket"))
            .args(arguments.iter().map(|argument| argument.replace("DIR", folder)))
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let daemon = Daemon { child, directory };
        for name in sockets {
            wait("socket", || has_listener(&daemon.path(name)).then_some(()));
        }
        daemon
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.as_path().join(name)
    }

    pub fn connect(&self) -> Front {
        Front::connect_to(&self.path("socket"), 2)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait("end", || self.child.try_wait().unwrap())
    }

    /// Returns the line with this title of /proc/PID/status or /proc/PID/limits, without the title.
    pub fn proc_line(&self, file: &str, title: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(title));
        line.unwrap_or_else(|| panic!("no line {title}")).trim().into()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
