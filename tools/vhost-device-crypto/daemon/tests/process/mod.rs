// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! A daemon that a test has started.

#![allow(dead_code)] // each test uses a part of it

use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

use crypto_test_driver::front::{listens, wait, Front};
use rustix::process::{kill_process, Pid, Signal};
use vmm_sys_util::tempdir::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_vhost-device-crypto");

/// A daemon, and a folder with its sockets.
pub struct Daemon {
    pub child: Child,
    directory: TempDir,
}

impl Daemon {
    /// Starts one for one guest.
    pub fn start(arguments: &[&str]) -> Self {
        Daemon::start_with(arguments, &["socket"])
    }

    /// Starts one that listens at these sockets. `DIR` in an argument is its folder.
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
            wait("socket", || listens(&daemon.path(name)).then_some(()));
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

    /// A line of /proc/PID/status or limits, without its title.
    pub fn about(&self, file: &str, title: &str) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix(title));
        line.unwrap_or_else(|| panic!("there is no {title}")).trim().into()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It has ended already where a test was about that.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
