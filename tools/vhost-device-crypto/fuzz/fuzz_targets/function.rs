// SPDX-License-Identifier: GPL-2.0
//! Fuzzes the PCI function with arbitrary accesses to the BAR, the PCI configuration space, and
//! guest memory, which has rings of both formats.
//!
//! Format of the input: operations of 12 bytes. An operation is a byte with its kind, a byte with a
//! length, two bytes with an address, and eight bytes with a value.

#![no_main]

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

use crypto_test_device::instrument;
use crypto_test_device::test_device::{FrontEnd, Settings, TestDevice};
use crypto_test_device::trace::Trace;
use crypto_test_device::vfio::dma::Mapping;
use crypto_test_device::vfio::function::Function;
use crypto_test_device::vfio::{self, IN_ORDER, PACKED, RING_RESET, VERSION_1};
use libfuzzer_sys::fuzz_target;
use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::protocol::feature;

/// Ring features that the device offers.
const RING_FEATURES: u64 = RING_RESET | PACKED | IN_ORDER | 1 << 28 | 1 << 29;
/// Size of guest memory, in bytes.
const MEMORY: u64 = 1 << 16;
/// Size of the BAR, in bytes.
const BAR: u64 = 1 << 15;
const OPERATION_LEN: usize = 12;

/// Offsets of registers of `struct virtio_pci_common_cfg`, which is at the start of the BAR.
const DRIVER_FEATURE_SELECT: u64 = 0x08;
const DRIVER_FEATURE: u64 = 0x0c;
const STATUS: u64 = 0x14;
const QUEUE_SELECT: u64 = 0x16;
const QUEUE_SIZE: u64 = 0x18;
const QUEUE_ENABLE: u64 = 0x1c;
const QUEUE_DESC: u64 = 0x20;
/// Offset of the notification area in the BAR.
const NOTIFY: u64 = 0x3000;

/// Status bits. `DRIVER` includes ACKNOWLEDGE.
const DRIVER: u64 = 3;
const DRIVER_OK: u64 = 4;
const FEATURES_OK: u64 = 8;

/// Number of descriptors of a ring. It is small, so that the parts of a ring are close together and
/// arbitrary addresses often hit them.
const RING_SIZE: u64 = 8;

/// The PCI function of a device, and the file with guest memory.
struct Bench {
    function: Arc<Function>,
    memory: File,
}

impl Bench {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("function-{}", std::process::id()));
        let options = File::options().read(true).write(true).create_new(true).open(&path);
        let memory = options.expect("create a file for guest memory");
        fs::remove_file(&path).expect("remove the name of the file");
        memory.set_len(MEMORY).expect("resize guest memory");
        let capabilities = Capabilities { features: feature::ALL, ..Capabilities::default() };
        let function = vfio::Settings { features: RING_FEATURES, ..vfio::Settings::default() };
        let front_end = FrontEnd::VfioUser;
        let settings = Settings { front_end, function, ..Settings::default() };
        let device = instrument::device(capabilities, Trace::new(Box::new(std::io::sink())));
        let service = TestDevice::new(device, settings).expect("create a device");
        let function = Function::new(service).expect("create a function");
        Bench { function, memory }
    }

    /// Maps all guest memory. The last quarter is read-only.
    fn map(&self) {
        for (address, size, writable) in
            [(0, MEMORY / 4 * 3, true), (MEMORY / 4 * 3, MEMORY / 4, false)]
        {
            let file = self.memory.try_clone().expect("duplicate a descriptor");
            let mapping = Mapping { address, size, file, offset: address, writable };
            // The memory may already be mapped.
            let _ = self.function.map(mapping);
        }
    }

    /// Writes a register in the BAR.
    fn write_register(&self, at: u64, len: usize, value: u64) {
        self.function.write(at, &value.to_le_bytes()[..len]);
    }

    /// Initializes the device like a correct driver, up to DRIVER_OK. The parts of both rings are
    /// in the first two pages of guest memory.
    fn start(&self, features: u64) {
        self.write_register(STATUS, 1, 0);
        self.write_register(STATUS, 1, DRIVER);
        for half in 0..2 {
            self.write_register(DRIVER_FEATURE_SELECT, 4, half);
            self.write_register(
                DRIVER_FEATURE,
                4,
                (features | VERSION_1) >> (32 * half) & 0xffff_ffff,
            );
        }
        self.write_register(STATUS, 1, DRIVER | FEATURES_OK);
        for index in 0..2 {
            self.write_register(QUEUE_SELECT, 2, index);
            self.write_register(QUEUE_SIZE, 2, RING_SIZE);
            for part in 0..3 {
                self.write_register(QUEUE_DESC + 8 * part, 8, 0x1000 * index + 0x100 * part);
            }
            self.write_register(QUEUE_ENABLE, 2, 1);
        }
        self.write_register(STATUS, 1, DRIVER | FEATURES_OK | DRIVER_OK);
    }

    /// Performs an operation of the input.
    fn operate(&self, operation: &[u8; OPERATION_LEN]) {
        let [kind, len, low, high, value @ ..] = operation;
        let address = u64::from(u16::from_le_bytes([*low, *high]));
        let len = usize::from(*len) % 9;
        let mut value = *value;
        match kind % 8 {
            0 => self.function.write(address % BAR, &value[..len]),
            1 => self.function.read(address % BAR, &mut value[..len]),
            2 => self.function.write_pci_config(usize::from(*low), &value[..len]),
            3 => self.function.read_pci_config(usize::from(*low), &mut value[..len]),
            4 => {
                let len = len.min((MEMORY - address) as usize);
                self.memory.write_all_at(&value[..len], address).expect("write guest memory");
            }
            5 => self.start(u64::from_le_bytes(value) & (RING_FEATURES | feature::ALL)),
            6 => self.write_register(NOTIFY + 4 * (address % 2), 2, 0),
            _ => {
                // The range may be mapped, partly mapped, or not mapped.
                let _ = self.function.unmap(address & !0xfff, MEMORY / 4, len > 4);
                self.map();
            }
        }
    }
}

fuzz_target!(|input: &[u8]| {
    static BENCH: OnceLock<Bench> = OnceLock::new();
    let bench = BENCH.get_or_init(Bench::new);
    bench.map();
    for operation in input.chunks_exact(OPERATION_LEN) {
        if let Ok(operation) = operation.try_into() {
            bench.operate(operation);
        }
    }
    bench.function.reset_function();
    let running = bench.function.device().status().queues.iter().any(|queue| queue.running);
    assert!(!running);
    // Zero the memory: every input must start with the same state.
    bench.memory.set_len(0).and_then(|()| bench.memory.set_len(MEMORY)).expect("zero guest memory");
});
