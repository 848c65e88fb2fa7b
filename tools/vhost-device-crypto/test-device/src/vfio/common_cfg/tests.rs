// SPDX-License-Identifier: GPL-2.0
//! Tests of the registers with valid and invalid accesses.

use std::sync::Arc;

use super::*;
use crate::instrument::{self, Device};
use crate::trace::Trace;
use crate::vfio::{IN_ORDER, PACKED};
use virtio_crypto_device::capabilities::Capabilities;

const QUEUES: usize = 3;
const OFFERED: u64 = VERSION_1 | RING_RESET | PACKED | IN_ORDER | 3;
/// Features that the device accepts.
const GOOD: u64 = VERSION_1 | RING_RESET;

/// The registers, with the interrupts and the faults that they depend on.
struct Bench {
    common: Common,
    interrupts: Interrupts,
    device: Arc<Device>,
}

impl Bench {
    fn new() -> Self {
        let capabilities = Capabilities { queues: QUEUES as u16 - 1, ..Capabilities::default() };
        let device = Arc::new(instrument::device(capabilities, Trace::default()));
        let interrupts = Interrupts::new(device.clone(), 4);
        Bench { common: Common::new(OFFERED, QUEUES, 256), interrupts, device }
    }

    fn fault(&self, text: &str) {
        self.device.hooks.faults.add(text.parse().unwrap());
    }

    fn read(&mut self, at: usize, len: usize) -> u64 {
        let mut bytes = vec![0xaa; len];
        self.common.read(at, &mut bytes, &self.device.hooks.faults, &self.interrupts);
        bytes.iter().rev().fold(0, |value, &byte| value << 8 | u64::from(byte))
    }

    fn write(&mut self, at: usize, len: usize, value: u64) -> Action {
        let bytes = &value.to_le_bytes()[..len];
        self.common.write(at, bytes, &self.device.hooks.faults, &self.interrupts)
    }

    /// Writes the features and sets FEATURES_OK.
    fn accept(&mut self, features: u64) -> Action {
        for half in 0..2 {
            self.write(DRIVER_FEATURE_SELECT, 4, half);
            self.write(DRIVER_FEATURE, 4, features >> (32 * half) & 0xffff_ffff);
        }
        self.write(STATUS, 1, 3);
        self.write(STATUS, 1, 11)
    }

    /// Creates registers and negotiates features.
    fn negotiated(features: u64) -> Self {
        let mut bench = Bench::new();
        assert_eq!(bench.accept(features), Action::Accept(features));
        bench
    }
}

#[test]
fn features_are_negotiated_in_two_halves() {
    let mut bench = Bench::new();
    let mut offered = 0;
    for half in 0..4 {
        bench.write(DEVICE_FEATURE_SELECT, 4, half);
        let value = bench.read(DEVICE_FEATURE, 4);
        match half {
            0 | 1 => offered |= value << (32 * half),
            _ => assert_eq!(value, 0),
        }
    }
    assert_eq!(offered, OFFERED);
    assert_eq!(bench.accept(GOOD | 1), Action::Accept(GOOD | 1));
    assert_eq!(bench.read(STATUS, 1), 11);
    assert_eq!(bench.common.features(), GOOD | 1);
    // After FEATURES_OK the features cannot change.
    bench.write(DRIVER_FEATURE_SELECT, 4, 0);
    bench.write(DRIVER_FEATURE, 4, 2);
    assert_eq!(bench.common.features(), GOOD | 1);
}

#[test]
fn invalid_features_are_rejected() {
    // Without version 1, not offered, and a stateless mode without revision 1.
    for features in [0, RING_RESET, GOOD | 1 << 41, GOOD | 4, GOOD | 2] {
        let mut bench = Bench::new();
        assert_eq!(bench.accept(features), Action::Refuse(features));
        assert_eq!(bench.read(STATUS, 1), 3);
        // Queues cannot be enabled now, and valid features are accepted afterwards.
        assert_eq!(bench.write(QUEUE_ENABLE, 2, 1), Action::Nothing);
        assert_eq!(bench.accept(GOOD), Action::Accept(GOOD));
    }
    let mut bench = Bench::new();
    bench.fault("refuse-features:count=1");
    assert_eq!(bench.accept(GOOD), Action::Refuse(GOOD));
    assert_eq!(bench.accept(GOOD), Action::Accept(GOOD));
}

#[test]
fn features_are_written_once_between_resets() {
    let features = |bench: &mut Bench| {
        bench.write(DRIVER_FEATURE_SELECT, 4, 1);
        bench.write(DRIVER_FEATURE, 4, VERSION_1 >> 32)
    };
    let mut bench = Bench::new();
    // Linux writes the features twice if the driver clears some of them.
    assert_eq!([features(&mut bench), features(&mut bench)], [Action::Nothing; 2]);
    bench.accept(GOOD);
    assert_eq!(features(&mut bench), Action::Renegotiate);
    bench.common.reset();
    assert_eq!(features(&mut bench), Action::Nothing);
    // After a rejection the driver must still reset the device, except after FAILED.
    bench.accept(GOOD | 4);
    assert_eq!(features(&mut bench), Action::Renegotiate);
    bench.write(STATUS, 1, u64::from(FAILED));
    assert_eq!(features(&mut bench), Action::Nothing);
}

#[test]
fn status_bits_stay_set_until_a_reset() {
    let mut bench = Bench::negotiated(GOOD);
    assert!(!bench.common.is_driver_ok());
    assert_eq!(bench.write(STATUS, 1, 15), Action::DriverOk);
    assert_eq!(bench.write(STATUS, 1, 15), Action::Nothing);
    bench.write(STATUS, 1, 1);
    assert_eq!(bench.read(STATUS, 1), 15);
    assert!(bench.common.is_operational());
    // The driver cannot set DEVICE_NEEDS_RESET.
    bench.write(STATUS, 1, 15 | u64::from(NEEDS_RESET));
    assert!(bench.common.is_operational());
    bench.common.need_reset();
    assert_eq!(bench.read(STATUS, 1), 15 | u64::from(NEEDS_RESET));
    assert!(bench.common.is_driver_ok() && !bench.common.is_operational());
    bench.common.change_config();
    assert_eq!(bench.write(STATUS, 1, 0), Action::Reset);
    bench.common.reset();
    assert_eq!(bench.read(STATUS, 1), 0);
    // A reset does not change the config generation.
    assert_eq!(bench.read(GENERATION, 1), 1);
}

#[test]
fn status_stuck_ignores_writes() {
    let mut bench = Bench::new();
    bench.fault("status-stuck:after=2:count=2");
    assert_eq!(bench.accept(GOOD), Action::Accept(GOOD));
    assert_eq!(bench.write(STATUS, 1, 15), Action::Nothing);
    assert_eq!(bench.write(STATUS, 1, 0), Action::Nothing);
    assert_eq!(bench.read(STATUS, 1), 11);
    assert_eq!(bench.write(STATUS, 1, 0), Action::Reset);
}

#[test]
fn queues_are_set_up_and_enabled() {
    let mut bench = Bench::negotiated(GOOD);
    assert_eq!(bench.read(NUM_QUEUES, 2), 3);
    for index in 0..QUEUES {
        bench.write(QUEUE_SELECT, 2, index as u64);
        assert_eq!(bench.read(QUEUE_SIZE, 2), 256);
        assert_eq!(bench.read(QUEUE_NOTIFY_OFF, 2), index as u64);
        assert_eq!(bench.read(QUEUE_VECTOR, 2), 0xffff);
        bench.write(QUEUE_SIZE, 2, 64);
        for (at, register) in [QUEUE_DESC, QUEUE_DRIVER, QUEUE_DEVICE].iter().zip(1..) {
            let value = register << 40 | index as u64;
            bench.write(*at, 4, value & 0xffff_ffff);
            bench.write(*at + 4, 4, value >> 32);
            assert_eq!(bench.read(*at, 8), value);
        }
        bench.write(QUEUE_VECTOR, 2, index as u64);
        assert_eq!(bench.read(QUEUE_VECTOR, 2), index as u64);
        assert_eq!(bench.write(QUEUE_ENABLE, 2, 1), Action::Start(index));
        assert_eq!(bench.read(QUEUE_ENABLE, 2), 1);
        let setup = bench.common.queue(index).unwrap();
        let expected = QueueSetup {
            size: 64,
            enabled: true,
            descriptors: 1 << 40 | index as u64,
            driver: 2 << 40 | index as u64,
            device: 3 << 40 | index as u64,
        };
        assert_eq!(setup, expected);
        // The registers of an enabled queue cannot change.
        assert_eq!(bench.write(QUEUE_ENABLE, 2, 1), Action::Nothing);
        for (at, len) in [(QUEUE_SIZE, 2), (QUEUE_DESC, 8), (QUEUE_ENABLE, 2)] {
            bench.write(at, len, 0);
        }
        assert_eq!(bench.common.queue(index), Some(expected));
    }
    bench.write(QUEUE_DESC, 8, 5);
    bench.write(QUEUE_SELECT, 2, 3);
    for at in [QUEUE_SIZE, QUEUE_VECTOR, QUEUE_ENABLE] {
        assert_eq!(bench.read(at, 2), 0);
        assert_eq!(bench.write(at, 2, 1), Action::Nothing);
    }
    bench.common.reset();
    assert_eq!(bench.common.queue(0).unwrap(), QueueSetup { size: 256, ..Default::default() });
}

#[test]
fn ring_sizes_depend_on_the_format() {
    for (features, size, good) in [
        (GOOD, 1, true),
        (GOOD, 256, true),
        (GOOD, 0, false),
        (GOOD, 3, false),
        (GOOD, 512, false),
        (GOOD | PACKED, 3, true),
        (GOOD | PACKED, 0, false),
        (GOOD | PACKED, 257, false),
    ] {
        let mut bench = Bench::negotiated(features);
        bench.write(QUEUE_SIZE, 2, size);
        let expected = if good { Action::Start(0) } else { Action::Nothing };
        assert_eq!(bench.write(QUEUE_ENABLE, 2, 1), expected, "{size}");
        assert_eq!(bench.read(QUEUE_ENABLE, 2), u64::from(good));
    }
}

#[test]
fn queue_reset_requires_the_feature() {
    let mut bench = Bench::negotiated(VERSION_1);
    bench.write(QUEUE_ENABLE, 2, 1);
    assert_eq!(bench.write(QUEUE_RESET, 2, 1), Action::Nothing);
    assert_eq!(bench.read(QUEUE_ENABLE, 2), 1);

    let mut bench = Bench::negotiated(GOOD);
    bench.write(QUEUE_SELECT, 2, 2);
    bench.write(QUEUE_SIZE, 2, 8);
    bench.write(QUEUE_ENABLE, 2, 1);
    bench.fault("ring-reset-refused:queue=control:count=1");
    assert_eq!(bench.write(QUEUE_RESET, 2, 1), Action::Nothing);
    assert_eq!(bench.read(QUEUE_ENABLE, 2), 1);
    assert_eq!(bench.write(QUEUE_RESET, 2, 0), Action::Nothing);
    assert_eq!(bench.write(QUEUE_RESET, 2, 1), Action::Stop(2));
    assert_eq!((bench.read(QUEUE_ENABLE, 2), bench.read(QUEUE_RESET, 2)), (0, 0));
    assert_eq!(bench.read(QUEUE_SIZE, 2), 256);
    assert_eq!(bench.write(QUEUE_ENABLE, 2, 1), Action::Start(2));
}

#[test]
fn missing_vectors_are_not_assigned() {
    let mut bench = Bench::new();
    for (at, select) in [(CONFIG_VECTOR, 0), (QUEUE_VECTOR, 0), (QUEUE_VECTOR, 2)] {
        bench.write(QUEUE_SELECT, 2, select);
        for (vector, expected) in [(3, 3), (4, 0xffff), (0, 0), (0xffff, 0xffff)] {
            bench.write(at, 2, vector);
            assert_eq!(bench.read(at, 2), expected);
        }
    }
    bench.fault("no-vector:queue=control:count=1");
    bench.write(QUEUE_VECTOR, 2, 1);
    assert_eq!(bench.read(QUEUE_VECTOR, 2), 0xffff);
    bench.write(QUEUE_VECTOR, 2, 1);
    assert_eq!(bench.read(QUEUE_VECTOR, 2), 1);
}

#[test]
fn generation_changes_at_every_read_with_the_fault() {
    let mut bench = Bench::new();
    assert_eq!((bench.read(GENERATION, 1), bench.read(GENERATION, 1)), (0, 0));
    bench.fault("generation-changes:count=2");
    bench.read(STATUS, 1);
    assert_eq!((bench.read(GENERATION, 1), bench.read(0, 64) >> 63), (1, 0));
    assert_eq!(bench.read(GENERATION, 1), 2);
}

#[test]
fn faults_change_register_reads() {
    let mut bench = Bench::negotiated(GOOD);
    bench.fault("status-register:value=255:count=1");
    assert_eq!((bench.read(GENERATION, 1), bench.read(STATUS, 1)), (0, 255));
    assert_eq!(bench.read(STATUS, 1), 11);
    bench.fault("queue-size:queue=control:value=7");
    assert_eq!(bench.read(QUEUE_SIZE, 2), 256);
    bench.write(QUEUE_SELECT, 2, QUEUES as u64 - 1);
    assert_eq!(bench.read(QUEUE_SIZE, 2), 7);
    bench.write(QUEUE_SELECT, 2, QUEUES as u64);
    assert_eq!(bench.read(QUEUE_SIZE, 2), 0);
}

#[test]
fn features_offered_by_a_fault_are_accepted() {
    let mut bench = Bench::new();
    let offered = |bench: &mut Bench| {
        (0..2).fold(0, |offered, half| {
            bench.write(DEVICE_FEATURE_SELECT, 4, half);
            offered | bench.read(DEVICE_FEATURE, 4) << (32 * half)
        })
    };
    // Bit 28 is not in `OFFERED`, PACKED is.
    let toggled = 1 << 28 | PACKED;
    bench.fault(&format!("offer-features:value={toggled}:count=2"));
    assert_eq!(offered(&mut bench), OFFERED ^ toggled);
    assert_eq!(bench.accept(GOOD | PACKED), Action::Refuse(GOOD | PACKED));
    bench.common.reset();
    assert_eq!(bench.accept(GOOD | 1 << 28), Action::Accept(GOOD | 1 << 28));
    // The fault has ended when the features are read again.
    bench.common.reset();
    assert_eq!(offered(&mut bench), OFFERED);
    assert_eq!(bench.accept(GOOD | 1 << 28), Action::Refuse(GOOD | 1 << 28));
}

#[test]
fn invalid_accesses_have_no_effect() {
    let mut bench = Bench::negotiated(GOOD);
    for at in [0, 1, 7, 20, 21, 56, 63, 64, 65, usize::MAX] {
        for len in [0, 1, 2, 3, 4, 8] {
            bench.read(at, len);
            for value in [0, 1, u64::MAX] {
                if at != STATUS {
                    assert!(matches!(
                        bench.write(at, len, value),
                        Action::Nothing | Action::Start(_) | Action::Stop(_)
                    ));
                }
            }
        }
    }
    assert_eq!(bench.read(64, 4), 0);
    assert_eq!(bench.read(62, 4), 0);
}
