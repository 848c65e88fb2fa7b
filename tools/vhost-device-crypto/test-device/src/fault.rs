// SPDX-License-Identifier: GPL-2.0
//! Fault injection. Each fault has a name, and is added on the command line or at run time.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use virtio_crypto_device::queue_id::QueueId;

/// Defines the catalogue of faults: names, help texts and default values.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $item:ident = $name:literal, $default:literal;)*) => {
        /// The faults that the device can inject.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum Kind { $($(#[doc = $doc])+ $item,)* }

        impl Kind {
            /// All faults.
            pub const ALL: &'static [Kind] = &[$(Kind::$item),*];

            /// Returns the name of the fault.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$item => $name,)* }
            }

            /// Returns the help text: the effect of the fault.
            pub fn help(self) -> &'static str {
                match self { $(Kind::$item => concat!($($doc),+).trim_start(),)* }
            }

            /// Returns the value of the fault if none is given.
            pub fn default_value(self) -> u64 {
                match self { $(Kind::$item => $default,)* }
            }
        }
    };
}

catalogue! {
    /// does not complete the request
    NeverAnswer = "never-answer", 0;
    /// delays the request by VALUE milliseconds
    Delay = "delay", 100;
    /// completes the request after VALUE later requests of the queue, but after 100 ms at the
    /// latest
    Reorder = "reorder", 1;
    /// adds the used entry of the request twice
    DuplicateUsed = "duplicate-used", 0;
    /// adds a used entry with the ID VALUE instead of the ID of the request
    WrongId = "wrong-id", 65535;
    /// in the used ring, reports VALUE bytes fewer than the device has written
    UsedLenShort = "used-len-short", 1;
    /// in the used ring, reports VALUE bytes more than the device has written
    UsedLenLong = "used-len-long", 4096;
    /// in the used ring, reports that the device has written 0 bytes
    UsedLenZero = "used-len-zero", 0;
    /// completes the request without an interrupt
    NoInterrupt = "no-interrupt", 0;
    /// ends the process with exit status 42 while the request is in flight
    Crash = "crash", 0;
    /// performs the request, but does not write the status
    StatusUnwritten = "status-unwritten", 0;
    /// performs the request, and writes the status VALUE
    StatusUnknown = "status-unknown", 8;
    /// rejects a data request with the status VALUE
    RefuseOperation = "refuse-operation", 3;
    /// rejects a CREATE with the status VALUE
    RefuseCreate = "refuse-create", 3;
    /// rejects a DESTROY, and keeps the session
    RefuseDestroy = "refuse-destroy", 0;
    /// rejects a CREATE as if the session table were full
    TableFull = "table-full", 0;
    /// assigns the ID of the previous session to a new session
    SessionIdReused = "session-id-reused", 0;
    /// assigns the ID VALUE to a new session
    SessionId = "session-id", 18446744073709551615;
    /// drops a session right after its CREATE succeeded
    SessionForgotten = "session-forgotten", 0;
    /// fails every verification of a tag or signature, and computes wrong tags and digests
    WrongTag = "wrong-tag", 0;
    /// flips a bit in the output of a request
    CorruptOutput = "corrupt-output", 0;
    /// writes the output, and then fails the request with the status VALUE
    FailAfterWrite = "fail-after-write", 1;
    /// sets max_dataqueues in the configuration space to VALUE
    ConfigQueues = "config-queues", 65535;
    /// sets max_size in the configuration space to VALUE
    ConfigMaxSize = "config-max-size", 0;
    /// sets max_cipher_key_len in the configuration space to VALUE
    ConfigMaxKeyLen = "config-max-key-len", 0;
    /// sets all bits of the service and algorithm masks in the configuration space
    ConfigMasksAll = "config-masks-all", 0;
    /// sets status in the configuration space to VALUE
    ConfigStatus = "config-status", 3;
    /// inverts the high half of max_size in every other read of the configuration space
    ConfigTorn = "config-torn", 0;
    /// returns random bytes for reads of the configuration space
    ConfigRandom = "config-random", 0;
    /// inverts bits of the configuration space: the lowest byte of VALUE is the offset, the
    /// next 32 bits are the mask
    ConfigBits = "config-bits", 0xff00;
    /// fills all device-writable bytes of the request, the status included, with the lowest byte
    /// of VALUE
    Overwrite = "overwrite", 0;
    /// inverts HW_READY every VALUE milliseconds
    ToggleReady = "toggle-ready", 200;
    /// sends a config change notification every VALUE milliseconds
    ConfigStorm = "config-storm", 10;
    /// sets DEVICE_NEEDS_RESET and stops all queues while the request is in flight
    NeedsReset = "needs-reset", 0;
    /// closes the connection to the front end while the request is in flight
    Disconnect = "disconnect", 0;
    /// clears FEATURES_OK when the driver sets it
    RefuseFeatures = "refuse-features", 0;
    /// ignores writes to the device status
    StatusStuck = "status-stuck", 0;
    /// changes the config generation at every read of the generation
    GenerationChanges = "generation-changes", 0;
    /// rejects the MSI-X vector that the driver assigns to a queue or to config changes
    NoVector = "no-vector", 0;
    /// loses an interrupt of a queue or of a config change
    VectorLost = "vector-lost", 0;
    /// raises a spurious interrupt of each queue every VALUE milliseconds
    InterruptStorm = "interrupt-storm", 10;
    /// ignores the reset of a queue
    RingResetRefused = "ring-reset-refused", 0;
    /// inverts the bits VALUE in the offered features. The driver may accept the changed features
    OfferFeatures = "offer-features", 0x4_0000_0000;
    /// sets the size register of a queue to VALUE
    QueueSize = "queue-size", 2;
    /// returns VALUE for reads of the device status
    StatusRegister = "status-register", 64;
}

impl Kind {
    /// Returns whether the fault requires the vfio-user front end: with vhost-user QEMU owns this
    /// part of the device. In the catalogue these are the faults from `needs-reset` on.
    pub fn requires_vfio(self) -> bool {
        self as u8 >= Kind::NeedsReset as u8
    }
}

/// How a fault can be limited to a queue or an opcode.
enum Scope {
    /// To any queue and any opcode.
    Requests,
    /// To a data queue and any opcode.
    Data,
    /// To the control queue and any opcode.
    Control,
    /// To any queue, but not to an opcode.
    Queues,
    /// Neither to a queue nor to an opcode: the fault affects the whole device.
    Device,
}

impl Kind {
    fn scope(self) -> Scope {
        match self {
            Kind::NeverAnswer
            | Kind::Delay
            | Kind::Reorder
            | Kind::DuplicateUsed
            | Kind::WrongId => Scope::Requests,
            Kind::UsedLenShort | Kind::UsedLenLong | Kind::UsedLenZero => Scope::Requests,
            Kind::NoInterrupt | Kind::Crash | Kind::NeedsReset | Kind::Disconnect => {
                Scope::Requests
            }
            Kind::Overwrite => Scope::Requests,
            Kind::StatusUnwritten | Kind::StatusUnknown => Scope::Requests,
            Kind::RefuseOperation | Kind::WrongTag | Kind::CorruptOutput | Kind::FailAfterWrite => {
                Scope::Data
            }
            Kind::RefuseCreate | Kind::RefuseDestroy | Kind::TableFull => Scope::Control,
            Kind::SessionId | Kind::SessionIdReused | Kind::SessionForgotten => Scope::Control,
            Kind::NoVector | Kind::VectorLost | Kind::RingResetRefused => Scope::Queues,
            Kind::QueueSize => Scope::Queues,
            Kind::ConfigQueues | Kind::ConfigMaxSize | Kind::ConfigMaxKeyLen => Scope::Device,
            Kind::ConfigMasksAll | Kind::ConfigStatus | Kind::ConfigTorn => Scope::Device,
            Kind::ConfigRandom | Kind::ConfigStorm | Kind::ToggleReady => Scope::Device,
            Kind::ConfigBits | Kind::OfferFeatures | Kind::StatusRegister => Scope::Device,
            Kind::RefuseFeatures | Kind::StatusStuck | Kind::GenerationChanges => Scope::Device,
            Kind::InterruptStorm => Scope::Device,
        }
    }
}

/// A fault with its value and the requests that it applies to. A field that is `None` matches all
/// requests.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The kind of fault.
    pub name: Kind,
    /// The number that the help text calls VALUE.
    #[serde(default)]
    pub value: Option<u64>,
    /// Only requests of this queue.
    #[serde(default)]
    pub queue: Option<QueueId>,
    /// Only requests with this opcode.
    #[serde(default)]
    pub opcode: Option<u32>,
    /// Number of matching requests that the fault still skips.
    #[serde(default)]
    pub after: u64,
    /// How often the fault can still happen. `None` means without a limit.
    #[serde(default)]
    pub count: Option<u64>,
    /// How often the fault has happened.
    #[serde(default)]
    pub happened: u64,
}

impl Fault {
    /// Creates a fault that applies to all requests.
    pub fn new(name: Kind) -> Self {
        Fault { name, value: None, queue: None, opcode: None, after: 0, count: None, happened: 0 }
    }

    /// Returns an error if the fault can never happen with this queue or opcode. A test with such a
    /// fault would pass without testing anything.
    pub fn check(&self) -> Result<(), String> {
        let (queue, opcode) = match self.name.scope() {
            Scope::Requests => (true, true),
            Scope::Data => (self.queue != Some(QueueId::Control), true),
            Scope::Control => (self.queue.is_none_or(|queue| queue == QueueId::Control), true),
            Scope::Queues => (true, self.opcode.is_none()),
            Scope::Device => (self.queue.is_none(), self.opcode.is_none()),
        };
        match (queue, opcode) {
            (true, true) => Ok(()),
            (false, _) => Err(format!("{} does not apply to this queue", self.name.name())),
            (true, false) => Err(format!("{} cannot be limited to an opcode", self.name.name())),
        }
    }

    /// Returns whether the fault happens to this request, and counts the request.
    fn fires(&mut self, queue: Option<QueueId>, opcode: Option<u32>) -> bool {
        let matches = (self.queue.is_none() || self.queue == queue)
            && (self.opcode.is_none() || self.opcode == opcode);
        if !matches || self.count == Some(0) {
            return false;
        }
        if self.after > 0 {
            self.after -= 1;
            return false;
        }
        self.count = self.count.map(|count| count - 1);
        self.happened += 1;
        true
    }
}

/// Parses `NAME[:value=N][:queue=N|control][:opcode=N][:after=N][:count=N]`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let kind = Kind::ALL.iter().find(|kind| kind.name() == name);
        let mut fault = Fault::new(*kind.ok_or_else(|| format!("unknown fault '{name}'"))?);
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("'{part}' is not KEY=VALUE"))?;
            let number = || parse_number(value).ok_or_else(|| format!("'{value}' is not a number"));
            match key {
                "value" => fault.value = Some(number()?),
                "queue" => {
                    let queue = value.parse().map_err(|_| format!("'{value}' is not a queue"))?;
                    fault.queue = Some(queue);
                }
                "opcode" => {
                    let opcode = u32::try_from(number()?);
                    fault.opcode = Some(opcode.map_err(|_| format!("'{value}' is not an opcode"))?);
                }
                "after" => fault.after = number()?,
                "count" => fault.count = Some(number()?),
                _ => return Err(format!("unknown parameter '{key}' of a fault")),
            }
        }
        Ok(fault)
    }
}

/// Parses a decimal number, or a hexadecimal number with the prefix `0x`.
fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The active faults of a device.
#[derive(Debug, Default)]
pub struct Faults {
    /// A bit for each kind of active fault, so a device without faults takes no lock.
    kinds: AtomicU64,
    faults: Mutex<Vec<Fault>>,
}

const _: () = assert!(Kind::ALL.len() <= u64::BITS as usize);

impl Faults {
    /// Adds a fault.
    pub fn add(&self, fault: Fault) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        self.kinds.fetch_or(1 << fault.name as u8, Ordering::SeqCst);
        faults.push(fault);
    }

    /// Removes all faults of a kind, or all faults.
    pub fn clear(&self, kind: Option<Kind>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|fault| kind.is_some_and(|kind| kind != fault.name));
        let kinds = faults.iter().fold(0, |kinds, fault| kinds | 1 << fault.name as u8);
        self.kinds.store(kinds, Ordering::SeqCst);
    }

    /// Returns the active faults.
    pub fn list(&self) -> Vec<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the value of a fault of this kind if the fault happens to this request. Counts the
    /// request, so call this once for each request and kind.
    pub fn fire(&self, kind: Kind, queue: QueueId, opcode: u32) -> Option<u64> {
        self.fire_matching(kind, Some(queue), Some(opcode))
    }

    /// Like [`Self::fire`], for an event of a queue that is not a request.
    pub fn fire_queue(&self, kind: Kind, queue: QueueId) -> Option<u64> {
        self.fire_matching(kind, Some(queue), None)
    }

    /// Like [`Self::fire`], for an event of the whole device.
    pub fn fire_config(&self, kind: Kind) -> Option<u64> {
        self.fire_matching(kind, None, None)
    }

    fn fire_matching(
        &self,
        kind: Kind,
        queue: Option<QueueId>,
        opcode: Option<u32>,
    ) -> Option<u64> {
        if self.kinds.load(Ordering::Relaxed) & 1 << kind as u8 == 0 {
            return None;
        }
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let candidates = faults.iter_mut().filter(|fault| fault.name == kind);
        let mut fired = None;
        for fault in candidates {
            if fault.fires(queue, opcode) && fired.is_none() {
                fired = Some(fault.value.unwrap_or(kind.default_value()));
            }
        }
        fired
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_parsed_from_text_and_json() {
        let fault: Fault =
            "delay:value=5:queue=control:opcode=0x102:after=2:count=1".parse().unwrap();
        assert_eq!(fault.queue, Some(QueueId::Control));
        assert_eq!((fault.value, fault.opcode), (Some(5), Some(0x102)));
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        for bad in ["", "unknown", "delay:5", "delay:value=x", "delay:queue=a", "delay:why=1"] {
            assert!(bad.parse::<Fault>().is_err(), "{bad}");
        }
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Fault>().unwrap().name, *kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert!(!kind.help().is_empty());
        }
        let queue: Fault = serde_json::from_str(r#"{"name":"delay","queue":3}"#).unwrap();
        assert_eq!(queue.queue, Some(QueueId::Data(3)));
    }

    #[test]
    fn faults_that_cannot_happen_are_rejected() {
        let check = |text: &str| text.parse::<Fault>().unwrap().check();
        for good in [
            "delay:queue=control:opcode=2",
            "needs-reset:queue=0",
            "wrong-tag:queue=0:opcode=0x301",
            "table-full:queue=control",
            "no-vector:queue=0",
            "config-torn:after=1:count=2",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "refuse-operation:queue=control",
            "refuse-create:queue=0",
            "vector-lost:opcode=0",
            "config-queues:queue=0",
            "interrupt-storm:queue=0",
            "refuse-features:opcode=1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn faults_happen_to_matching_requests() {
        let faults = Faults::default();
        faults.add("delay:queue=1:after=1:count=2:value=7".parse().unwrap());
        let fire = |queue| faults.fire(Kind::Delay, QueueId::Data(queue), 0);
        assert_eq!(
            [fire(0), fire(1), fire(1), fire(0), fire(1), fire(1)],
            [None, None, Some(7), None, Some(7), None]
        );
        assert_eq!(faults.fire(Kind::Crash, QueueId::Data(1), 0), None);
        assert_eq!(faults.list()[0].happened, 2);
        faults.clear(Some(Kind::Crash));
        assert_eq!(faults.list().len(), 1);
        faults.clear(None);
        assert!(faults.list().is_empty());
    }
}
