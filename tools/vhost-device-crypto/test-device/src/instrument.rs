// SPDX-License-Identifier: GPL-2.0
//! The hooks of the test device. They count and trace requests, and inject faults.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

use virtio_crypto_device::capabilities::Capabilities;
use virtio_crypto_device::device::Scratch;
use virtio_crypto_device::hooks::{Admission, Completion, Hooks, RequestId, Served};
use virtio_crypto_device::memory::{Chain, Span};
use virtio_crypto_device::parts::Parts;
use virtio_crypto_device::protocol::algorithm::Direction;
use virtio_crypto_device::protocol::config::{Config, CONFIG_LEN};
use virtio_crypto_device::protocol::data::{Operation, Request};
use virtio_crypto_device::queue_id::QueueId;
use virtio_crypto_device::requirement::Requirement;
use virtio_crypto_device::ring::{PoppedChain, UsedElem};
use virtio_crypto_device::session::{Engine, Session};
use virtio_crypto_device::session_table::SessionTable;
use virtio_crypto_device::status::{Result, StatusError};

use crate::counters::Counters;
use crate::fault::{Faults, Kind};
use crate::held::{Held, HeldRequests, ReleaseCondition};
use crate::trace::Trace;
use crate::violations::Violations;

/// The device with this crate's hooks.
pub type Device = virtio_crypto_device::device::Device<Instrument>;

/// A queue of this device.
pub type Queue = virtio_crypto_device::queue::Queue<Instrument>;

/// A fault that affects more than a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FatalFault {
    /// The fault `crash`: the process ends.
    Crash,
    /// The fault `needs-reset`, or an invalid ring: the device processes no requests until it is
    /// reset. The driver is notified if the front end is vfio-user.
    NeedsReset,
    /// The fault `disconnect`: the connection to the front end is closed.
    Disconnect,
}

/// The kinds of fault that are fatal.
const FATAL_FAULTS: [(Kind, FatalFault); 3] = [
    (Kind::Crash, FatalFault::Crash),
    (Kind::NeedsReset, FatalFault::NeedsReset),
    (Kind::Disconnect, FatalFault::Disconnect),
];

/// Called at a fatal fault, with the queue's lock held.
pub type OnFatalFault = Box<dyn Fn(FatalFault) + Send + Sync>;

/// The hooks of a device.
#[derive(Default)]
pub struct Instrument {
    /// The active faults.
    pub faults: Faults,
    /// Counters of requests.
    pub counters: Counters,
    /// Requirements that the driver has violated.
    pub violations: Violations,
    trace: Trace,
    ready_at_reset: Mutex<Option<bool>>,
    config_reads: AtomicU64,
    on_fatal_fault: OnceLock<OnFatalFault>,
}

/// Creates a device with these hooks, which writes its requests to a trace.
pub fn device(capabilities: Capabilities, trace: Trace) -> Device {
    let counters = Counters::new(capabilities.queues);
    Device::new(capabilities, Instrument { counters, trace, ..Instrument::default() })
}

/// Serves a request of the control queue; see [`Device::control`]. `control` is generic, so each
/// test program would compile its own instance without this function.
pub fn control(device: &Device, chain: &Chain<'_>) -> u32 {
    device.control(chain)
}

/// Serves a request of a data queue; see [`Device::data`].
pub fn data(device: &Device, queue: u16, scratch: &mut Scratch, chain: &Chain<'_>) -> u32 {
    device.data(queue, scratch, chain)
}

/// Flips a bit of the byte at `at`, if `span` has such a byte.
fn flip(span: &Span<'_>, at: usize) {
    if let Some(byte) = span.get(at, 1) {
        let mut value = [0];
        byte.read(&mut value);
        byte.write(&[value[0] ^ 1]);
    }
}

/// Inverts bits of 4 bytes: the lowest byte of `value` is the offset, the next 32 bits are the mask.
fn invert(bytes: &mut [u8], value: u64) {
    let offset = value as u8 as usize % bytes.len();
    let mask = (value >> 8) as u32;
    for (byte, mask) in bytes[offset..].iter_mut().zip(mask.to_le_bytes()) {
        *byte ^= mask;
    }
}

/// Returns whether a request computes a tag or a digest, or verifies a tag or a signature.
fn has_tag(parts: &Parts<'_>, request: &Request) -> bool {
    match request.operation {
        Operation::Aead(_) | Operation::AkcipherVerify => true,
        _ => !parts.result.is_empty(),
    }
}

/// Corrupts the output of a request.
fn corrupt_output(parts: &Parts<'_>) {
    match parts.dst.is_empty() {
        true => flip(&parts.result, 0),
        false => flip(&parts.dst, 0),
    }
}

/// Corrupts a computed tag, or fails a verification.
fn corrupt_tag(parts: &Parts<'_>, session: &Session, request: &Request) -> Result<()> {
    match (request.operation, &session.engine) {
        (Operation::Aead(Direction::Encrypt), Engine::Aead(_, tag_len)) => {
            flip(&parts.dst, parts.src.len() + tag_len - 1);
        }
        (Operation::Aead(_), _) => return Err(StatusError::BadMsg),
        (Operation::AkcipherVerify, _) => return Err(StatusError::KeyRejected),
        _ => flip(&parts.result, 0),
    }
    Ok(())
}

impl Instrument {
    /// Sets the function that is called at a fatal fault. Only the first call has an effect.
    pub fn on_fatal_fault(&self, action: OnFatalFault) {
        self.on_fatal_fault.get_or_init(|| action);
    }

    /// Sets `VIRTIO_CRYPTO_S_HW_READY` at the next reset.
    pub fn set_ready_at_reset(&self, ready: bool) {
        *self.ready_at_reset.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready);
    }

    fn report_fatal_fault(&self, fault: FatalFault) {
        if let Some(action) = self.on_fatal_fault.get() {
            action(fault);
        }
    }

    /// Returns the value of a fault of this kind if the fault happens to this request.
    fn fire(&self, kind: Kind, id: RequestId) -> Option<u64> {
        self.faults.fire(kind, id.queue, id.opcode)
    }

    /// Like [`Self::fire`], for a request of the control queue.
    fn fire_control(&self, kind: Kind, opcode: u32) -> Option<u64> {
        self.faults.fire(kind, QueueId::Control, opcode)
    }

    /// Applies faults to the fields of the configuration space. `read` is the number of earlier
    /// reads.
    fn apply_config_faults(&self, config: &mut Config, read: u64) {
        let fire = |kind| self.faults.fire_config(kind);
        if let Some(queues) = fire(Kind::ConfigQueues) {
            config.max_dataqueues = queues as u32;
        }
        if let Some(max_size) = fire(Kind::ConfigMaxSize) {
            config.max_size = max_size;
        }
        if let Some(len) = fire(Kind::ConfigMaxKeyLen) {
            config.max_cipher_key_len = len as u32;
        }
        if let Some(status) = fire(Kind::ConfigStatus) {
            config.status = status as u32;
        }
        if fire(Kind::ConfigMasksAll).is_some() {
            config.crypto_services = u32::MAX;
            config.cipher_algo = u64::MAX;
            config.hash_algo = u32::MAX;
            config.mac_algo = u64::MAX;
            config.aead_algo = u32::MAX;
            config.akcipher_algo = u32::MAX;
        }
        if fire(Kind::ConfigTorn).is_some() && read % 2 == 1 {
            config.max_size ^= 0xffff_ffff << 32;
        }
    }
}

impl Hooks for Instrument {
    type Ring = HeldRequests;

    fn check(&self, requirement: Requirement, met: bool) {
        self.violations.check(requirement, met);
    }

    fn ready_after_reset(&self) -> Option<bool> {
        self.ready_at_reset.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn config(&self, mut config: Config) -> [u8; CONFIG_LEN] {
        let read = self.config_reads.fetch_add(1, Ordering::Relaxed);
        self.apply_config_faults(&mut config, read);
        let mut bytes = config.to_bytes();
        if let Some(value) = self.faults.fire_config(Kind::ConfigBits) {
            invert(&mut bytes, value);
        }
        if self.faults.fire_config(Kind::ConfigRandom).is_some() {
            // After an error the bytes are unchanged, which the fault also allows.
            let _ = openssl::rand::rand_bytes(&mut bytes);
        }
        bytes
    }

    fn insert_session(&self, opcode: u32, table: &SessionTable, session: Session) -> Result<u64> {
        let fire = |kind| self.fire_control(kind, opcode);
        let id = if fire(Kind::TableFull).is_some() {
            Err(StatusError::NoSpc)
        } else if let Some(id) = fire(Kind::SessionId) {
            table.insert_as(id, session);
            Ok(id)
        } else if let (Some(_), Some(id)) = (fire(Kind::SessionIdReused), table.last()) {
            table.insert_as(id, session);
            Ok(id)
        } else {
            table.insert(session)
        };
        if let (Ok(id), Some(_)) = (id, fire(Kind::SessionForgotten)) {
            table.drop_silently(id);
        }
        id
    }

    fn reject_create(&self, opcode: u32) -> Option<u32> {
        self.fire_control(Kind::RefuseCreate, opcode).map(|status| status as u32)
    }

    fn reject_destroy(&self, opcode: u32) -> bool {
        self.fire_control(Kind::RefuseDestroy, opcode).is_some()
    }

    fn reject_data(&self, id: RequestId) -> Option<u8> {
        self.fire(Kind::RefuseOperation, id).map(|status| status as u8)
    }

    fn processed(
        &self,
        id: RequestId,
        session: &Session,
        request: &Request,
        parts: &Parts<'_>,
    ) -> Result<()> {
        // A fault must only count requests that have the tag or output that the fault changes.
        if has_tag(parts, request) && self.fire(Kind::WrongTag, id).is_some() {
            corrupt_tag(parts, session, request)?;
        }
        let has_output = !(parts.dst.is_empty() && parts.result.is_empty());
        if has_output && self.fire(Kind::CorruptOutput, id).is_some() {
            corrupt_output(parts);
        }
        Ok(())
    }

    fn status(&self, id: RequestId, status: &mut u32) -> bool {
        let served = *status == 0 && id.queue != QueueId::Control;
        if let (true, Some(value)) = (served, self.fire(Kind::FailAfterWrite, id)) {
            *status = value as u8 as u32;
        }
        if let Some(value) = self.fire(Kind::StatusUnknown, id) {
            *status = value as u32;
        }
        self.fire(Kind::StatusUnwritten, id).is_none()
    }

    fn served(&self, served: &Served<'_, '_>) {
        if let Some(value) = self.fire(Kind::Overwrite, served.id) {
            served.chain.writable.write(&vec![value as u8; served.chain.writable.len()]);
        }
        self.counters.count(served);
        self.trace.write(served);
    }

    fn admit(
        &self,
        ring: &mut HeldRequests,
        id: RequestId,
        chain: &PoppedChain,
        in_order: bool,
        size: u16,
    ) -> Admission {
        for (kind, fault) in FATAL_FAULTS {
            if self.fire(kind, id).is_some() {
                self.report_fatal_fault(fault);
                return Admission::Stop;
            }
        }
        let until = if self.fire(Kind::NeverAnswer, id).is_some() {
            Some(ReleaseCondition::never())
        } else if let Some(value) = self.fire(Kind::Delay, id) {
            Some(ReleaseCondition::after_delay(value))
        } else if let Some(value) = self.fire(Kind::Reorder, id) {
            Some(ReleaseCondition::after_requests(ring.returned, value))
        } else {
            (in_order && ring.blocks_new_requests()).then(ReleaseCondition::in_order)
        };
        match until {
            // The ring size limits the held requests. A driver that reuses descriptors of in-flight
            // requests must not exhaust memory.
            Some(until) if ring.slots() < usize::from(size) => {
                ring.held.push(Held { chain: chain.clone(), until });
                Admission::Defer
            }
            _ => Admission::Serve,
        }
    }

    fn next_due(&self, ring: &mut HeldRequests, in_order: bool) -> Option<PoppedChain> {
        ring.take_due(in_order)
    }

    fn deadline(&self, ring: &HeldRequests, in_order: bool) -> Option<Instant> {
        ring.next_due(in_order)
    }

    fn held(&self, ring: &HeldRequests) -> usize {
        ring.held.len()
    }

    fn returned(&self, ring: &mut HeldRequests) {
        ring.returned += 1;
    }

    fn complete(&self, id: RequestId, mut elem: UsedElem) -> Completion {
        let saturated = |value| u32::try_from(value).unwrap_or(u32::MAX);
        if let Some(value) = self.fire(Kind::UsedLenShort, id) {
            elem.len = elem.len.saturating_sub(saturated(value));
        }
        if let Some(value) = self.fire(Kind::UsedLenLong, id) {
            elem.len = elem.len.saturating_add(saturated(value));
        }
        if self.fire(Kind::UsedLenZero, id).is_some() {
            elem.len = 0;
        }
        if let Some(value) = self.fire(Kind::WrongId, id) {
            elem.id = value as u32;
        }
        let times = if self.fire(Kind::DuplicateUsed, id).is_some() { 2 } else { 1 };
        Completion { elem, times, silent: self.fire(Kind::NoInterrupt, id).is_some() }
    }

    fn ring_failed(&self) {
        self.report_fatal_fault(FatalFault::NeedsReset);
    }
}
