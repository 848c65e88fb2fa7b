// SPDX-License-Identifier: GPL-2.0
//! The monitor: a unix socket that accepts commands while the device runs.
//!
//! A command is a line of JSON. The reply is a line with an object that has either `"ok": true` or
//! `"error"`. An invalid command does not close the connection.
//!
//! | command | effect |
//! |---|---|
//! | `{"command": "status"}` | returns state and counters of the device: [`Status`] |
//! | `{"command": "fault", "fault": FAULT}` | adds a fault: an object with the fields of [`Fault`], or a string as for `--fault` |
//! | `{"fault": FAULT}` | short form of the previous command |
//! | `{"command": "clear", "name": NAME}` | removes all faults with this name, or all faults without a name |
//! | `{"command": "ready", "ready": BOOL, "notice": NOTICE}` | makes the device ready or not ready; see [`Notice`] |
//! | `{"command": "config-change"}` | sends a config change notification |
//! | `{"command": "needs-reset"}` | sets `DEVICE_NEEDS_RESET` of a vfio-user device, which stops |
//! | `{"command": "disconnect"}` | closes the connection to the front end of a vfio-user device |
//! | `{"command": "complete", "order": ORDER, "queue": QUEUE}` | completes all held requests of a queue, or of all queues, in the order `"fifo"` (default) or `"lifo"`. The reply has their number as `"completed"` |
//! | `{"command": "exit"}` | ends the process |
//!
//! NOTICE is `"interrupt"` (default), `"none"`, or `"reset"`.
//!
//! [`Status`]: crate::report::Status

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread;

use serde::Deserialize;
use serde_json::{json, Value};

use virtio_crypto_device::queue_id::QueueId;

use crate::fault::{Fault, Kind};
use crate::held::Order;
use crate::instrument::Queue;
use crate::test_device::{Notice, TestDevice};

/// Maximum length of a line, in bytes.
const MAX_LINE: usize = 64 << 10;

/// Maximum number of connected clients.
const MAX_CLIENTS: usize = 32;

/// A command.
#[derive(Debug, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
enum Command {
    Status {},
    Fault {
        fault: Value,
    },
    Clear {
        #[serde(default)]
        name: Option<Kind>,
    },
    Ready {
        ready: bool,
        #[serde(default)]
        notice: Notice,
    },
    ConfigChange {},
    NeedsReset {},
    Disconnect {},
    Complete {
        #[serde(default)]
        order: Order,
        #[serde(default)]
        queue: Option<QueueId>,
    },
    Exit {},
}

/// Starts a thread that serves clients.
pub fn start(device: Arc<TestDevice>, listener: UnixListener) -> io::Result<()> {
    let clients = Arc::new(AtomicUsize::new(0));
    let accept = move || loop {
        match listener.accept() {
            Ok((client, _)) => accept_client(&device, &clients, client),
            Err(error) => {
                tracing::warn!("monitor: accepting a client failed: {error}");
                // The error persists if the process has no file descriptors left, so wait before
                // the next attempt.
                thread::sleep(std::time::Duration::from_millis(100));
            }
        }
    };
    thread::Builder::new().name("monitor".into()).spawn(accept)?;
    Ok(())
}

fn accept_client(device: &Arc<TestDevice>, clients: &Arc<AtomicUsize>, mut client: UnixStream) {
    if clients.fetch_add(1, Ordering::SeqCst) >= MAX_CLIENTS {
        clients.fetch_sub(1, Ordering::SeqCst);
        // If the write fails, the client still sees the end of the connection.
        let _ = writeln!(client, "{}", json!({"error": "too many clients"}));
        return;
    }
    let (device, count) = (device.clone(), clients.clone());
    let handle_client = move || {
        if let Err(error) = handle_client(&device, &client) {
            tracing::debug!("monitor: a client disconnected: {error}");
        }
        count.fetch_sub(1, Ordering::SeqCst);
    };
    if let Err(error) = thread::Builder::new().name("client".into()).spawn(handle_client) {
        clients.fetch_sub(1, Ordering::SeqCst);
        tracing::warn!("monitor: creating a thread for a client failed: {error}");
    }
}

fn handle_client(device: &TestDevice, mut client: &UnixStream) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    while let Some(line) = read_line(&mut reader)? {
        let (reply, exits) = match line {
            Line::Whole(line) if line.trim_ascii().is_empty() => continue,
            Line::Whole(line) => respond(device, &line),
            Line::TooLong => (Err("the line is too long".into()), false),
        };
        let reply = reply.unwrap_or_else(|error| json!({ "error": error }));
        let mut text = serde_json::to_vec(&reply)?;
        text.push(b'\n');
        let sent = client.write_all(&text);
        // Exit even if the reply could not be sent.
        if exits {
            device.finish(0);
        }
        sent?;
    }
    Ok(())
}

/// A line without its line break.
enum Line {
    Whole(Vec<u8>),
    TooLong,
}

/// Reads the next line, or returns `None` at the end of the stream. The at_end line may lack its line
/// break.
fn read_line(reader: &mut impl BufRead) -> io::Result<Option<Line>> {
    let mut line = Vec::new();
    let (mut has_bytes, mut too_long) = (false, false);
    loop {
        let bytes = match reader.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            bytes => bytes?,
        };
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let len = end.unwrap_or(bytes.len());
        has_bytes |= !bytes.is_empty();
        too_long |= line.len() + len > MAX_LINE;
        if !too_long {
            line.extend_from_slice(&bytes[..len]);
        }
        let at_end = bytes.is_empty();
        reader.consume(end.map_or(len, |end| end + 1));
        if at_end && !has_bytes {
            return Ok(None);
        }
        if at_end || end.is_some() {
            return Ok(Some(if too_long { Line::TooLong } else { Line::Whole(line) }));
        }
    }
}

/// Executes a line. Returns the reply, and whether the process must end.
fn respond(device: &TestDevice, line: &[u8]) -> (Result<Value, String>, bool) {
    match parse(line) {
        Ok(command) => {
            let exits = matches!(command, Command::Exit {});
            (execute(device, command), exits)
        }
        Err(error) => (Err(error), false),
    }
}

fn parse(line: &[u8]) -> Result<Command, String> {
    let mut value: Value = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    if let Value::Object(object) = &mut value {
        if object.contains_key("fault") {
            object.entry("command").or_insert_with(|| "fault".into());
        }
    }
    serde_json::from_value(value).map_err(|error| error.to_string())
}

fn execute(device: &TestDevice, command: Command) -> Result<Value, String> {
    let mut reply = json!({"ok": true});
    match command {
        Command::Status {} => {
            let status = serde_json::to_value(device.status());
            if let (Value::Object(status), Value::Object(reply)) =
                (status.map_err(|error| error.to_string())?, &mut reply)
            {
                reply.extend(status);
            }
        }
        Command::Fault { fault } => {
            let mut fault: Fault = match fault {
                Value::String(text) => text.parse()?,
                fault => serde_json::from_value(fault).map_err(|error| error.to_string())?,
            };
            fault.happened = 0;
            device.settings.check(&fault)?;
            device.faults().add(fault);
            device.wakeup.wake();
        }
        Command::Clear { name } => {
            device.faults().clear(name);
            device.wakeup.wake();
        }
        Command::Ready { ready, notice } => device.set_ready(ready, notice),
        Command::ConfigChange {} => {
            device.service.channel.config_change().map_err(|error| error.to_string())?;
        }
        Command::NeedsReset {} => device.need_reset().map_err(|error| error.to_string())?,
        Command::Disconnect {} => {
            let front = device.function.get().and_then(|front| front.disconnect());
            front.map_err(|error| error.to_string())?;
        }
        Command::Complete { order, queue } => {
            let is_selected = |candidate: &&Queue| queue.is_none_or(|id| id == candidate.id());
            let queues = device.service.queues.iter().filter(is_selected);
            let completed: usize =
                queues.map(|queue| queue.serve_held(|ring| ring.take_all(order))).sum();
            reply["completed"] = completed.into();
        }
        Command::Exit {} => {}
    }
    Ok(reply)
}
