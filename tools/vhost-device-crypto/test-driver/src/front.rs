// SPDX-License-Identifier: GPL-2.0
//! A vhost-user front end with guest memory and rings.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::fs::{ftruncate, memfd_create, MemfdFlags};
use vhost::vhost_user::message::{VhostUserHeaderFlag, VhostUserProtocolFeatures};
use vhost::vhost_user::{Frontend, VhostUserFrontend};
use vhost::{VhostBackend, VhostUserMemoryRegionInfo, VringConfigData};
use virtio_crypto_device::queue::Memory;
use vm_memory::{
    FileOffset, GuestAddress, GuestAddressSpace, GuestMemoryAtomic, GuestMemoryBackend,
    GuestMemoryMmap,
};
use vmm_sys_util::eventfd::EventFd;

use crate::{Ring, AVAIL, BORDER, END, TABLE, USED};

/// Maximum time to wait for a condition.
const TIMEOUT: Duration = Duration::from_secs(30);

/// `VHOST_USER_F_PROTOCOL_FEATURES`
pub const PROTOCOL_FEATURES: u64 = 1 << 30;
/// `VIRTIO_F_VERSION_1`
pub const VERSION_1: u64 = 1 << 32;

/// Waits until `poll` returns a value. `what` names the value in the panic message.
pub fn wait<T>(what: &str, mut poll: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = poll() {
            return value;
        }
        assert!(Instant::now() < deadline, "timeout waiting for: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// Returns whether a process listens on the socket. A socket file can exist without a listener.
pub fn has_listener(path: &Path) -> bool {
    const ACCEPTS: u32 = 1 << 16;
    let sockets = std::fs::read_to_string("/proc/net/unix").unwrap();
    sockets.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let flags = u32::from_str_radix(fields[3], 16).unwrap();
        fields.get(7).is_some_and(|name| Path::new(name) == path) && flags & ACCEPTS != 0
    })
}

/// A front end with rings in memory that it shares with the device.
pub struct Front {
    pub frontend: Frontend,
    pub memory: Memory,
    pub rings: Vec<Ring>,
    pub features: u64,
    /// Whether the front end behaves like QEMU's `cryptodev-vhost-user`, which serves the control
    /// queue itself, does not send the driver's features, and does not enable rings.
    is_cryptodev: bool,
    kicks: Vec<EventFd>,
    calls: Vec<EventFd>,
}

/// Creates guest memory like QEMU: a file that is mapped in more than one region.
pub fn shared_memory() -> Memory {
    let file = File::from(memfd_create("guest", MemfdFlags::CLOEXEC).unwrap());
    ftruncate(&file, END).unwrap();
    let region = |start: u64, end: u64| {
        let offset = FileOffset::new(file.try_clone().unwrap(), start);
        (GuestAddress(start), (end - start) as usize, Some(offset))
    };
    let regions = [region(0, BORDER), region(BORDER, END)];
    GuestMemoryAtomic::new(GuestMemoryMmap::from_ranges_with_files(regions).unwrap())
}

impl Front {
    /// Connects to a socket and negotiates protocol features. `rings` is the number of data queues
    /// plus 1.
    pub fn connect_to(path: &Path, rings: usize) -> Self {
        Front::from_socket(UnixStream::connect(path).unwrap(), rings)
    }

    /// Negotiates protocol features over a connected socket.
    pub fn from_socket(socket: UnixStream, rings: usize) -> Self {
        Front::connect_with(socket, rings, VhostUserProtocolFeatures::empty(), false)
    }

    /// Negotiates the usual protocol features and `extra` ones over a connected socket.
    pub fn connect_with(
        socket: UnixStream,
        rings: usize,
        extra: VhostUserProtocolFeatures,
        is_cryptodev: bool,
    ) -> Self {
        let count = rings as u64;
        let mut frontend = Frontend::from_stream(socket, count);
        frontend.set_owner().unwrap();
        let features = frontend.get_features().unwrap();
        assert_ne!(features & PROTOCOL_FEATURES, 0);
        let protocol = frontend.get_protocol_features().unwrap();
        let required = VhostUserProtocolFeatures::CONFIG
            | VhostUserProtocolFeatures::MQ
            | VhostUserProtocolFeatures::BACKEND_REQ
            | VhostUserProtocolFeatures::REPLY_ACK
            | VhostUserProtocolFeatures::RESET_DEVICE
            | extra;
        assert!(protocol.contains(required));
        frontend.set_protocol_features(required).unwrap();
        // Request a reply to every message, so that errors are detected.
        frontend.set_hdr_flags(VhostUserHeaderFlag::NEED_REPLY);
        assert_eq!(frontend.get_queue_num().unwrap(), count);
        Front {
            frontend,
            memory: shared_memory(),
            rings: Vec::new(),
            features,
            is_cryptodev,
            kicks: Vec::new(),
            calls: Vec::new(),
        }
    }

    /// Creates rings and starts the device, like QEMU at DRIVER_OK.
    pub fn start(&mut self, features: u64, rings: usize) {
        self.rings.clear();
        for index in 0..rings {
            let base = 0x80_0000 * (index as u64 % 2) + 0x1000 * (index as u64 / 2);
            self.rings.push(Ring::new(self.memory.clone(), base, 16));
        }
        self.resume(features);
    }

    /// Starts the device with the existing rings, like QEMU when a paused guest continues.
    pub fn resume(&mut self, features: u64) {
        let frontend = &mut self.frontend;
        let driver = if self.is_cryptodev { 0 } else { features | VERSION_1 };
        frontend.set_features(driver | PROTOCOL_FEATURES).unwrap();
        let memory = self.memory.memory();
        let regions = memory.iter().map(VhostUserMemoryRegionInfo::from_guest_region);
        let regions: Vec<_> = regions.map(Result::unwrap).collect();
        frontend.set_mem_table(&regions).unwrap();
        let host_address = |address: u64| {
            let host = memory.get_host_address(GuestAddress(address)).unwrap();
            host as u64
        };
        self.kicks.clear();
        self.calls.clear();
        for (index, ring) in self.rings.iter().enumerate() {
            let base = ring.base;
            let (kick, call) = (new_eventfd(), new_eventfd());
            frontend.set_vring_num(index, ring.size).unwrap();
            frontend.set_vring_base(index, ring.avail).unwrap();
            let config = VringConfigData {
                queue_max_size: 1024,
                queue_size: ring.size,
                flags: 0,
                desc_table_addr: host_address(base + TABLE),
                used_ring_addr: host_address(base + USED),
                avail_ring_addr: host_address(base + AVAIL),
                log_addr: None,
            };
            frontend.set_vring_addr(index, &config).unwrap();
            frontend.set_vring_kick(index, &kick).unwrap();
            frontend.set_vring_call(index, &call).unwrap();
            if !self.is_cryptodev {
                frontend.set_vring_enable(index, true).unwrap();
            }
            self.kicks.push(kick);
            self.calls.push(call);
        }
    }

    /// Stops the rings, like QEMU when the guest resets the device.
    pub fn stop(&mut self) {
        if !self.is_cryptodev {
            for index in 0..self.rings.len() {
                self.frontend.set_vring_enable(index, false).unwrap();
            }
        }
        for (index, ring) in self.rings.iter().enumerate() {
            let base = self.frontend.get_vring_base(index).unwrap();
            assert_eq!(base, u32::from(ring.avail));
        }
    }

    pub fn kick(&self, index: usize) {
        self.kicks[index].write(1).unwrap();
    }

    /// Waits for an interrupt of a ring.
    pub fn wait_for_interrupt(&self, index: usize) {
        wait("interrupt", || self.calls[index].read().ok());
    }

    /// Kicks a queue, waits for the interrupt, and returns the new used entries: ID and length.
    pub fn kick_and_wait(&mut self, index: usize) -> Vec<(u32, u32)> {
        self.kick(index);
        self.wait_for_interrupt(index);
        self.rings[index].used()
    }

    /// Sets the back-end channel: the socket to which the device writes its own messages.
    pub fn set_channel(&mut self, socket: &dyn AsRawFd) {
        self.frontend.set_backend_request_fd(socket).unwrap();
    }
}

pub fn new_eventfd() -> EventFd {
    EventFd::new(libc::EFD_NONBLOCK | libc::EFD_CLOEXEC).unwrap()
}
