// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
//! The command line.

use std::os::fd::RawFd;
use std::path::PathBuf;

use clap::{Args, Parser};
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::log_limit::DEFAULT_LINES;
use virtio_crypto_device::protocol::algorithm::Service;
use virtio_crypto_device::protocol::feature;

/// Maximum number of data queues. vhost-user-backend has a mask of 64 bits for the rings, and one
/// ring is the control queue.
pub const MAX_QUEUES: u16 = 63;

/// Maximum number of devices of a process. Each device has a thread for each queue, and some more.
pub const MAX_DEVICES: usize = 64;

/// The most threads for public-key operations of a guest.
pub const MAX_PUBLIC_KEY_THREADS: usize = 64;

/// A virtio crypto device for guests, over vhost-user. OpenSSL does the cryptography.
#[derive(Debug, Parser)]
#[command(name = "vhost-device-crypto", version)]
pub struct Options {
    #[allow(missing_docs)]
    #[command(flatten)]
    pub sockets: Sockets,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub algorithms: Algorithms,

    #[allow(missing_docs)]
    #[command(flatten)]
    pub limits: Limits,

    /// Unix socket that serves counters over HTTP, in Prometheus' text format [default: none]
    #[arg(long, value_name = "PATH")]
    pub metrics_socket: Option<PathBuf>,

    /// Print the capabilities that QEMU's conventions for vhost-user back ends define, as JSON, and
    /// exit. All other options are ignored
    #[arg(long)]
    pub print_capabilities: bool,
}

/// The sockets to which front ends connect.
#[derive(Args, Clone, Debug)]
pub struct Sockets {
    /// Unix socket to listen on
    #[arg(short, long, value_name = "PATH", required_unless_present = "socket_fd")]
    pub socket_path: Option<PathBuf>,

    /// Number of guests. With more than one, the sockets are PATH0, PATH1, ... Each guest has its
    /// own sessions and limits
    #[arg(short = 'c', long, value_name = "N", default_value_t = 1, value_parser = socket_count)]
    pub socket_count: usize,

    /// File descriptor of an open socket, which either listens or is connected to the front end.
    /// --fd, the name in QEMU's conventions, is an alias
    #[arg(long, alias = "fd", value_name = "FD")]
    #[arg(conflicts_with_all = ["socket_path", "socket_count"])]
    pub socket_fd: Option<RawFd>,
}

/// The algorithms and queues that each device offers.
#[derive(Args, Clone, Debug)]
pub struct Algorithms {
    /// Number of data queues, 1 to 63
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = queues)]
    pub queues: u16,

    /// Services to offer: cipher, hash, mac, aead, akcipher [default: all]
    #[arg(long, value_name = "NAME,...", value_delimiter = ',', value_parser = service)]
    pub services: Vec<Service>,

    /// Offer VIRTIO_CRYPTO_F_REVISION_1 and all stateless modes
    #[arg(long)]
    pub stateless: bool,

    /// Also offer DES, ARC4 and MD5
    #[arg(long)]
    pub legacy_algorithms: bool,

    /// Threads of each guest for public-key operations, 0 to 64. Later requests of a queue do not wait
    /// for an operation in a thread. With 0 the threads of the queues perform the operations
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = public_key_threads)]
    pub public_key_threads: usize,
}

/// Limits of each guest.
#[derive(Args, Clone, Debug)]
pub struct Limits {
    /// Maximum number of sessions of a guest
    #[arg(long, value_name = "N", default_value_t = Capabilities::default().table_size)]
    pub max_sessions: usize,

    /// Maximum length of a request, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = Capabilities::default().max_size)]
    pub max_size: u64,

    /// Maximum number of public-key operations of a guest per second. Further operations are
    /// delayed. 0 means no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub max_akcipher_rate: u32,

    /// Maximum number of log lines per second that all guests together can cause
    #[arg(long, value_name = "N", default_value_t = DEFAULT_LINES)]
    pub max_log_lines: u32,
}

impl Sockets {
    /// Returns the path of a guest's socket.
    pub fn path(&self, guest: usize) -> Option<PathBuf> {
        numbered(self.socket_path.as_ref(), guest, self.socket_count)
    }
}

/// Appends a guest's number to a path, if there is more than one guest.
pub fn numbered(path: Option<&PathBuf>, guest: usize, guests: usize) -> Option<PathBuf> {
    let mut path = path.cloned()?;
    if guests > 1 {
        path.as_mut_os_string().push(guest.to_string());
    }
    Some(path)
}

impl Options {
    /// Returns the capabilities of each device.
    pub fn capabilities(&self) -> Capabilities {
        let default = Capabilities::default();
        let Algorithms { queues, services, stateless, legacy_algorithms, public_key_threads } =
            &self.algorithms;
        Capabilities {
            queues: *queues,
            features: if *stateless { feature::ALL } else { 0 },
            services: if services.is_empty() { default.services } else { services.clone() },
            legacy: *legacy_algorithms,
            max_size: self.limits.max_size,
            table_size: self.limits.max_sessions,
            akcipher_rate: self.limits.max_akcipher_rate,
            public_key_threads: *public_key_threads,
            ..default
        }
    }
}

/// Parses a number of guests.
pub fn socket_count(text: &str) -> Result<usize, String> {
    let count = number(text)?;
    match (1..=MAX_DEVICES).contains(&count) {
        true => Ok(count),
        false => Err(format!("out of range (1 to {MAX_DEVICES})")),
    }
}

/// Parses a number of data queues.
pub fn queues(text: &str) -> Result<u16, String> {
    let count = number(text)?;
    match (1..=MAX_QUEUES).contains(&count) {
        true => Ok(count),
        false => Err(format!("out of range (1 to {MAX_QUEUES}, the limit of vhost-user-backend)")),
    }
}

/// Parses a number of threads for public-key operations.
pub fn public_key_threads(text: &str) -> Result<usize, String> {
    let count = number(text)?;
    match count <= MAX_PUBLIC_KEY_THREADS {
        true => Ok(count),
        false => Err(format!("out of range (0 to {MAX_PUBLIC_KEY_THREADS})")),
    }
}

/// Parses a decimal number, or a hexadecimal number with the prefix `0x`.
pub fn number<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    let number = number.map_err(|error| error.to_string())?;
    T::try_from(number).map_err(|_| "number too big".into())
}

fn service(text: &str) -> Result<Service, String> {
    let mut services = Service::ALL.iter();
    let found = services.find(|service| service.name().eq_ignore_ascii_case(text));
    found
        .copied()
        .ok_or_else(|| format!("'{text}' is not one of cipher, hash, mac, aead, akcipher"))
}

/// Returns the output of `--print-capabilities`. QEMU's conventions define no features of a crypto
/// device.
pub fn capabilities_json() -> &'static str {
    "{\n  \"type\": \"crypto\",\n  \"features\": []\n}"
}

/// Returns whether the command line has `--print-capabilities`. Other arguments are not validated.
pub fn has_print_capabilities() -> bool {
    std::env::args_os().skip(1).any(|argument| argument == "--print-capabilities")
}
