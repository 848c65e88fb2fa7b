// SPDX-License-Identifier: GPL-2.0
//! The lies the device tells and the faults it has, on demand: each by name, from the
//! command line or at run time.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use virtio_crypto_device::queue_id::QueueId;

/// Makes the catalogue: names, help texts and default values.
macro_rules! catalogue {
    ($($(#[doc = $doc:literal])+ $item:ident = $name:literal, $default:literal;)*) => {
        /// What can be wrong with the device.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(rename_all = "kebab-case")]
        #[repr(u8)]
        pub enum Kind { $($(#[doc = $doc])+ $item,)* }

        impl Kind {
            /// The whole catalogue.
            pub const ALL: &'static [Kind] = &[$(Kind::$item),*];

            /// The name it is asked for by.
            pub fn name(self) -> &'static str {
                match self { $(Kind::$item => $name,)* }
            }

            /// What it does, in a line or two.
            pub fn help(self) -> &'static str {
                match self { $(Kind::$item => concat!($($doc),+).trim_start(),)* }
            }

            /// Its value, if none is given.
            pub fn default_value(self) -> u64 {
                match self { $(Kind::$item => $default,)* }
            }
        }
    };
}

catalogue! {
    /// never answers the request
    NeverAnswer = "never-answer", 0;
    /// answers VALUE milliseconds late
    Delay = "delay", 100;
    /// holds the answer back until VALUE later requests of the queue are answered, or
    /// 100 ms are over
    Reorder = "reorder", 1;
    /// puts the answer into the used ring twice
    DuplicateUsed = "duplicate-used", 0;
    /// puts the descriptor VALUE into the used ring in place of the request's own
    WrongId = "wrong-id", 65535;
    /// says that VALUE bytes were written fewer than there were
    UsedLenShort = "used-len-short", 1;
    /// says that VALUE bytes were written more than there were
    UsedLenLong = "used-len-long", 4096;
    /// says that nothing was written
    UsedLenZero = "used-len-zero", 0;
    /// answers without an interrupt
    NoInterrupt = "no-interrupt", 0;
    /// dies (exit status 42) with the request in hand
    Crash = "crash", 0;
    /// serves the request, but writes no status
    StatusUnwritten = "status-unwritten", 0;
    /// serves the request, and answers with the status VALUE
    StatusUnknown = "status-unknown", 8;
    /// refuses a data request with the status VALUE
    RefuseOperation = "refuse-operation", 3;
    /// refuses to create a session, with the status VALUE
    RefuseCreate = "refuse-create", 3;
    /// refuses to destroy a session, and keeps it
    RefuseDestroy = "refuse-destroy", 0;
    /// says that the session table is full
    TableFull = "table-full", 0;
    /// gives a new session the number of the one before
    SessionIdReused = "session-id-reused", 0;
    /// gives a new session the number VALUE
    SessionId = "session-id", 18446744073709551615;
    /// forgets a session just after it was created
    SessionForgotten = "session-forgotten", 0;
    /// finds every tag wrong that it is to verify, and gets those wrong it makes
    WrongTag = "wrong-tag", 0;
    /// flips a bit in the output
    CorruptOutput = "corrupt-output", 0;
    /// writes to the output, and fails with the status VALUE nevertheless
    FailAfterWrite = "fail-after-write", 1;
    /// says in the configuration that there are VALUE data queues
    ConfigQueues = "config-queues", 65535;
    /// says in the configuration that max_size is VALUE
    ConfigMaxSize = "config-max-size", 0;
    /// says in the configuration that the longest cipher key has VALUE bytes
    ConfigMaxKeyLen = "config-max-key-len", 0;
    /// offers every service and every algorithm there is a bit for
    ConfigMasksAll = "config-masks-all", 0;
    /// says in the configuration that the status is VALUE
    ConfigStatus = "config-status", 3;
    /// has one half of max_size changed in every other read of the configuration
    ConfigTorn = "config-torn", 0;
    /// answers reads of the configuration with bytes of a random kind
    ConfigRandom = "config-random", 0;
    /// becomes unready, and ready again, every VALUE milliseconds
    ToggleReady = "toggle-ready", 200;
    /// tells the driver every VALUE milliseconds that the configuration has changed
    ConfigStorm = "config-storm", 10;
    /// asks to be reset, and does nothing more, with the request in hand
    NeedsReset = "needs-reset", 0;
    /// closes the connection to the front end, with the request in hand
    Disconnect = "disconnect", 0;
    /// does not keep FEATURES_OK
    RefuseFeatures = "refuse-features", 0;
    /// keeps its status as it is, whatever the driver writes
    StatusStuck = "status-stuck", 0;
    /// has another config generation at every read of it
    GenerationChanges = "generation-changes", 0;
    /// has no interrupt vector for the queue, or for the configuration
    NoVector = "no-vector", 0;
    /// loses an interrupt, a queue's or the configuration's
    VectorLost = "vector-lost", 0;
    /// sends an interrupt of each queue every VALUE milliseconds, without a reason
    InterruptStorm = "interrupt-storm", 10;
    /// does not reset the queue when it is told to
    RingResetRefused = "ring-reset-refused", 0;
}

impl Kind {
    /// Whether it is a fault of what vhost-user leaves to the front end, so that only a
    /// vfio-user device can have it: in the catalogue those from `needs-reset` on.
    pub fn requires_vfio(self) -> bool {
        self as u8 >= Kind::NeedsReset as u8
    }
}

/// What a fault can be told to be for.
enum Scope {
    /// Requests, on any queue.
    Requests,
    /// Those on data queues.
    Data,
    /// Those on the control queue.
    Control,
    /// A queue, whatever is sent over it.
    Queues,
    /// The device as a whole.
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
            Kind::StatusUnwritten | Kind::StatusUnknown => Scope::Requests,
            Kind::RefuseOperation | Kind::WrongTag | Kind::CorruptOutput | Kind::FailAfterWrite => {
                Scope::Data
            }
            Kind::RefuseCreate | Kind::RefuseDestroy | Kind::TableFull => Scope::Control,
            Kind::SessionId | Kind::SessionIdReused | Kind::SessionForgotten => Scope::Control,
            Kind::NoVector | Kind::VectorLost | Kind::RingResetRefused => Scope::Queues,
            Kind::ConfigQueues | Kind::ConfigMaxSize | Kind::ConfigMaxKeyLen => Scope::Device,
            Kind::ConfigMasksAll | Kind::ConfigStatus | Kind::ConfigTorn => Scope::Device,
            Kind::ConfigRandom | Kind::ConfigStorm | Kind::ToggleReady => Scope::Device,
            Kind::RefuseFeatures | Kind::StatusStuck | Kind::GenerationChanges => Scope::Device,
            Kind::InterruptStorm => Scope::Device,
        }
    }
}

/// One fault: what, with which value, and for which requests. What is not named does
/// not matter.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What is wrong.
    pub name: Kind,
    /// The number that the catalogue's text calls VALUE.
    #[serde(default)]
    pub value: Option<u64>,
    /// Requests on this queue.
    #[serde(default)]
    pub queue: Option<QueueId>,
    /// Requests with this opcode.
    #[serde(default)]
    pub opcode: Option<u32>,
    /// Not the first so many of those requests.
    #[serde(default)]
    pub after: u64,
    /// Only so many of them; without it all.
    #[serde(default)]
    pub count: Option<u64>,
    /// How often it has happened.
    #[serde(default)]
    pub happened: u64,
}

impl Fault {
    /// A fault of all requests.
    pub fn new(name: Kind) -> Self {
        Fault { name, value: None, queue: None, opcode: None, after: 0, count: None, happened: 0 }
    }

    /// Whether it can happen to what it is for: one that cannot would be taken for one that
    /// does no harm.
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
            (false, _) => Err(format!("{} cannot be for that queue", self.name.name())),
            (true, false) => Err(format!("{} cannot be for an opcode", self.name.name())),
        }
    }

    /// Whether it happens to this request, which is then counted.
    fn fires(&mut self, queue: Option<QueueId>, opcode: Option<u32>) -> bool {
        let meant = (self.queue.is_none() || self.queue == queue)
            && (self.opcode.is_none() || self.opcode == opcode);
        if !meant || self.count == Some(0) {
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

/// `NAME[:value=N][:queue=N|control][:opcode=N][:after=N][:count=N]`
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':');
        let name = parts.next().unwrap_or_default();
        let kind = Kind::ALL.iter().find(|kind| kind.name() == name);
        let mut fault = Fault::new(*kind.ok_or_else(|| format!("there is no fault '{name}'"))?);
        for part in parts {
            let (key, value) =
                part.split_once('=').ok_or_else(|| format!("'{part}' is not KEY=VALUE"))?;
            let number = || parse_number(value).ok_or_else(|| format!("'{value}' is no number"));
            match key {
                "value" => fault.value = Some(number()?),
                "queue" => {
                    let queue = value.parse().map_err(|_| format!("'{value}' is no queue"))?;
                    fault.queue = Some(queue);
                }
                "opcode" => {
                    let opcode = u32::try_from(number()?);
                    fault.opcode = Some(opcode.map_err(|_| format!("'{value}' is no opcode"))?);
                }
                "after" => fault.after = number()?,
                "count" => fault.count = Some(number()?),
                _ => return Err(format!("a fault has no '{key}'")),
            }
        }
        Ok(fault)
    }
}

/// A decimal number, or a hexadecimal one behind `0x`.
fn parse_number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// All faults the device has at the moment.
#[derive(Debug, Default)]
pub struct Faults {
    /// A bit for each kind there is one of, so that an honest device loses no time.
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

    /// Removes all of a kind, or all there are.
    pub fn clear(&self, kind: Option<Kind>) {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        faults.retain(|fault| kind.is_some_and(|kind| kind != fault.name));
        let kinds = faults.iter().fold(0, |kinds, fault| kinds | 1 << fault.name as u8);
        self.kinds.store(kinds, Ordering::SeqCst);
    }

    /// All there are, with how often each has happened.
    pub fn list(&self) -> Vec<Fault> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether something of this kind happens to this request; if so, its value. Asked
    /// once for a request and kind, since it counts.
    pub fn fire(&self, kind: Kind, queue: QueueId, opcode: u32) -> Option<u64> {
        self.fire_matching(kind, Some(queue), Some(opcode))
    }

    /// The same for what happens to a queue.
    pub fn fire_queue(&self, kind: Kind, queue: QueueId) -> Option<u64> {
        self.fire_matching(kind, Some(queue), None)
    }

    /// The same for what has nothing to do with a queue.
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
        let of_kind = faults.iter_mut().filter(|fault| fault.name == kind);
        let mut fired = None;
        for fault in of_kind {
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
    fn faults_are_read_from_text_and_json() {
        let fault: Fault =
            "delay:value=5:queue=control:opcode=0x102:after=2:count=1".parse().unwrap();
        assert_eq!(fault.queue, Some(QueueId::Control));
        assert_eq!((fault.value, fault.opcode), (Some(5), Some(0x102)));
        let json = serde_json::to_string(&fault).unwrap();
        assert_eq!(serde_json::from_str::<Fault>(&json).unwrap(), fault);
        for bad in ["", "lie", "delay:5", "delay:value=x", "delay:queue=a", "delay:why=1"] {
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
    fn what_could_never_happen_is_refused() {
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
    fn faults_happen_to_the_requests_they_are_for() {
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
