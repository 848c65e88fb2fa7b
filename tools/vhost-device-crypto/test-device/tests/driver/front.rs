// SPDX-License-Identifier: GPL-2.0
//! Runs the test device as a process.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};

pub use crypto_test_driver::front::*;
use serde_json::Value;
use vmm_sys_util::tempdir::TempDir;

/// `crypto-test-device serve`
pub struct Server {
    pub child: Child,
    directory: TempDir,
}

impl Server {
    pub fn start(arguments: &[&str]) -> Self {
        Server::start_with(arguments, &["socket"])
    }

    /// Starts the process and waits for sockets with these names.
    pub fn start_with(arguments: &[&str], sockets: &[&str]) -> Self {
        let directory = TempDir::new_with_prefix("/tmp/crypto-test-device-test-").unwrap();
        let path = |name: &str| directory.as_path().join(name);
        let child = Command::new(env!("CARGO_BIN_EXE_crypto-test-device"))
            .arg("serve")
            .arg("--socket-path")
            .arg(path("socket"))
            .arg("--monitor")
            .arg(path("monitor"))
            .arg("--report")
            .arg(path("report"))
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let server = Server { child, directory };
        for name in sockets {
            wait("socket", || has_listener(&server.path(name)).then_some(()));
        }
        server
    }

    /// Connects a front end with this number of rings.
    pub fn connect(&self, rings: usize) -> Front {
        Front::connect_to(&self.path("socket"), rings)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.as_path().join(name)
    }

    /// Sends a command to the monitor and returns the reply.
    pub fn command(&self, command: &str) -> Value {
        self.command_to("monitor", command)
    }

    /// Sends a command to one of several monitors and returns the reply.
    pub fn command_to(&self, monitor: &str, command: &str) -> Value {
        let mut socket = UnixStream::connect(self.path(monitor)).unwrap();
        socket.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut reply = String::new();
        BufReader::new(socket).read_line(&mut reply).unwrap();
        serde_json::from_str(&reply).unwrap()
    }

    pub fn status(&self) -> Value {
        self.command(r#"{"command":"status"}"#)
    }

    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait("end", || self.child.try_wait().unwrap())
    }

    pub fn report(&self) -> Value {
        let text = std::fs::read(self.path("report")).unwrap();
        serde_json::from_slice(&text).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
