// SPDX-License-Identifier: GPL-2.0

//! Which algorithms the kernel is offered, and which devices do them.
//!
//! An algorithm is registered once for all devices, as soon as one of them has shown that it does
//! it, and unregistered when the last of these is gone. What a device says it can do is not enough:
//! some refuse what they advertise, some do more than they advertise.

mod aead;
mod authenc;
mod digest;
mod ecdsa;
mod fallback;
mod iv;
mod keyed;
mod offload;
mod public_key;
mod rsa;
mod skcipher;

use self::fallback::Fallbacks;
use crate::{
    crypto::{
        algorithm::Registration,
        DeferredRequests, //
        Direction,
    },
    settings::Settings,
    support::work::{
        Chore,
        Worker, //
    },
    transport::device::{
        Device,
        Observer, //
    },
    wire::{
        algorithm::{
            Akcipher,
            Operation,
            Service, //
        },
        config::Algorithm, //
    },
};
use core::pin::Pin;
use kernel::{
    debugfs::{
        Dir,
        File, //
    },
    new_mutex,
    new_spinlock_irq,
    prelude::*,
    rbtree::{
        RBTree,
        RBTreeNode, //
    },
    sync::{
        atomic::{
            Atomic,
            Relaxed, //
        },
        Arc,
        Mutex,
        SpinLockIrq, //
    },
    time::Msecs, //
};

/// A kind of algorithm. Each has a table, with a row for each algorithm the driver knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// Symmetric ciphers.
    Cipher,
    /// Hashes.
    Hash,
    /// Message authentication codes.
    Mac,
    /// Authenticated encryption.
    Aead,
    /// Chains of a cipher and a MAC.
    Authenc,
    /// RSA, of which there is one.
    Rsa,
    /// ECDSA, on each curve.
    Ecdsa,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Cipher,
        Self::Hash,
        Self::Mac,
        Self::Aead,
        Self::Authenc,
        Self::Rsa,
        Self::Ecdsa,
    ];

    /// Returns the service of the device that has them.
    const fn service(self) -> Service {
        match self {
            Self::Cipher | Self::Authenc => Service::Cipher,
            Self::Hash => Service::Hash,
            Self::Mac => Service::Mac,
            Self::Aead => Service::Aead,
            Self::Rsa | Self::Ecdsa => Service::Akcipher,
        }
    }

    /// Returns the number of rows.
    const fn rows(self) -> usize {
        match self {
            Self::Cipher => skcipher::TABLE.len(),
            Self::Hash => digest::HASHES.len(),
            Self::Mac => digest::MACS.len(),
            Self::Aead => aead::TABLE.len(),
            Self::Authenc => authenc::TABLE.len(),
            Self::Rsa => 1,
            Self::Ecdsa => ecdsa::TABLE.len(),
        }
    }
}

// What a device does is kept as one bit for each row.
kernel::static_assert!(Kind::Cipher.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Hash.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Mac.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Aead.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Authenc.rows() <= u32::BITS as usize);
kernel::static_assert!(Kind::Ecdsa.rows() <= u32::BITS as usize);

/// A row of a table.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: Kind,
    row: usize,
}

impl Place {
    /// Has a device do the algorithm, or at least create a session for it, as a trial.
    ///
    /// # Errors
    ///
    /// As [`Session::create`](crate::transport::session::Session::create) has them: why it does not.
    fn try_out(self, device: &Arc<Device>, settings: &Settings) -> Result {
        match self.kind {
            Kind::Cipher => skcipher::try_session(device, self.row).map(drop),
            Kind::Hash | Kind::Mac => digest::try_session(device, self).map(drop),
            Kind::Aead => aead::try_session(device, self.row).map(drop),
            Kind::Authenc => authenc::try_session(device, self.row).map(drop),
            Kind::Rsa => rsa::try_out(device),
            Kind::Ecdsa => ecdsa::try_out(device, settings, self.row),
        }
    }

    /// Returns what the algorithm is to the device; of a chain, both of it.
    fn algorithms(self) -> [Option<Algorithm>; 2] {
        match self.kind {
            Kind::Cipher => [skcipher::algorithm(self.row), None],
            Kind::Hash | Kind::Mac => [digest::algorithm(self), None],
            Kind::Aead => [aead::algorithm(self.row), None],
            Kind::Authenc => authenc::algorithms(self.row).map_or([None; 2], |both| both.map(Some)),
            Kind::Rsa => [Some(Algorithm::Akcipher(Akcipher::Rsa)), None],
            // As devices have it that need no session.
            Kind::Ecdsa => [Some(Algorithm::Akcipher(Akcipher::Ecdsa)), None],
        }
    }

    /// Returns true if the device advertises the algorithm; of a chain, both of it.
    fn is_advertised(self, device: &Device) -> bool {
        self.algorithms()
            .into_iter()
            .flatten()
            .all(|algorithm| device.config().advertises(algorithm))
    }

    /// Registers the algorithm, in every flavour that it has.
    ///
    /// # Errors
    ///
    /// As the crypto framework has them; none is registered then.
    fn register(
        self,
        devices: &Arc<Devices>,
        module: &'static ThisModule,
    ) -> Result<KVec<Registration>> {
        match self.kind {
            Kind::Cipher => skcipher::register(self, devices, module),
            Kind::Hash | Kind::Mac => digest::register(self, devices, module),
            Kind::Aead => aead::register(&aead::TABLE, self, devices, module),
            Kind::Authenc => aead::register(&authenc::TABLE, self, devices, module),
            Kind::Rsa => rsa::register(self, devices, module),
            Kind::Ecdsa => ecdsa::register(self, devices, module),
        }
    }
}

/// What a device has shown that it does: for each kind, a bit for each row of its table.
#[derive(Clone, Copy)]
struct Skills([u32; Kind::ALL.len()]);

impl Skills {
    fn has(&self, place: Place) -> bool {
        // CAST: The enum numbers the kinds.
        self.0[place.kind as usize] & 1 << place.row != 0
    }

    fn add(&mut self, place: Place) {
        // CAST: As above.
        self.0[place.kind as usize] |= 1 << place.row;
    }

    /// Finds out what a device does, of the services that are wanted.
    ///
    /// # Errors
    ///
    /// Any: the device could not be asked, or is not ready any more.
    fn explore(device: &Arc<Device>, settings: &Settings) -> Result<Self> {
        let mut skills = Self([0; Kind::ALL.len()]);
        let epoch = device.epoch();
        for kind in Kind::ALL {
            let service = kind.service();
            if !settings.wants(service) || !device.config().has_service(service) {
                continue;
            }
            let mut answers = Answers::new(kind);
            for advertised in [true, false] {
                for place in (0..kind.rows()).map(|row| Place { kind, row }) {
                    if place.is_advertised(device) != advertised
                        || !answers.worth_asking(advertised)
                    {
                        continue;
                    }
                    let result = place.try_out(device, settings);
                    answers.add(result);
                    match result {
                        Ok(()) => skills.add(place),
                        // Its sessions are used up, but it needs none.
                        Err(err)
                            if err == ENOSPC
                                && device.features().has_stateless(service)
                                && advertised =>
                        {
                            skills.add(place);
                        }
                        // That is its answer, unless it was reset, or is about to be, or is not
                        // ready and refuses everything.
                        Err(err) if [EIO, EOPNOTSUPP, ENOSPC, EINVAL].contains(&err) => {
                            if device.epoch() != epoch || !device.is_ready() || !device.says_ready()
                            {
                                return Err(EAGAIN);
                            }
                        }
                        Err(err) => return Err(err),
                    }
                }
            }
        }
        Ok(skills)
    }
}

/// What a device has answered to the trials of a kind.
///
/// Some devices do more than they advertise, so all rows are tried. But a device that lacks the
/// service, or algorithm chaining, writes a line to the host's log for each trial. It does not get
/// the trials of rows that it does not advertise. The rows that it advertises come first.
struct Answers {
    kind: Kind,
    /// A row was done.
    served: bool,
    /// A row was refused in a way that may mean the whole kind.
    refused: bool,
}

impl Answers {
    const fn new(kind: Kind) -> Self {
        Self {
            kind,
            served: false,
            refused: false,
        }
    }

    /// Returns true if the next row is to be tried.
    fn worth_asking(&self, advertised: bool) -> bool {
        advertised || self.served || !self.refused
    }

    /// Adds the result of a trial.
    fn add(&mut self, result: Result) {
        match result {
            Ok(()) => self.served = true,
            Err(err) if err == EOPNOTSUPP => self.refused = true,
            // QEMU's device refuses chaining with `VIRTIO_CRYPTO_ERR`.
            Err(err) if err == EIO && self.kind == Kind::Authenc => self.refused = true,
            Err(_) => {}
        }
    }
}

/// A device, and what it has shown that it does.
struct Member {
    device: Arc<Device>,
    /// None until the device was ready.
    skills: Option<Skills>,
}

impl Member {
    fn does(&self, place: Place) -> bool {
        self.skills.is_some_and(|skills| skills.has(place))
    }
}

/// The devices, for transforms to choose from.
#[pin_data]
pub(crate) struct Devices {
    settings: Settings,
    fallbacks: Arc<Fallbacks>,
    #[pin]
    members: Mutex<KVec<Member>>,
    turn: Atomic<usize>,
    /// The keys of all transforms, by the numbers they were given.
    #[pin]
    keys: SpinLockIrq<RBTree<u64, Arc<dyn Rekey>>>,
    serial: Atomic<u64>,
    /// Does what software has to do where it may not sleep.
    #[pin]
    later: Worker<DeferredRequests>,
}

/// A key that may have to find another way to a device.
trait Rekey: Send + Sync {
    /// Finds one, if there is none just now.
    ///
    /// Context: process, may sleep.
    fn rekey(&self);
}

impl Devices {
    /// Takes a key into account, until [`leave`](Self::leave) is called with the returned number.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    fn enter(&self, key: Arc<dyn Rekey>) -> Result<u64> {
        let serial = self.serial.fetch_add(1, Relaxed);
        let node = RBTreeNode::new(serial, key, GFP_KERNEL)?;
        self.keys.lock().insert(node);
        Ok(serial)
    }

    /// Leaves a key out of account.
    ///
    /// Context: process or bottom half, interrupts enabled.
    fn leave(&self, serial: u64) {
        // What goes with it may talk to a device: not under the lock.
        let _node = self.keys.lock().remove_node(&serial);
    }

    /// Has all keys find a way to a device that have none just now.
    ///
    /// Context: process, may sleep.
    fn rekey(&self) {
        let mut next = Some(0);
        while let Some(from) = next {
            let found = {
                let keys = self.keys.lock();
                keys.cursor_lower_bound(&from).map(|cursor| {
                    let (serial, key) = cursor.current();
                    (*serial, key.clone())
                })
            };
            next = found.and_then(|(serial, key)| {
                key.rekey();
                serial.checked_add(1)
            });
        }
    }

    /// Returns a ready device that does an algorithm; they take turns.
    fn pick(&self, place: Place) -> Option<Arc<Device>> {
        let members = self.members.lock();
        let turn = self.turn.fetch_add(1, Relaxed);
        let count = members.len();
        (0..count)
            .filter_map(|step| turn.wrapping_add(step).checked_rem(count))
            .filter_map(|position| members.get(position))
            .find(|member| member.device.is_ready() && member.does(place))
            .map(|member| member.device.clone())
    }

    /// Returns true if a device does an algorithm, even if not just now.
    fn any(&self, place: Place) -> bool {
        let members = self.members.lock();
        members
            .iter()
            .any(|member| member.device.may_return() && member.does(place))
    }

    /// Returns a ready device that was not asked yet what it does.
    fn unknown(&self) -> Option<Arc<Device>> {
        let members = self.members.lock();
        members
            .iter()
            .find(|member| member.device.is_ready() && member.skills.is_none())
            .map(|member| member.device.clone())
    }
}

/// An algorithm, and its registrations with the crypto framework if there are any.
struct Entry {
    place: Place,
    registrations: Option<KVec<Registration>>,
}

/// How long after it could not be done at once something is tried again, in milliseconds.
const RETRY: Msecs = 1000;

/// How soon what could not be registered is tried again, in milliseconds; each further time after twice
/// as long, up to [`MISSING_DOUBLES`] times.
const MISSING: Msecs = 15_000;
const MISSING_DOUBLES: u32 = 8;

/// What is registered with the crypto framework, with a worker that brings it up to date: it waits for
/// devices, whose own workers look after them meanwhile.
pub(crate) type Registry = Worker<Offers>;

/// What is registered with the crypto framework.
#[pin_data]
pub(crate) struct Offers {
    module: &'static ThisModule,
    devices: Arc<Devices>,
    /// The driver's folder.
    debugfs: Dir,
    _fallbacks: Pin<KBox<File<Arc<Fallbacks>>>>,
    #[pin]
    entries: Mutex<KVec<Entry>>,
    /// How often in a row software was missing.
    missing: Atomic<u32>,
}

impl Registry {
    /// Creates a registry without devices.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn create(module: &'static ThisModule, settings: Settings) -> Result<Arc<Self>> {
        let fallbacks = Arc::new(Fallbacks::new(), GFP_KERNEL)?;
        let debugfs = Dir::new(c"virtio_crypto_rs");
        let file = KBox::pin_init(
            debugfs.read_callback_file(
                c"fallbacks",
                Ok::<_, Error>(fallbacks.clone()),
                &fallback::show,
            ),
            GFP_KERNEL,
        )?;
        let devices = Arc::pin_init(
            pin_init!(Devices {
                settings,
                fallbacks,
                members <- new_mutex!(KVec::new()),
                turn: Atomic::new(0),
                keys <- new_spinlock_irq!(RBTree::new()),
                serial: Atomic::new(0),
                later <- DeferredRequests::new(),
            }),
            GFP_KERNEL,
        )?;
        let mut entries = KVec::new();
        for kind in Kind::ALL {
            for row in 0..kind.rows() {
                let entry = Entry {
                    place: Place { kind, row },
                    registrations: None,
                };
                entries.push(entry, GFP_KERNEL)?;
            }
        }
        Arc::pin_init(
            Worker::new(pin_init!(Offers {
                module,
                devices,
                debugfs,
                _fallbacks: file,
                entries <- new_mutex!(entries),
                missing: Atomic::new(0),
            })),
            GFP_KERNEL,
        )
    }
}

impl Offers {
    /// Returns the driver's folder in debugfs.
    pub(crate) fn debugfs(&self) -> &Dir {
        &self.debugfs
    }

    /// Returns the user's settings.
    pub(crate) fn settings(&self) -> &Settings {
        &self.devices.settings
    }

    /// Takes a device into account.
    ///
    /// # Errors
    ///
    /// `ENOMEM`: no memory.
    pub(crate) fn add(&self, device: &Arc<Device>) -> Result {
        let member = Member {
            device: device.clone(),
            skills: None,
        };
        self.devices.members.lock().push(member, GFP_KERNEL)?;
        Ok(())
    }

    /// Leaves a device out of account: no transform chooses it any more.
    /// [`update`](Self::update) is to be called when it takes no requests.
    pub(crate) fn remove(&self, device: &Arc<Device>) {
        let removed = {
            let mut members = self.devices.members.lock();
            let index = members
                .iter()
                .position(|member| Arc::ptr_eq(&member.device, device));
            index.and_then(|index| members.remove(index).ok())
        };
        drop(removed);
    }

    /// Asks devices that became ready what they do.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: one has not answered.
    fn explore(&self) -> Result {
        while let Some(device) = self.devices.unknown() {
            let skills = Skills::explore(&device, self.settings()).map_err(|_| EAGAIN)?;
            let mut members = self.devices.members.lock();
            for member in &mut *members {
                if Arc::ptr_eq(&member.device, &device) {
                    member.skills = Some(skills);
                }
            }
        }
        Ok(())
    }
}

impl Observer for Registry {
    fn changed(&self) {
        self.missing.store(0, Relaxed);
        self.queue();
    }
}

impl Chore for Offers {
    fn run(&self) -> Option<Msecs> {
        match self.update() {
            Ok(()) => {
                self.missing.store(0, Relaxed);
                None
            }
            Err(err) if err == ENOENT => {
                // It may be there when a file system is that it lies on.
                let times = self.missing.fetch_add(1, Relaxed).min(MISSING_DOUBLES);
                Some(MISSING << times)
            }
            Err(_) => Some(RETRY),
        }
    }
}

impl Offers {
    /// Registers what there is a device for, unregisters what there is none for any more, and has keys
    /// find their way to a device.
    ///
    /// Context: process, may sleep. A device may be waited for, each time for as long as it has for an
    /// answer; its own worker must not be what calls this.
    ///
    /// # Errors
    ///
    /// `EAGAIN`: not everything could be done; to be called again after a while. `ENOENT`: there is an
    /// algorithm without software in the kernel, or that cannot be registered just now.
    pub(crate) fn update(&self) -> Result {
        // Also sees to it that there is one change at a time. Neither transforms nor requests take
        // this lock, so self-tests go on while it is held.
        let mut entries = self.entries.lock();
        let mut outcome = self.explore();
        for entry in &mut *entries {
            if !self.devices.any(entry.place) {
                entry.registrations = None;
            } else if entry.registrations.is_none() {
                match entry.place.register(&self.devices, self.module) {
                    Ok(registrations) => entry.registrations = Some(registrations),
                    // The self-test of an earlier registration is still under way.
                    Err(err) if err == EEXIST => outcome = Err(EAGAIN),
                    // Nothing can be offered that there is no software for.
                    Err(err) if err == ENOENT => outcome = outcome.and(Err(ENOENT)),
                    Err(err) => {
                        pr_err!("registering {:?} failed ({err:?})\n", entry.place);
                        outcome = outcome.and(Err(ENOENT));
                    }
                }
            }
        }
        self.devices.rekey();
        outcome
    }
}

/// Returns what a session is for that does this.
fn operation(direction: Direction) -> Operation {
    match direction {
        Direction::Encrypt => Operation::Encrypt,
        Direction::Decrypt => Operation::Decrypt,
    }
}

#[kernel::macros::kunit_tests(virtio_crypto_rs_algorithms)]
mod tests {
    use super::*;

    #[test]
    fn a_service_that_a_device_lacks_is_asked_for_once() {
        let mut answers = Answers::new(Kind::Mac);
        assert!(answers.worth_asking(true) && answers.worth_asking(false));
        // An answer about this row alone.
        answers.add(Err(EIO));
        assert!(answers.worth_asking(false));
        answers.add(Err(EOPNOTSUPP));
        assert!(!answers.worth_asking(false));
        // What is advertised is tried nevertheless.
        assert!(answers.worth_asking(true));
    }

    #[test]
    fn a_service_that_does_one_algorithm_is_asked_for_all() {
        for refused_first in [true, false] {
            let mut answers = Answers::new(Kind::Cipher);
            for done in [!refused_first, refused_first] {
                answers.add(if done { Ok(()) } else { Err(EOPNOTSUPP) });
            }
            assert!(answers.worth_asking(false));
        }
    }

    #[test]
    fn chaining_is_refused_as_such_by_an_error() {
        let mut answers = Answers::new(Kind::Authenc);
        answers.add(Err(EIO));
        assert!(!answers.worth_asking(false) && answers.worth_asking(true));
    }
}
